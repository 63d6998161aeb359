"""What both commands print: losses by reason, the table of names, persons, classes of few rows."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.curation import main as curation_command
from pipeline.data.curated_folder import write_tables
from pipeline.data.curation import curate, curate_sources
from pipeline.data.readers import read_sources
from pipeline.data.report import few_rows, names_table
from pipeline.data.table import Reading
from pipeline.settings.recipe import Recipe
from pipeline.source import Source, source_from_json
from pipeline.training import machine, steps
from tests.data.folders import TWO, curated, draw_splits, fill, only, save, words

NAMES = {"joy": {"happiness": 120}, "sad": {"sadness": 1100, "left out": 2}, "contempt": {"left out": 20}}


def source(id: str, **fields: object) -> Source:
    return Source(id=id, title=id, layout="class folders", origin="local", **fields)


def contempt(root):
    """Class folders with pictures of contempt, which is not a class, and files that are no pictures."""
    draw_splits(root)
    for split in ("train", "test"):
        for index in range(3):
            save(root / split / "contempt" / f"{index}.png", 9000 + index + 10 * (split == "test"))
    (root / "train" / "sadness" / "notes.txt").write_text("x", encoding="utf-8")
    (root / "train" / "sadness" / "cut.png").write_bytes(b"x")
    return root


SAID = [
    "data: mine, left out of train: 3 contempt",
    "data: mine, left out of test: 3 contempt",
]


def test_the_curation_command_prints_a_line_for_each_reason(tmp_path, capsys):
    root = contempt(tmp_path / "mine")
    curation_command(words(root, tmp_path / "out", "--leaks", "report", "--max_bad_share", "0.5"))
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in SAID if line not in printed] == []
    assert any(line.startswith("data: mine, left out of train: 1 not a JPEG, PNG") for line in printed)


def test_training_prints_the_same_lines_before_the_model_is_built(tmp_path, monkeypatch, tiny):
    said = []
    monkeypatch.setattr(machine, "say", said.append)
    from pipeline.training.arguments import training_arguments
    from pipeline.training.plan import make_plan

    root = contempt(tmp_path / "mine")
    recipe = tiny(source="auto", data_path=str(root), classes=TWO["classes"], leaks="report", max_bad_share=0.5)
    plan = make_plan(recipe)
    steps.load_data(plan, training_arguments(plan))
    assert [line for line in SAID if line not in said] == []
    assert any(line.startswith("warning: few rows, so") for line in said)


def test_rows_that_settings_drop_have_a_line_each(tmp_path):
    for number, split in enumerate(("train", "val", "test")):
        fill(tmp_path / "mine" / split, 12, 8, start=100 * number)
    caps = {"sadness": 5, "mine/happiness": 9, "mine": 40}
    recipe = Recipe(
        data_path=str(tmp_path / "mine"), caps=caps, max_train_samples=10, max_eval_samples=15, near_copies=False, **TWO
    )
    said = []
    curate_sources(recipe, said.append)
    assert [line for line in said if line.startswith("data: dropped from")] == [
        "data: dropped from train by caps: 3 rows of sadness",
        "data: dropped from train by caps: 3 rows of mine/happiness",
        "data: dropped from train by max_train_samples: 4 rows",
        "data: dropped from validation by max_eval_samples: 5 rows",
        "data: dropped from test by max_eval_samples: 5 rows",
    ]


def test_names_in_the_sources_stand_beside_their_classes_with_their_rows():
    assert names_table([source("mine", names=NAMES), source("silent")]).splitlines() == [
        "source  name there  class       rows",
        "mine    joy         happiness    120",
        "mine    sad         sadness    1,100",
        "mine    sad         left out       2",
        "mine    contempt    left out      20",
    ]
    assert names_table([source("silent")]) == ""


def test_counts_may_be_counters():
    counted = {name: Counter(classes) for name, classes in NAMES.items()}
    entry = source("mine", names=counted, left_out={"train": Counter(contempt=20)}).to_json()
    assert (entry["names"], entry["left_out"]) == (NAMES, {"train": {"contempt": 20}})


def test_names_are_printed_and_kept_in_curation_json(tmp_path, monkeypatch):
    fill(tmp_path / "mine", 20, 20)
    recipe = Recipe(data_path=str(tmp_path / "mine"), leaks="report", **TWO)
    (reading,) = read_sources(recipe)
    named = Reading(tuple(replace(s, names=NAMES) for s in reading.sources), reading.tables)
    monkeypatch.setattr("pipeline.data.curation.read_sources", lambda recipe: [named])
    said = []
    result = curate_sources(recipe, said.append)
    assert names_table(named.sources) in said
    write_tables(tmp_path / "out", result.splits, result.report)
    entry = json.loads((tmp_path / "out" / "curation.json").read_text(encoding="utf-8"))["sources"]["mine"]
    assert entry["names"] == NAMES == source_from_json("mine", entry).names


def test_reasons_come_by_source_and_split(tmp_path):
    fill(tmp_path / "train", 20, 20)
    fill(tmp_path / "test", 20, 20, start=5000)
    (tmp_path / "test" / "sad" / "empty.png").write_bytes(b"")
    assert only(curated(tmp_path, max_bad_share=0.1))["unreadable"]["reasons"] == {"test": {"empty": 1}}


def test_classes_with_few_rows_are_listed_by_split():
    used = {
        "train": {"happiness": 30, "fear": 29, "sadness": 400},
        "validation": {"happiness": 10, "fear": 9, "sadness": 0},
        "test": {"happiness": 10, "fear": 10, "sadness": 10},
    }
    assert few_rows({"rows_used": used}) == (
        "few rows, so figures of a class are uncertain: train 1 of 3 classes below 30 (fear 29), validation 2 of 3 "
        "classes below 10 (sadness 0)"
    )
    seven = {f"class {number}": 1 for number in range(7)}
    assert len(few_rows({"rows_used": dict.fromkeys(used, seven)})) < 200
    enough = {"train": {"fear": 30}, "validation": {"fear": 10}}
    assert few_rows({"rows_used": enough}) == ""


def test_the_warning_counts_the_rows_that_row_limits_leave(tmp_path):
    fill(tmp_path, 120, 120)
    assert few_rows(curated(tmp_path).report) == ""
    assert "train 2 of 2 classes below 30 (" in few_rows(curated(tmp_path, max_train_samples=40).report)


def with_persons(root: Path, known: tuple[str, ...]) -> Path:
    """Official splits of a csv file; rows of the splits `known` name a person each."""
    rows = []
    for split, start in (("train", 0), ("val", 5000), ("test", 7000)):
        fill(root / split, 4, 4, start=start)
        for path in sorted((root / split).rglob("*.png")):
            person = f"{split}{path.stem}" if split in known else ""
            rows.append(f"{path.relative_to(root)},{path.parent.name},{split},{person}")
    (root / "mine.csv").write_text("\n".join(["path,label,split,person", *rows]), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("known", "shared", "line"),
    [
        ((), None, "data: persons: unknown, so one person may be in several splits"),
        (
            ("train", "val"),
            {"test_in_train": None, "validation_in_train": 0, "test_in_validation": None},
            "data: persons: known for 8 of 8 train rows, 8 of 8 validation rows, 0 of 8 test rows; in two splits: "
            "test_in_train unknown, validation_in_train 0, test_in_validation unknown; rows without a person may show "
            "any of them",
        ),
        (
            ("train", "val", "test"),
            {"test_in_train": 0, "validation_in_train": 0, "test_in_validation": 0},
            "data: persons: known for 8 of 8 train rows, 8 of 8 validation rows, 8 of 8 test rows; in two splits: "
            "test_in_train 0, validation_in_train 0, test_in_validation 0",
        ),
    ],
)
def test_persons_that_nobody_names_are_unknown_and_never_zero(tmp_path, known, shared, line):
    recipe = Recipe(data_path=str(with_persons(tmp_path, known)), **TWO)
    said = []
    report = curate_sources(recipe, said.append).report
    assert report["persons_shared"] == shared
    unknown = dict.fromkeys(report["copies"]["exact"])
    assert report["leaks"]["found"]["person"] == (unknown if shared is None else shared)
    assert line in said


def test_drawn_faces_are_no_persons():
    recipe = Recipe(source="drawn", drawn_faces=140, image_size=32, leaks="report")
    said = []
    curate_sources(recipe, said.append)
    assert not [line for line in said if "persons" in line]


def test_a_class_without_train_rows_is_never_answered_with_an_empty_list_of_classes(tmp_path):
    fill(tmp_path, 0, 30)
    from pipeline.errors import InputError

    with pytest.raises(InputError, match="train has no row of happiness") as refused:
        recipe = Recipe(data_path=str(tmp_path), **TWO)
        curate(read_sources(recipe), recipe)
    assert "--classes" not in str(refused.value)
