"""Scores from tables, AffectNet and drawn faces; what is refused, and splits by persons."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value

from hub.dataset.curated import read_curated
from pipeline.data.curation import curate, curate_sources
from pipeline.data.readers import read_sources
from pipeline.data.scores import one_sided
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from tests.data.test_layouts import save_affectnet_npy
from tests.scores import scored_recipe, write_faces

LINEAR = [f"{i / 40:g}" for i in range(40)]


def read_csv(folder: Path, cells: list[str], columns: str = "path,intensity", more: Any = None, **settings: Any) -> Any:
    path = write_faces(folder, cells, columns, more)
    recipe = scored_recipe(source="auto", data_path=str(path), **settings)
    return read_sources(recipe)[0], recipe


def test_a_csv_file_gives_its_numbers_and_empty_cells_are_counted(tmp_path: Path) -> None:
    reading, _ = read_csv(tmp_path, ["0.5", "", "-3", " 1e1 ", ".25"])
    table = reading.tables["all"]
    assert np.ravel(table["target"][:]).tolist() == [0.5, -3, 10, 0.25]
    assert table["key"][:] == ["000.png", "002.png", "003.png", "004.png"]
    assert reading.sources[0].left_out == {"all": {"no score": 1}}
    assert "scores intensity" in reading.sources[0].layout


def test_several_scores_come_in_the_order_of_the_setting(tmp_path: Path) -> None:
    settings = {"scores": ["arousal", "valence"]}
    reading, _ = read_csv(tmp_path, ["0.5,1", "0.25,2"], "path,valence,Arousal", **settings)
    assert reading.tables["all"]["target"][:] == [[1, 0.5], [2, 0.25]]


def test_parquet_files_have_scores_too(tmp_path: Path) -> None:
    rows = {"image": [draw_face("fear", 1, i, 32) for i in range(3)], "intensity": [0.5, None, 2.0]}
    features = Features({"image": Image(), "intensity": Value("float64")})
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "faces.parquet")
    (reading,) = read_sources(scored_recipe(source="auto", data_path=str(tmp_path / "faces.parquet")))
    assert np.ravel(reading.tables["all"]["target"][:]).tolist() == [0.5, 2]
    assert reading.sources[0].left_out["all"] == {"no score": 1}


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("nan", r"faces.csv line 3: intensity is 'nan', which is not a number"),
        ("inf", "line 3: intensity is 'inf', which is not a number"),
        ("high", "line 3: intensity is 'high', which is not a number"),
        ("1_000", "line 3: intensity is '1_000', which is not a number"),
        ('"0,5"', "line 3: intensity is '0,5', which is not a number: write a number, with a point and not a comma"),
        ("1e9", "line 3: intensity is '1e9'; a score is a number from -1e.06 to 1e.06"),
        ("1.5", r"line 3: intensity is 1.5, outside of its range from 0 to 1 \(1 such rows\)"),
    ],
)
def test_a_cell_that_is_no_score_is_refused_with_its_line(tmp_path: Path, cell: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_csv(tmp_path, ["0.1", cell, "0.3"], score_ranges={"intensity": [0.0, 1.0]})


def test_the_mark_of_an_unknown_valence_is_not_read_as_a_number(tmp_path: Path) -> None:
    settings = {"scores": ["Valence"]}
    with pytest.raises(InputError, match=r"line 3: Valence is -2, with which .* \(2 such rows\): leave these"):
        read_csv(tmp_path, ["0.5", "-2", "-1", "-2"], "path,Valence", **settings)
    reading, _ = read_csv(tmp_path, ["5", "-2", "-1"], "path,Valence", **settings)
    assert np.ravel(reading.tables["all"]["target"][:]).tolist() == [5, -2, -1], "of another range"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scores": ["valence"]}, r"no column of scores is recognised \(columns: path, intensity\); name it with --sc"),
        ({"scores": ["intensity", "valence"]}, r"no column valence \(columns: path, intensity\); scores names"),
    ],
)
def test_a_missing_column_is_named(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_csv(tmp_path, ["0.1"], **settings)


def test_a_score_that_never_changes_is_refused(tmp_path: Path) -> None:
    reading, recipe = read_csv(tmp_path, ["2"] * 40)
    with pytest.raises(InputError, match="intensity is 2 in every one of the .* train rows"):
        curate([reading], recipe)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_rows_without_a_concordance_are_refused(tmp_path: Path, split: str) -> None:
    splits = ["train"] * 30 + [split] * 5 + ["test" if split == "validation" else "validation"] * 5
    cells = [*LINEAR[:30], *["2"] * 5, *LINEAR[35:]]
    reading, recipe = read_csv(tmp_path, cells, "path,intensity,split", splits)
    with pytest.raises(InputError, match=f"intensity is 2 in every one of the 5 {split} rows, so its CCC is undefined"):
        curate([reading], recipe)


@pytest.mark.parametrize(("cut", "said"), [(0.5, ""), (0.1, "everybody of validation"), (0.99, "nobody of validation")])
def test_a_cut_with_all_of_validation_on_one_side_is_said(cut: float, said: str) -> None:
    scores = np.array([[0.1], [0.9]], dtype=np.float32)
    line = one_sided(scores, scored_recipe(screening_cut=cut, score_of="person"))
    assert said in line and bool(line) == bool(said)


def test_a_reader_of_classes_refuses_scores(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    draw_face("happiness", 1, 0, 32).save(tmp_path / "happy" / "a.png")
    with pytest.raises(
        InputError, match="source folder has classes and no scores; the scores intensity can be columns"
    ):
        read_sources(scored_recipe(source="auto", data_path=str(tmp_path)))


def test_class_folders_do_not_contradict_scores(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "sad").mkdir()
    for folder in ("happy", "sad"):
        draw_face("happiness", 1, len(folder), 32).save(tmp_path / folder / "a.png")
    (tmp_path / "faces.csv").write_text("path,intensity\nhappy/a.png,1\nsad/a.png,2\n")
    (reading,) = read_sources(scored_recipe(source="auto", data_path=str(tmp_path)))
    assert np.ravel(reading.tables["all"]["target"][:]).tolist() == [1, 2]


def test_one_picture_under_two_scores_is_refused(tmp_path: Path) -> None:
    path = write_faces(tmp_path, LINEAR)
    (tmp_path / "001.png").write_bytes((tmp_path / "000.png").read_bytes())
    recipe = scored_recipe(source="auto", data_path=str(path))
    with pytest.raises(InputError, match="2 rows with a picture that has another label elsewhere"):
        curate(read_sources(recipe), recipe)


def test_made_splits_keep_persons_together_and_have_scores_of_every_size(tmp_path: Path) -> None:
    persons = [f"p{i // 2}" for i in range(40)]
    reading, recipe = read_csv(tmp_path, LINEAR, "path,intensity,person", persons, test_share=0.2, validation_share=0.2)
    curated = curate([reading], recipe)
    each = {split: {*table["person"][:]} for split, table in curated.splits.items()}
    assert sum(len(of) for of in each.values()) == 20 == len(set.union(*each.values()))
    assert curated.report["persons_shared"] == dict.fromkeys(curated.report["persons_shared"], 0)
    assert all(np.ptp(table["target"][:]) > 0.5 for table in curated.splits.values())
    assert curated.report["scores"]["train"]["intensity"].keys() == {"low", "mean", "high", "sd"}


@pytest.mark.parametrize("leaks", ["error", "report"])
def test_a_person_in_two_given_splits_is_refused_whatever_leaks_says(tmp_path: Path, leaks: str) -> None:
    cells = [f"p{i},{'test' if i > 30 else 'validation' if i > 20 else 'train'}" for i in range(40)]
    cells[0] = cells[0].replace("p0", "p39")
    reading, recipe = read_csv(tmp_path, LINEAR, "path,intensity,person,split", cells, leaks=leaks)
    with pytest.raises(InputError, match="train holds 1 row of test .person|persons of train are in 1 row of test too"):
        curate([reading], recipe)


def test_scores_of_persons_need_persons(tmp_path: Path) -> None:
    persons = ["", *(f"p{i // 4}" for i in range(1, 40))]
    cells = [f"{person},{'train' if 0 < i < 20 else 'validation'}" for i, person in enumerate(persons)]
    settings = {"score_of": "person", "test_share": 0.0}
    reading, recipe = read_csv(tmp_path, LINEAR, "path,intensity,person,split", cells, **settings)
    with pytest.raises(InputError, match="score_of is person, and 1 rows of validation and test name none"):
        curate([reading], recipe)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({3: "1,.7"}, r"arousal of the person .*p1. is 0.025 in 002.png and 0.7 in 003.png \(1 such person\): correct"),
        ({0: "9,0", 39: "20,.475"}, r"valence of the person .*p0. is 9 in 000.png and 0 in 001.png \(2 such persons\)"),
        ({20: "-0.001,.25"}, "valence of the person .faces: p10. is -0.001 in 020.png and 10 in 021.png"),
    ],
)  # fmt: skip
def test_a_person_with_two_scores_is_named_where_the_score_is_the_persons(
    tmp_path: Path, changed: dict[int, str], said: str
) -> None:
    cells = [changed.get(i, f"{i // 2},{i // 2 / 40}") for i in range(40)]
    settings: dict[str, Any] = {
        "scores": ["valence", "arousal"],
        "near_copies": False,
        "validation_share": 0.3,
        "test_share": 0.3,
    }
    persons = [f"p{i // 2}" for i in range(40)]
    reading, recipe = read_csv(tmp_path, cells, "path,valence,arousal,person", persons, **settings)
    curate([reading], recipe)
    with pytest.raises(InputError, match=said):
        curate([reading], scored_recipe(**settings, source="auto", score_of="person"))


def write_affectnet(root: Path, kind: str) -> Path:
    """Six pictures whose valence is known but for one; the arousal of another is unknown."""
    values = [(0.5, 0.1), (-2, 0.1), (1, -1), (0, 0), (0.25, -2), (-0.75, 0.5)]
    if kind == "folders":
        save_affectnet_npy(root, [0] * 6)
        for index, pair in enumerate(values):
            for name, value in zip(("val", "aro"), pair, strict=True):
                saved = np.array(str(value)) if index % 2 else np.array(float(value))  # AffectNet has both
                np.save(root / "train_set" / "annotations" / f"{index:02d}_{name}.npy", saved)
        return root
    lines = ["subDirectory_filePath,expression,valence,arousal"]
    for index, (valence, arousal) in enumerate(values):
        draw_face("fear", 3, index, 32).save(root / f"{index}.png")
        lines.append(f"{index}.png,0,{valence},{arousal}")
    (root / "training.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("kind", ["folders", "csv"])
def test_valence_and_arousal_of_affectnet_without_the_unknown(tmp_path: Path, kind: str) -> None:
    recipe = scored_recipe(source="auto", scores=["valence", "arousal"], data_path=str(write_affectnet(tmp_path, kind)))
    (reading,) = read_sources(recipe)
    assert reading.tables["train"]["target"][:] == [[0.5, np.float32(0.1)], [1, -1], [0, 0], [-0.75, 0.5]]
    assert reading.sources[0].left_out["train"]["no score"] == 2
    assert reading.sources[0].id == "affectnet"


def test_affectnet_has_two_scores_from_minus_one_to_one(tmp_path: Path) -> None:
    root = write_affectnet(tmp_path, "csv")
    with pytest.raises(InputError, match="AffectNet has no anger; it has valence and arousal"):
        read_sources(scored_recipe(source="auto", scores=["anger"], data_path=str(root)))
    text = (root / "training.csv").read_text()
    (root / "training.csv").write_text(text.replace("1,-1", "1.5,-1"))
    with pytest.raises(InputError, match="training.csv line 4: valence is 1.5, outside of its range from -1 to 1"):
        read_sources(scored_recipe(source="auto", scores=["valence"], data_path=str(root)))


def test_drawn_faces_move_as_far_as_their_score_says() -> None:
    still, moved = (np.asarray(draw_face("surprise", 1, 2, 64, intensity=share), float) for share in (0.0, 1.0))
    half = np.asarray(draw_face("surprise", 1, 2, 64, intensity=0.5), float)
    neutral = np.asarray(draw_face("neutral", 1, 2, 64), float)
    assert np.abs(still - neutral).max() == 0
    assert np.abs(half - still).mean() < np.abs(moved - still).mean()


def test_drawn_scores_fill_their_range_and_know_one_name() -> None:
    recipe = scored_recipe(drawn_faces=60)
    said: list[str] = []
    curated = curate_sources(recipe, said.append)
    assert any(line.startswith("data: score intensity in train: ") and "mean 0." in line for line in said)
    scores = np.ravel(curated.splits["train"]["target"][:])
    assert 0 <= scores.min() < 0.2 and 0.8 < scores.max() <= 1
    assert [*curated.report["rows"]["train"]] == recipe.labels
    with pytest.raises(InputError, match="source drawn knows one: --scores"):
        read_sources(scored_recipe(scores=["valence"]))


def test_a_curated_folder_keeps_scores(tmp_path: Path) -> None:
    from pipeline.data.curated_folder import write_curated

    recipe = scored_recipe(drawn_faces=40)
    first = curate(read_sources(recipe), recipe)
    write_curated(tmp_path / "out", first)
    again = scored_recipe(source="auto", data_path=str(tmp_path / "out"))
    second = curate(read_sources(again), again)
    for split, table in first.splits.items():
        assert table["target"][:] == second.splits[split]["target"][:]
    with pytest.raises(InputError, match="has scores: --dataset publishes curated folders with classes"):
        read_curated(tmp_path / "out")
    with pytest.raises(InputError, match="was curated for the scores intensity: set task and scores"):
        read_sources(scored_recipe(source="auto", scores=["valence"], data_path=str(tmp_path / "out")))
