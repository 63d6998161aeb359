"""Data sets by their Hub ids, against a Hub on the loopback: the real client, an empty cache, a process."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from pipeline.drawn.face import draw_face
from pipeline.expressions import CLASSES
from pipeline.settings.files import RECIPES, load_yaml
from tests.conftest import ROOT
from tests.hub_server import HubServer

TOKEN = "hf_anna"
IDS = [source["data_path"] for source in load_yaml(RECIPES / "merged_vit_tiny.yaml")["sources"]]


def parquet(names: list[str], seed: int, declared: list[str] | None) -> bytes:
    """Drawn faces of these classes; labels are a ClassLabel of `declared`, or strings."""
    pictures = [draw_face(CLASSES[i % 7], seed=seed, index=i, size=48) for i in range(len(names))]
    label = ClassLabel(names=declared) if declared else Value("string")
    table = Dataset.from_dict(
        {"image": pictures, "label": names}, features=Features({"image": Image(), "label": label})
    )
    file = io.BytesIO()
    table.to_parquet(file)
    return file.getvalue()


def curate(hub: HubServer, tmp_path: Path, *words: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.curation", *words, "--output_dir", str(tmp_path / "out")],
        cwd=ROOT,
        env=hub.client_environment(tmp_path / "hf", token),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_merged_recipe_fetches_its_three_data_sets_by_their_ids(tmp_path: Path) -> None:
    spelled = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    with HubServer() as hub:
        for number, name in enumerate(IDS):
            declared = sorted(spelled) if number else None
            files = {"data/train-00000-of-00001.parquet": parquet(spelled * 6, number, declared)}
            if number == 2:
                files["data/test-00000-of-00001.parquet"] = parquet(spelled, 9, declared)
            hub.add_repo(name, files, repo_type="dataset")
        done = curate(hub, tmp_path, "merged_vit_tiny", "--near_copies", "false")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "curation.json").read_text())
    counted = {n: sum(sum(rows.values()) for rows in s["rows"].values()) for n, s in report["sources"].items()}
    assert counted == dict(zip(IDS, (42, 42, 49), strict=True))
    kept = [pq.read_table(tmp_path / "out" / f"{split}.parquet")["source"].to_pylist() for split in report["rows"]]
    assert {name for split in kept for name in split} == set(IDS)


@pytest.mark.parametrize(
    ("token", "message"),
    [(None, "no data set of that name that can be seen"), (TOKEN, ""), ("hf_wrong", "hf auth login")],
)
def test_a_private_data_set_needs_its_owners_login(token: str | None, message: str, tmp_path: Path) -> None:
    with HubServer() as hub:
        hub.add_user("anna", TOKEN)
        files = {"train.parquet": parquet(list(CLASSES) * 6, 0, None)}
        hub.add_repo("anna/faces", files, repo_type="dataset", private=True)
        done = curate(hub, tmp_path, "own_faces", "--data_path", "anna/faces", "--near_copies", "false", token=token)
    assert done.returncode == (2 if message else 0), done.stderr
    if message:
        assert message in done.stderr.splitlines()[-1]
        assert not (tmp_path / "out").exists()
