"""The curation alone: its folder, its page, and the way back into training."""

import re

import numpy as np
import pytest

from pipeline import curation
from pipeline.errors import InputError
from pipeline.recipe import Recipe
from pipeline.report import vote_entropy
from pipeline.sources import read_source
from pipeline.sources.drawn import draw_face
from tests.conftest import run_train_hf
from tests.test_curation import keys

CLASSES = ["happiness", "sadness"]


@pytest.fixture
def faces(tmp_path):
    """Official splits of drawn faces; one train picture is in validation again, under a name that is HTML."""
    for split in ("train", "val", "test"):
        for name in CLASSES:
            for index in range(4):
                path = tmp_path / "faces" / split / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                draw_face(name, seed=len(split) + len(path.parts) * (split == "test"), index=index, size=48).save(path)
    again = (tmp_path / "faces" / "train" / "sadness" / "1.png").read_bytes()
    (tmp_path / "faces" / "val" / "sadness" / "<script>alert(1)<&.png").write_bytes(again)
    return tmp_path / "faces"


def words(faces, out, *more):
    return ["own_faces", "--data_path", str(faces), "--classes", str(CLASSES), "--output_dir", str(out), *more]


def test_a_curation_is_a_table_a_report_and_a_page_that_needs_nothing_else(faces, tmp_path, capsys):
    out = tmp_path / "out"
    curation.main(words(faces, out, "--leaks", "report"))
    told = capsys.readouterr().out
    assert re.search(r"class +train +validation +test", told) and re.search(r"all +8 +9 +8", told)
    assert {p.name for p in out.iterdir()} == {
        "train.parquet", "validation.parquet", "test.parquet", "curation.json", "index.html"
    }  # fmt: skip
    page = (out / "index.html").read_text()
    assert "validation in train" in page and "&lt;script&gt;alert(1)&lt;&amp;.png" in page and "<script>" not in page
    assert page.count("data:image/png;base64,") == 1, "the copy is shown"
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)|url\(|@import""", page)
    assert "no votes" in page


def test_a_near_copy_is_shown_beside_its_picture(faces, tmp_path):
    (faces / "val" / "sadness" / "<script>alert(1)<&.png").unlink()
    draw_face("happiness", seed=5, index=1, size=48).resize((80, 80)).save(faces / "val" / "happiness" / "near.png")
    curation.main(words(faces, tmp_path / "out", "--leaks", "report"))
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "validation val/happiness/near.png ~ train train/happiness/1.png: happiness" in page


def test_a_curated_folder_trains_as_its_source_does(faces, tmp_path):
    out = tmp_path / "out"
    curation.main(words(faces, out, "--leaks", "report"))
    recipe = Recipe(data_path=str(out), classes=CLASSES, leaks="report")
    direct = curation.curate([read_source(Recipe(data_path=str(faces), classes=CLASSES))], recipe)
    back = curation.curate([read_source(recipe)], recipe)
    assert keys(direct) == keys(back)
    for split in direct.splits:
        for column in ("label", "target", "source", "person"):
            assert direct.splits[split][column][:] == back.splits[split][column][:]
    assert back.report["copies"] == direct.report["copies"] and back.report["leaks"] == direct.report["leaks"]
    with pytest.raises(InputError, match="was curated for the classes happiness, sadness"):
        read_source(Recipe(data_path=str(out)))


def test_a_leak_or_a_folder_that_is_there_leaves_nothing_behind(faces, tmp_path):
    with pytest.raises(InputError, match="splits leak: 1 rows validation_in_train"):
        curation.main(words(faces, tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["faces"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="out is there already; choose another --output_dir"):
        curation.main(words(faces, tmp_path / "out", "--leaks", "report"))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["notes.txt"]


def test_training_refuses_a_leak_and_seals_nothing(faces, tmp_path):
    ended = run_train_hf(*words(faces, tmp_path / "run"))
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("error: splits leak: 1 rows validation_in_train by exact copy")
    assert not (tmp_path / "run").exists()


def test_entropy_is_in_bits():
    even, agreed = np.full((1, 4), 0.25), np.eye(4)[:1]
    assert vote_entropy(np.concatenate([even, agreed])).tolist() == pytest.approx([2.0, 0.0], abs=1e-9)
