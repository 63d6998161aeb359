"""Lists of participants with PHQ-8 as AVEC 2017 and 2019 write them, and pictures of each as a source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.curation import curate
from pipeline.data.readers import read_source, read_sources
from pipeline.data.readers.participants import is_list, read_participants
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from tests.avec import DEV, TEST, TRAIN, participants, write_features, write_list, write_pictures
from tests.scores import scored_recipe

SIZES = (10, 4)  # participants of train and dev


def recipe_at(folder: Path, **settings: Any) -> Recipe:
    of = {"scores": ["PHQ8_Score"], "score_of": "person", "source": "avec", "screening_cut": 10, "near_copies": False}
    return scored_recipe(**of | {"data_path": str(folder)} | settings)


def test_lists_of_2017_and_2019_give_scores_and_splits(tmp_path: Path) -> None:
    lists = [write_list(tmp_path, TRAIN, {303: 0, 304: 24}), write_list(tmp_path, DEV, {302: 10})]
    lists += [write_list(tmp_path, "test_split.csv", {300: 7}, "2019")]
    found = read_participants(lists)
    assert {n: (row.split, row.score) for n, row in found.rows.items()} == {
        "303": ("train", 0), "304": ("train", 24), "302": ("validation", 10), "300": ("test", 7)
    }  # fmt: skip
    assert found.notes == () and found.columns_not_read == ("Gender", "PCL-C (PTSD)", "PTSD Severity")


def test_a_test_list_without_scores_gives_way_to_the_one_that_has_them(tmp_path: Path) -> None:
    bare = write_list(tmp_path, TEST, {300: "", 301: ""}, "no scores")
    assert [row.score for row in read_participants([bare]).without_score] == [None, None]
    full = write_list(tmp_path, "full_test_split.csv", {300: 3, 301: 12}, "2019")
    for order in ([bare, full], [full, bare]):
        found = read_participants(order)
        assert [row.score for row in found.of("test")] == [3, 12] and found.lists == (full,)
    later = full.rename(tmp_path / "test_split_scores.csv")  # its name comes after that of the bare list
    assert read_participants([bare, later]).lists == (later,)


def test_columns_that_disagree_with_the_score_are_said_and_the_score_decides(tmp_path: Path) -> None:
    path = write_list(tmp_path, TRAIN, {409: 10, 410: 4})
    text = path.read_text().replace("409,1,10", "409,0,10").replace("410,0,4,0,1", "410,0,4,0,3")
    path.write_text(text)
    found = read_participants([path])
    assert found.rows["409"].score == 10 and found.rows["410"].score == 4
    assert [note.row for note in found.notes] == [f"line 2 of {TRAIN}", f"line 3 of {TRAIN}"]
    assert tuple(note.said for note in found.notes) == (
        "PHQ8_Binary of participant 409 is 0, and the score is 10",
        "the items of participant 410 sum to 6, and the score is 4",
    )
    for number in (409, 410):
        write_pictures(tmp_path, number, 4, 1)
    layout = read_source(recipe_at(tmp_path)).sources[0].layout
    assert layout.endswith(f"in 2 rows PHQ8_Binary or the items disagree with the score, which decides, the first on "
                           f"line 2 of {TRAIN}"), "a record that is published names nobody"  # fmt: skip
    assert "409" not in layout


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({303: 4, 304: ""}, "2017.csv line 3: PHQ8_Score of participant 304 is missing: write it, or take the"),
        ({303: 25}, "line 2: PHQ8_Score of participant 303 is '25'; PHQ-8 is a whole number from 0 to 24"),
        ({303: -1}, "PHQ8_Score of participant 303 is '-1'"),
        ({303: 10.5}, "PHQ8_Score of participant 303 is '10.5'"),
        ({303: "nan"}, "PHQ8_Score of participant 303 is 'nan'"),
        ({"anna": 4}, "line 2: Participant_ID is 'anna'; write the number of the person, such as 303"),
        ({303: 4, "0303": 5}, "participant 303 is in .*line 2 already, and nobody may be listed twice or in two"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_refused_with_its_line(tmp_path: Path, scores: dict[Any, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_participants([write_list(tmp_path, TRAIN, scores)])


def test_a_person_in_two_lists_is_refused(tmp_path: Path) -> None:
    lists = [write_list(tmp_path, TRAIN, {303: 4, 304: 2}), write_list(tmp_path, DEV, {304: 2})]
    with pytest.raises(InputError, match=f"{DEV} line 2: participant 304 is in .*{TRAIN} line 3 already"):
        read_participants(lists)


def test_two_lists_of_one_split_are_refused(tmp_path: Path) -> None:
    lists = [write_list(tmp_path, TRAIN, {303: 4}), write_list(tmp_path, "train_split.csv", {304: 2}, "2019")]
    with pytest.raises(InputError, match="both list the split train: move one of them away"):
        read_participants(lists)
    (tmp_path / "train_split.csv").write_text("Name,Age\nanna,3\n")
    assert not is_list(tmp_path / "train_split.csv")


def save(root: Path) -> Path:
    train, dev = participants(*SIZES)
    write_list(root, TRAIN, train)
    write_list(root, DEV, dev)
    write_list(root, TEST, {900: ""}, "no scores")
    for number, score in (train | dev | {900: 3, 901: 5}).items():
        write_pictures(root, number, score, 2)
    return root


def test_pictures_of_participants_are_a_source_with_persons_and_all_else_is_counted(tmp_path: Path) -> None:
    root = save(tmp_path)
    write_features(root, 300, 3)
    (root / "loose.png").write_bytes((root / "300_P" / "faces" / "0000.png").read_bytes())
    (reading,) = read_sources(recipe_at(root))
    train, dev = participants(*SIZES)
    for split, of in (("train", train), ("validation", dev)):
        table = reading.tables[split]
        assert list(zip(table["person"][:], np.ravel(table["target"][:]).tolist(), strict=True)) == [
            (str(number), score) for number, score in of.items() for _ in range(2)
        ]
    assert "test" not in reading.tables
    left_out = reading.sources[0].left_out["all"]
    assert left_out["picture of a participant whose list has no scores"] == 2
    assert left_out["picture in NNN_P/ of a participant in no list"] == 2
    assert left_out["picture outside of the folders NNN_P/"] == 1
    assert left_out["not read: 300_P/300_CLNF_AUs.txt, 300_P/300_CLNF_pose.txt"] == 2
    assert not reading.sources[0].may_publish_labels and not reading.sources[0].may_publish_pixels


def test_a_test_split_without_scores_is_made_of_other_persons(tmp_path: Path) -> None:
    recipe = recipe_at(save(tmp_path), test_share=0.2)
    curated = curate(read_sources(recipe), recipe)
    each = {split: {*table["person"][:]} for split, table in curated.splits.items()}
    assert len(each["test"]) >= 2 and sum(map(len, each.values())) == sum(SIZES) == len(set.union(*each.values()))


def remove_picture(root: Path) -> None:
    for file in (root / "305_P" / "faces").iterdir():
        file.unlink()


def remove_lists(root: Path) -> None:
    for name in (TRAIN, DEV, TEST):
        (root / name).unlink()


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        (remove_picture, {}, f"{TRAIN} line 7: participant 305 has no picture in 305_P/"),
        (remove_lists, {}, "no list of participants there, such as train_split_Depression_AVEC2017.csv"),
        (lambda _: None, {"scores": ["phq"]}, r"scores is \['phq'\], and source avec has one score"),
    ],
)
def test_a_source_that_is_not_whole_is_refused(
    tmp_path: Path, change: Callable[[Path], None], settings: dict[str, Any], said: str
) -> None:
    change(save(tmp_path))
    with pytest.raises(InputError, match=said):
        read_source(recipe_at(tmp_path, **settings))
