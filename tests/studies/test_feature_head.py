"""The head on rows of features: what it reads and drops, that it finds the score, and what it refuses."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.clnf import NO_FACE, NO_NUMBER, files_in
from pipeline.data.readers.inventory import inventory
from pipeline.errors import InputError
from pipeline.studies import feature_head
from tests.avec import AUS, DEV, POSE, TRAIN, participants, write_features, write_list, write_set


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("daic"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of its own, to change."""
    inventory.cache_clear()
    return write_set(tmp_path / "daic", 8, 4)


def test_features_are_means_and_deviations_over_rows_with_a_face(tmp_path: Path) -> None:
    write_features(tmp_path, 300, 12, frames=20, lost=[0, 7], bad=[3])
    inventory.cache_clear()
    found = files_in(inventory(tmp_path)).features("300", "list line 2")
    assert found.dropped == {NO_FACE: 4, NO_NUMBER: 2} and found.frames == 2 * 17
    assert found.names == tuple(f"{n} {w}" for of in (AUS, POSE) for w in ("mean", "sd") for n in of)
    rows = [line.split(", ") for line in (tmp_path / "300_P" / "300_CLNF_AUs.txt").read_text().splitlines()[1:]]
    kept = np.array([[float(cell) for cell in row[4:]] for i, row in enumerate(rows) if i not in (0, 3, 7)])
    assert found.values[:8] == pytest.approx(np.concatenate([kept.mean(0), kept.std(0)]))


def test_the_head_finds_the_score_in_persons_it_has_not_seen(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory.cache_clear()
    out = tmp_path / "runs" / "head"
    feature_head.main([str(written), "--output_dir", str(out)])
    said = capsys.readouterr().out
    evaluation = json.loads((out / "feature_evaluation.json").read_text())
    rows = evaluation["validation"]
    assert rows["n"] == rows["persons"] == 12 and rows["resampled"] == "persons"
    assert rows["ccc"]["low"] > 0.9 and rows["baselines"]["constant"]["ccc"]["value"] == 0
    assert rows["screening"]["cut"] == 10 and rows["screening"]["found"]["this model"]["auc"]["value"] > 0.9
    assert rows["screening"]["found"]["constant"]["auc"]["value"] == 0.5
    for word in ("left out: 2 participants whose list has no scores", "columns not read: Gender", "not a diagnosis",
                 "train 30, validation 12, test 0", "validation: persons of the validation list"):  # fmt: skip
        assert word in said, word
    assert "mean over the pictures" not in said
    with (out / "predictions.csv").open() as file:
        assert [row["participant"] for row in csv.DictReader(file)] == [str(n) for n in participants()[1]]
    head = json.loads((out / "head.json").read_text())
    largest = max(head["features"], key=lambda name: abs(head["features"][name]["weight"]))
    assert largest == "AU12_r mean" and [*tmp_path.rglob(".head-*")] == []
    with pytest.raises(InputError, match="output_dir .* exists: give another --output_dir"):
        feature_head.main([str(written), "--output_dir", str(out)])


def test_scores_that_features_do_not_carry_give_no_concordance(tmp_path: Path) -> None:
    train, dev = participants()
    write_list(tmp_path, TRAIN, train)
    write_list(tmp_path, DEV, dev)
    for number in train | dev:
        write_features(tmp_path, number, 6)
    inventory.cache_clear()
    persons = feature_head.read_persons(tmp_path)
    head = feature_head.fit(persons)
    evaluation = feature_head.evaluation_of(feature_head.predictions_of(head, persons))
    assert evaluation["validation"]["ccc"]["low"] < 0.1


def test_a_feature_that_never_changes_in_train_has_no_weight(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(300, 312):
        path = folder / f"{number}_P" / f"{number}_CLNF_AUs.txt"
        lines = [line.split(", ") for line in path.read_text().splitlines()]
        rows = [line[:7] + (["1"] if i and number < 308 else line[7:]) for i, line in enumerate(lines)]
        path.write_text("\n".join(map(", ".join, rows)) + "\n")
    head = feature_head.fit(feature_head.read_persons(folder))
    weights = dict(zip(head.names, head.weights.tolist(), strict=True))
    assert weights["AU12_c mean"] == weights["AU12_c sd"] == 0 and weights["AU12_r mean"] != 0
    assert "2 features are equal for all persons of train, and are left out" in capsys.readouterr().out


def test_the_answers_of_the_file_are_those_of_the_head(written: Path) -> None:
    inventory.cache_clear()
    persons = feature_head.read_persons(written)
    head = feature_head.fit(persons)
    saved, answers = head.as_json(), []
    for values in persons.values:
        parts = zip(values.tolist(), saved["features"].values(), strict=True)
        score = saved["intercept"] + sum((v - f["mean"]) / f["sd"] * f["weight"] for v, f in parts)
        answers.append(min(max(score, saved["lowest"]), saved["highest"]))
    assert head.answers(persons.values) == pytest.approx(answers)
    assert head.answers(persons.values * 100).max() <= 24


def change_cell(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def without_faces(root: Path) -> None:
    write_features(root, 303, 3, frames=10, lost=range(9))


def copied(root: Path) -> None:
    for kind in ("AUs", "pose"):
        (root / "309_P" / f"309_CLNF_{kind}.txt").write_bytes((root / "301_P" / f"301_CLNF_{kind}.txt").read_bytes())


def twice(root: Path) -> None:
    (root / "old").mkdir()
    (root / "old" / "301_CLNF_AUs.txt").write_bytes((root / "301_P" / "301_CLNF_AUs.txt").read_bytes())


def equal_scores(root: Path) -> None:
    write_list(root, TRAIN, dict.fromkeys(range(300, 308), 5))


AU_FILE = "305_P/305_CLNF_AUs.txt"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove(AU_FILE), f"{TRAIN} line 7: participant 305 has no {AU_FILE}: add it, or take the row out"),
        (remove("309_P/309_CLNF_pose.txt"), f"{DEV} line 3: participant 309 has no 309_P/309_CLNF_pose.txt"),
        (without_faces, r"303_CLNF_AUs.txt has 1 rows with a face \(9 dropped\): participant 303 has no features"),
        (change_cell(AU_FILE, "0.95, 1, ", "0.95, 1, high"), "305_CLNF_AUs.txt is damaged: .*high"),
        (change_cell(AU_FILE, "0.95, 1, ", "0.95, 1, 2, "), "305_CLNF_AUs.txt is damaged: .*Expected 8 columns, got 9"),
        (change_cell(AU_FILE, "success", "succes"), "305_CLNF_AUs.txt: no column success .*: it is not a file of CLNF"),
        (change_cell(AU_FILE, "AU04_r", "AU01_r"), "305_CLNF_AUs.txt: a column twice"),
        (change_cell(AU_FILE, "AU04_r", "AU05_r"), "participant 305 and 300 differ in the feature AU0[45]_r"),
        (copied, f"{DEV} line 3: the features of participant 309 equal those of 301, so one is a copy"),
        (twice, "are both the aus of one participant: keep one"),
        (equal_scores, "PHQ8_Score is 5 for all 8 persons of train, so nothing can be learned"),
        (remove(DEV), "the lists have scores of 8 persons to train on and of 0 to measure on"),
        (remove(TRAIN), "the lists have scores of 0 persons to train on and of 4 to measure on"),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_line_and_nothing_is_written(
    folder: Path, change: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    change(folder)
    with pytest.raises(InputError, match=said) as error:
        feature_head.main([str(folder), "--output_dir", str(tmp_path / "out")])
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data_path .* is not a folder"):
        feature_head.main([str(tmp_path / "nowhere"), "--output_dir", str(tmp_path / "out")])
