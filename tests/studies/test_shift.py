"""Corruptions do what their names say, and the share of accuracy that they leave is computed on the same rows."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.run_folder import read_run
from pipeline.studies.corruptions import CORRUPTIONS, EYES, GRAY, MOUTH, corrupt
from pipeline.studies.run_pictures import pictures_of
from pipeline.studies.shift import answers, main, refuse_other_pictures, summarise
from pipeline.training.prediction import Classifier
from pipeline.training.transforms import map_pictures, to_pixels

STRENGTHS = [(name, strength) for name, one in CORRUPTIONS.items() for strength in one.strengths]


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    """(6, 3, 64, 64) uint8."""
    return torch.stack([to_pixels(draw_face("happiness", seed=0, index=i), 64) for i in range(6)])


def apart(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one.float() - other.float()).abs().mean()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_strength_changes_the_picture_more(faces: torch.Tensor, name: str) -> None:
    changed = [corrupt(faces, name, strength, 0) for strength in CORRUPTIONS[name].strengths]
    assert all(one.shape == faces.shape and one.dtype == torch.uint8 for one in changed)
    distances = [float(apart(one, faces)) for one in changed]
    assert distances[0] > 0.5 and distances == sorted(distances)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_seed_gives_the_same_pictures_and_the_input_stays(faces: torch.Tensor, name: str) -> None:
    before, strength = faces.clone(), CORRUPTIONS[name].strengths[2]
    assert torch.equal(corrupt(faces, name, strength, 5), corrupt(faces, name, strength, 5))
    assert torch.equal(faces, before)
    other = torch.equal(corrupt(faces, name, strength, 5), corrupt(faces, name, strength, 6))
    assert other == (name not in ("noise", "rotation", "framing"))


def test_strengths_are_what_they_are_called() -> None:
    gray = torch.full((2, 3, 100, 100), 100, dtype=torch.uint8)
    assert corrupt(gray, "noise", 0.08, 0).float().std() == pytest.approx(0.08 * 255, rel=0.03)
    assert corrupt(gray, "dark", 0.4, 0).unique().tolist() == [40]
    halves = torch.cat([gray, gray * 2], dim=-1)[..., 50:150]
    assert corrupt(halves, "contrast", 0.4, 0).unique().tolist() == [130, 170]
    for name, (top, bottom) in {"eyes_covered": EYES, "mouth_covered": MOUTH}.items():
        covered = corrupt(gray, name, 0.6, 0)[0, 0] == GRAY
        rows, columns = covered.any(1).nonzero()[:, 0], covered.any(0).nonzero()[:, 0]
        assert (rows.min(), rows.max() + 1) == (round(100 * top), round(100 * bottom))
        assert (columns.min(), columns.max() + 1) == (20, 80)
    edge = torch.zeros(1, 3, 100, 100)
    edge[..., 50:] = 255
    profile = corrupt(edge.to(torch.uint8), "blur", 0.06, 0)[0, 0, 50].float() / 255
    steepest = profile.diff().max()
    assert steepest == pytest.approx(1 / (6 * np.sqrt(2 * np.pi)), rel=0.05)  # of a Gaussian of 6 px
    line = torch.zeros(1, 3, 101, 101, dtype=torch.uint8)
    line[..., 49:52, 5:96] = 255
    turned = corrupt(line, "rotation", 30, 0)[0, 0].float()
    y, x = (turned > 128).nonzero(as_tuple=True)
    slope = np.polyfit(x.numpy(), y.numpy(), 1)[0]
    assert abs(np.degrees(np.arctan(slope))) == pytest.approx(30, abs=1)


def test_small_faces_keep_what_a_small_camera_sees(faces: torch.Tensor) -> None:
    least = corrupt(faces, "low_resolution", 8, 0)
    assert apart(corrupt(least, "low_resolution", 8, 0), least) < apart(least, faces) / 3
    assert torch.equal(corrupt(faces, "low_resolution", 64, 0), faces)


def test_what_is_left_is_counted_row_by_row() -> None:
    right = {"": np.array([True] * 80 + [False] * 20)}
    right |= {f"{name} {strength:g}": right[""].copy() for name, strength in STRENGTHS}
    right["blur 0.06"] = np.array([True] * 60 + [False] * 40)
    found = summarise(right, 0)
    last = found["corruptions"]["blur"][-1]
    assert (
        (last["accuracy"], last["difference"]) == (0.6, pytest.approx(-0.2)) and last["high"] < 0 and last["p"] < 0.001
    )
    same = found["corruptions"]["noise"][0]
    assert (same["difference"], same["low"], same["high"], same["p"]) == (0, 0, 0, 1)
    assert found["kept"] == pytest.approx(((len(STRENGTHS) - 1) * 0.8 + 0.6) / len(STRENGTHS) / 0.8)


def test_other_pictures_than_those_of_the_run_are_refused(finished_run: SimpleNamespace) -> None:
    run = read_run(finished_run.path)
    table = map_pictures(pictures_of(run, None, "validation"), run.recipe["image_size"], "map")
    right = answers(Classifier.load(run.path, "cpu"), table, 0)
    assert set(right) == {"", *(f"{name} {strength:g}" for name, strength in STRENGTHS)}
    refuse_other_pictures(run.path, table, right[""])
    with pytest.raises(InputError, match="unchanged pictures have another answer"):
        refuse_other_pictures(run.path, table, ~right[""])
    renamed = table.remove_columns("key").add_column("key", [f"other-{i}" for i in range(len(table))])
    with pytest.raises(InputError, match="are not in .*such as drawn other-0"):
        refuse_other_pictures(run.path, renamed, right[""])


def test_the_command_writes_figures_and_curves(
    finished_run: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(finished_run.path), "--most", "8", "--output_dir", str(tmp_path / "shift")])
    written = json.loads((tmp_path / "shift/shift.json").read_text())
    assert written["n"] == 8 and set(written["corruptions"]) == set(CORRUPTIONS)
    assert (tmp_path / "shift/shift.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "low_resolution" in printed and f"8 of {written['rows_in_split']} validation rows" in printed
    with pytest.raises(InputError, match="--most 0"):
        main([str(finished_run.path), "--most", "0", "--output_dir", str(tmp_path / "shift")])
