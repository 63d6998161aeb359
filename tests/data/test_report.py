"""The curation alone: its folder, its page, and the way back into training."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline.data import curation
from pipeline.data.page import vote_entropy
from pipeline.data.readers import read_source, read_sources
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from tests.conftest import run_train_hf
from tests.data.test_curation import keys

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
    pixels = [np.asarray(face) for face in direct.splits["test"]["image"]]
    faces.rename(tmp_path / "moved")
    back = curation.curate([read_source(recipe)], recipe)
    assert all(map(np.array_equal, pixels, map(np.asarray, back.splits["test"]["image"]))), "pictures and all"
    assert keys(direct) == keys(back)
    for split in direct.splits:
        for column in ("label", "target", "source", "person"):
            assert direct.splits[split][column][:] == back.splits[split][column][:]
    assert back.report["copies"] == direct.report["copies"] and back.report["leaks"] == direct.report["leaks"]
    with pytest.raises(InputError, match="was curated for the classes happiness, sadness"):
        read_source(Recipe(data_path=str(out)))


def test_persons_and_weights_of_two_sources_are_told_apart_when_the_folder_is_read_again(tmp_path):
    """Each source numbers its persons from 1: the first of one is in train, that of the other in test."""
    for seed, (place, persons) in enumerate({"one": "123", "two": "231"}.items()):
        (tmp_path / place).mkdir()
        rows = ["path,label,split,person"]
        for index in range(12):
            name, split = CLASSES[index % 2], ("train", "validation", "test")[index // 4]
            draw_face(name, seed=seed, index=index, size=48).save(tmp_path / place / f"{index}.png")
            rows.append(f"{index}.png,{name},{split},{persons[index // 4]}")
        (tmp_path / place / f"{place}.csv").write_text("\n".join(rows))
    sources = [{"data_path": str(tmp_path / place / f"{place}.csv"), "source": "csv"} for place in ("one", "two")]
    given = ["--sources", json.dumps(sources), "--row_weights", "{one: 2.0}", "--near_copies", "false"]
    curation.main(["own_faces", "--classes", str(CLASSES), *given, "--output_dir", str(tmp_path / "out")])
    recipe = Recipe(data_path=str(tmp_path / "out"), classes=CLASSES, near_copies=False)
    back = curation.curate(read_sources(recipe), recipe)  # `leaks` is error
    assert "weight" not in back.splits["train"].column_names
    again = replace(recipe, row_weights={"two": 3.0})
    assert set(curation.curate(read_sources(again), again).splits["train"]["weight"][:]) == {1.0, 3.0}


def test_another_folder_is_no_curated_one(faces):
    with pytest.raises(
        InputError, match="lacks curation.json and train.parquet: give a folder that pipeline.curation wrote"
    ):
        read_source(Recipe(source="curated", data_path=str(faces), classes=CLASSES))


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
