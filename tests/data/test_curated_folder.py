"""`python -m pipeline.curation`: the folder that it writes, and the way back into training."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from pipeline.curation import main
from pipeline.data.curated_folder import new_folder, write_curated
from pipeline.data.curation import curate
from pipeline.data.readers import read_source, read_sources
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError, Stopped
from pipeline.expressions import CLASSES
from pipeline.settings.recipe import Recipe
from pipeline.source import source_from_json
from tests.conftest import run_train_hf
from tests.data.folders import SCRIPT, TWO, draw_splits, keys, words

LEAK = "splits leak: train holds 1 row of validation"


@pytest.fixture
def faces(tmp_path):
    return draw_splits(tmp_path / "faces")


def test_the_folder_holds_tables_report_and_page_and_the_terminal_the_rows_by_source_and_class(faces, tmp_path, capsys):
    out = tmp_path / "out"
    main(words(faces, out, "--leaks", "report"))
    assert {p.name for p in out.iterdir()} == {
        "train.parquet", "validation.parquet", "test.parquet", "curation.json", "index.html"
    }  # fmt: skip
    assert (
        "source  class      train  validation  test\n"
        "faces   happiness      4           4     4\n"
        "faces   sadness        4           5     4\n"
        "all     all            8           9     8\n"
    ) in capsys.readouterr().out


def test_the_terminal_counts_every_source_and_names_what_is_left_out(tmp_path, capsys):
    for seed, name in ((20, "one"), (40, "two")):
        draw_splits(tmp_path / name, seed)
    whole = (tmp_path / "one" / "val" / "happiness" / "0.png").read_bytes()
    (tmp_path / "one" / "val" / "happiness" / "cut.png").write_bytes(whole[: len(whole) // 2])
    sources = json.dumps([{"data_path": str(tmp_path / name)} for name in ("one", "two")])
    given = ["--sources", sources, "--classes", str(TWO["classes"]), "--leaks", "drop_from_train"]
    limits = ["--caps", "{two/sadness: 2}", "--max_bad_share", "0.1"]
    main(["own_faces", *given, *limits, "--output_dir", str(tmp_path / "out")])
    printed = capsys.readouterr().out.splitlines()
    table = printed.index("source  class                 train  validation  test")
    assert printed[table - 6 : table] == [
        "data: one, left out of validation: 1 damaged",
        "data: one, the first that cannot be used: val/happiness/cut.png (damaged)",
        "data: dropped from train by leaks: 2 rows with a copy, a person or another label elsewhere",
        "data: dropped from train by caps: 1 rows of two/sadness",
        "data: persons: unknown, so one person may be in several splits",
        "warning: few rows, so figures of a class are uncertain: train 2 of 2 classes below 30 (sadness 5), validation "
        "1 of 2 classes below 10 (happiness 8), test 2 of 2 classes below 10 (happiness 8)",
    ]
    assert [line.split() for line in printed[table : table + 9]] == [
        ["source", "class", "train", "validation", "test"],
        ["one", "happiness", "4", "4", "4"],
        ["one", "sadness", "4", "5", "4"],
        ["two", "happiness", "4", "4", "4"],
        ["two", "sadness", "4", "5", "4"],
        ["all", "happiness", "8", "8", "8"],
        ["all", "sadness", "8", "10", "8"],
        ["all", "all", "16", "18", "16"],
        ["all", "after", "leaks", "and", "caps", "13", "18", "16"],
    ]


# back into training


def test_a_curated_folder_trains_as_its_source_does(faces, tmp_path):
    out = tmp_path / "out"
    main(words(faces, out, "--leaks", "report"))
    recipe = Recipe(data_path=str(out), **TWO, leaks="report")
    direct = curate([read_source(Recipe(data_path=str(faces), **TWO))], recipe)
    pixels = [np.asarray(face) for face in direct.splits["test"]["image"]]
    faces.rename(tmp_path / "moved")
    back = curate([read_source(recipe)], recipe)
    assert all(map(np.array_equal, pixels, map(np.asarray, back.splits["test"]["image"]))), "pictures are embedded"
    assert keys(direct) == keys(back)
    for split in direct.splits:
        for column in ("label", "target", "source", "person"):
            assert direct.splits[split][column][:] == back.splits[split][column][:]
    assert back.report["copies"] == direct.report["copies"] and back.report["leaks"] == direct.report["leaks"]
    with pytest.raises(InputError, match="was curated for the classes happiness, sadness"):
        read_source(Recipe(data_path=str(out)))


def test_a_folder_curated_twice_keeps_every_source_with_its_own_terms_and_rows(tmp_path):
    for index in range(20):
        path = tmp_path / "photos" / CLASSES[index % 7] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_face(CLASSES[index % 7], seed=99, index=index, size=48).save(path)
    sources = json.dumps([{"source": "drawn"}, {"source": "folder", "data_path": str(tmp_path / "photos")}])
    main(["quickstart", "--drawn_faces", "60", "--sources", sources, "--output_dir", str(tmp_path / "cur")])
    again = ["--source", "curated", "--data_path", str(tmp_path / "cur"), "--output_dir", str(tmp_path / "twice")]
    main(["quickstart", *again])
    once, twice = (
        json.loads((tmp_path / name / "curation.json").read_text(encoding="utf-8"))["sources"]
        for name in ("cur", "twice")
    )
    assert list(once) == list(twice) == ["drawn", "photos"]
    for entries in (once, twice):
        drawn, photos = (source_from_json(id, entry) for id, entry in entries.items())
        assert (drawn.origin, drawn.licence, drawn.may_publish_pixels) == ("drawn", "Apache-2.0", True)
        assert (photos.origin, photos.licence, photos.may_publish_pixels) == ("local", "other", False)
        assert sum(sum(counts.values()) for counts in entries["drawn"]["rows"].values()) == 60
        assert sum(sum(counts.values()) for counts in entries["photos"]["rows"].values()) == 20
    assert {id: entry["rows"] for id, entry in twice.items()} == {id: entry["rows"] for id, entry in once.items()}
    assert {entry["terms"] for entry in twice.values()} == {entry["terms"] for entry in once.values()}


def test_rows_whose_source_has_no_record_are_refused(faces):
    reading = read_source(Recipe(data_path=str(faces), **TWO))
    (source,) = reading.sources
    with pytest.raises(InputError, match="rows of the source faces have no record of their own"):
        curate([replace(reading, sources=(replace(source, id="other"),))], Recipe(**TWO, leaks="report"))


def test_persons_and_weights_of_two_sources_stay_apart_when_the_folder_is_read_again(tmp_path):
    """Each source numbers its persons from 1. Person 1 of one source is in train, person 1 of the other in test."""
    for seed, (place, persons) in enumerate({"one": "123", "two": "231"}.items()):
        (tmp_path / place).mkdir()
        rows = ["path,label,split,person"]
        for index in range(12):
            name, split = TWO["classes"][index % 2], ("train", "validation", "test")[index // 4]
            draw_face(name, seed=seed, index=index, size=48).save(tmp_path / place / f"{index}.png")
            rows.append(f"{index}.png,{name},{split},{persons[index // 4]}")
        (tmp_path / place / f"{place}.csv").write_text("\n".join(rows), encoding="utf-8")
    sources = [{"data_path": str(tmp_path / place / f"{place}.csv"), "source": "csv"} for place in ("one", "two")]
    given = ["--sources", json.dumps(sources), "--row_weights", "{one: 2.0}", "--near_copies", "false"]
    main(["own_faces", "--classes", str(TWO["classes"]), *given, "--output_dir", str(tmp_path / "out")])
    recipe = Recipe(data_path=str(tmp_path / "out"), **TWO, near_copies=False)
    back = curate(read_sources(recipe), recipe)  # `leaks` is error
    assert "weight" not in back.splits["train"].column_names
    again = replace(recipe, row_weights={"two": 3.0})
    assert set(curate(read_sources(again), again).splits["train"]["weight"][:]) == {1.0, 3.0}


def test_another_folder_is_refused_as_a_curated_one(faces):
    with pytest.raises(InputError, match="lacks curation.json and train.parquet: give "):
        read_source(Recipe(source="curated", data_path=str(faces), **TWO))


# all or nothing


def test_a_leak_leaves_nothing_behind(faces, tmp_path):
    with pytest.raises(InputError, match=LEAK):
        main(words(faces, tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["faces"]


def test_near_copies_that_the_curation_did_not_look_for_name_the_setting_on_both_sides(faces, tmp_path):
    (faces / "val" / "sadness" / SCRIPT).unlink()
    draw_face("happiness", seed=5, index=1, size=48).resize((80, 80)).save(faces / "val" / "happiness" / "near.png")
    main(words(faces, tmp_path / "out", "--near_copies", "false"))
    recipe = Recipe(data_path=str(tmp_path / "out"), **TWO)
    with pytest.raises(InputError, match="curated with near_copies false, and near_copies is true here: .*curate"):
        curate([read_source(recipe)], recipe)
    curate([read_source(recipe)], replace(recipe, near_copies=False))
    with pytest.raises(InputError, match="near copy.*--leaks drop_from_train"):
        curate([read_source(replace(recipe, data_path=str(faces)))], replace(recipe, data_path=str(faces)))


def test_an_output_dir_with_content_is_refused_and_stays_as_it_is(faces, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="out exists already; choose another --output_dir"):
        main(words(faces, tmp_path / "out", "--leaks", "report"))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["notes.txt"]


def test_folders_beside_the_output_dir_stay_as_they_are(faces, tmp_path):
    for name in (".out.unfinished", ".out.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("mine")
    main(words(faces, tmp_path / "out", "--leaks", "report"))
    assert {p.name for p in tmp_path.iterdir()} == {"faces", "out", ".out.unfinished", ".out.tmp"}
    assert (tmp_path / ".out.unfinished" / "notes.txt").read_text() == "mine"


def test_a_picture_that_is_gone_before_it_is_written_leaves_nothing_behind(faces, tmp_path):
    recipe = Recipe(data_path=str(faces), **TWO, leaks="report")
    curated = curate(read_sources(recipe), recipe)
    (faces / "test" / "sadness" / "3.png").unlink()
    with pytest.raises(FileNotFoundError):
        write_curated(tmp_path / "out", curated)
    assert [p.name for p in tmp_path.iterdir()] == ["faces"]


def test_sigterm_while_writing_leaves_nothing_behind_and_ends_with_code_143(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(Stopped, match="nothing was written to .*out") as stopped,
        new_folder(tmp_path / "out") as folder,
    ):
        (folder / "train.parquet").write_text("half")
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped.value.code == 143
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_folder_replaces_an_empty_one_with_the_permissions_of_any_new_folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "usual").mkdir()
    with new_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("a")
    assert (tmp_path / "out" / "a").read_text() == "a"
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_training_refuses_a_leak_and_leaves_no_run(faces, tmp_path):
    small = ("--checkpoint", "null", "--image_size", "32", "--layer_decay", "1.0")
    ended = run_train_hf(*words(faces, tmp_path / "run"), *small)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith(f"error: {LEAK} (exact copy)")
    assert not (tmp_path / "run").exists()
