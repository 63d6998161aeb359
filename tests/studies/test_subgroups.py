"""Groups against planted differences: what is found, what is not, and what is said of groups that nobody can test."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.crop import Face
from pipeline.errors import InputError
from pipeline.run_folder import read_run
from pipeline.studies.groups import Group, _marked, by_group, quarters
from pipeline.studies.run_pictures import answers_of, pictures_of
from pipeline.studies.subgroups import columns_of_file, main, roll_and_turn, sharpness

N, CLASSES = 3000, 7


def planted(seed: int, loss: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right (N,), label (N,) and a tone (N,) whose dark quarter is right less often by `loss`.

    Classes differ in difficulty, and the dark quarter has more of the hard ones.
    """
    random = np.random.default_rng(seed)
    dark = random.random(N) < 0.25
    label = np.where(dark, random.integers(3, CLASSES, N), random.integers(CLASSES, size=N))
    share = np.linspace(0.95, 0.6, CLASSES)[label] - loss * dark
    return random.random(N) < share, label, np.where(dark, "dark", "light").astype(object)


def test_a_planted_bias_is_found_and_its_size_is_in_the_interval() -> None:
    right, label, tone = planted(0, loss=0.1)
    dark, light = by_group(right, label, {"tone": tone}, 0)
    assert dark.value == "dark" and dark.beyond_chance and light.beyond_chance
    assert dark.low < -0.1 < dark.high < 0 and light.difference == pytest.approx(-dark.difference)


def test_hard_classes_are_not_taken_for_a_bias() -> None:
    found = [by_group(*planted(seed)[:2], {"tone": planted(seed)[2]}, 0)[0] for seed in range(60)]
    raw = [right[tone == "dark"].mean() - right[tone == "light"].mean() for right, _, tone in map(planted, range(60))]
    assert np.mean(raw) < -0.05  # what a plain difference would report
    assert abs(np.mean([group.difference for group in found])) < 0.006
    assert np.mean([group.beyond_chance for group in found]) <= 0.1
    covered = np.mean([group.low <= 0 <= group.high for group in found])
    assert covered > 0.88


def test_many_groups_do_not_make_a_difference_out_of_chance() -> None:
    alarms = 0
    for seed in range(6):
        right, label, _ = planted(seed)
        random = np.random.default_rng([seed, 1])
        columns = {f"c{i}": random.integers(4, size=N).astype(str).astype(object) for i in range(5)}
        groups = by_group(right, label, columns, 0)
        alarms += any(group.beyond_chance for group in groups)
        assert len(groups) == 20
    assert alarms <= 2


def test_beyond_chance_allows_for_the_number_of_groups() -> None:
    def marked(*ps: float) -> list[bool]:
        groups = [Group("g", str(i), 100, 0.5, 0.1, 0.01, 0.19, p) for i, p in enumerate(ps)]
        return [group.beyond_chance for group in _marked(groups)]

    assert marked(0.03) == [True]
    assert marked(0.03, 0.4, 0.5) == [False] * 3
    assert marked(0.4, 0.02, 0.001) == [False, True, True]


def test_the_p_value_is_that_of_a_table_worked_out_by_hand() -> None:
    # Two classes; inside: 30 of 50 and 40 of 60 right, outside: 45 of 50 and 50 of 60 right.
    parts = [(0, True, 50, 30), (1, True, 60, 40), (0, False, 50, 45), (1, False, 60, 50)]
    label = np.concatenate([np.full(n, k) for k, _, n, _ in parts])
    group = np.concatenate([np.full(n, "in" if inside else "out", object) for _, inside, n, _ in parts])
    right = np.concatenate([np.arange(n) < hits for _, _, n, hits in parts])
    inside = by_group(right, label, {"g": group}, 0)[0]
    expected = 50 * 75 / 100 + 60 * 90 / 120
    variance = 50 * 50 * 75 * 25 / (100**2 * 99) + 60 * 60 * 90 * 30 / (120**2 * 119)
    from scipy.stats import norm

    z = (abs(70 - expected) - 0.5) / np.sqrt(variance)
    assert inside.p == pytest.approx(2 * norm.sf(z))
    assert inside.difference == pytest.approx((25 * -0.3 + 30 * (-1 / 6)) / 55)


def test_few_rows_are_counted_and_not_tested() -> None:
    right, label, tone = planted(1)
    tone[:29] = "rare"
    tone[100:200] = None
    groups = {group.value: group for group in by_group(right, label, {"tone": tone}, 0)}
    assert groups["rare"].n == 29 and groups["rare"].p is None and not groups["rare"].beyond_chance
    assert sum(group.n for group in groups.values()) == N - 100


def test_a_group_with_classes_of_its_own_is_not_compared() -> None:
    label = np.repeat([0, 1], 50)
    group = np.where(label == 0, "a", "b").astype(object)
    assert [one.difference for one in by_group(label == 0, label, {"g": group}, 0)] == [None, None]


def test_quarters_hold_equal_values_together_and_leave_the_unknown_out() -> None:
    named = quarters(np.array([1, 2, 3, 4, 5, 6, 7, 8, np.nan]))
    assert [name[:1] if name else None for name in named] == ["1", "1", "2", "2", "3", "3", "4", "4", None]
    assert len(set(quarters(np.full(50, 48.0)))) == 1
    assert set(quarters(np.array([np.nan, np.nan]))) == {None}


def test_sharpness_falls_with_blur_and_not_with_light() -> None:
    import cv2

    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (48, 48)).astype(np.uint8)
    blurred, dark = cv2.GaussianBlur(picture, (0, 0), 1.5), (picture * 0.3).astype(np.uint8)
    sharp = sharpness(np.stack([picture, blurred, dark]))
    assert sharp[1] < sharp[0] / 3 and sharp[2] == pytest.approx(sharp[0], rel=0.02)


@pytest.mark.parametrize(
    ("points", "roll", "turn"),
    [
        (((10, 20), (50, 20), (30, 45)), 0, 0),  # frontal
        (((10, 20), (50, 20), (40, 45)), 0, 0.25),  # nose towards one eye
        (((10, 20), (50, 20), (20, 45)), 0, 0.25),
        (((10, 10), (50, 50), (10, 50)), 45, 0),  # turned in the picture, not in depth
    ],
)
def test_roll_and_turn_of_a_head_come_from_eyes_and_nose(points: tuple, roll: float, turn: float) -> None:
    found = roll_and_turn(Face((0, 0, 60, 60), *points[:2], 0.9, points[2]))
    assert found == (pytest.approx(roll), pytest.approx(turn))


def test_the_report_says_what_is_known_and_what_is_not(
    finished_run: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = read_run(finished_run.path)
    table = pictures_of(run, None, "validation")
    right, label = answers_of(run.path, table)
    assert len(right) == len(label) == len(table)
    keys = table["key"][:]
    file = tmp_path / "groups.csv"
    rows = [f"{key},{'young' if i % 2 else 'old' if i % 3 else ''}" for i, key in enumerate(keys)]
    file.write_text("\n".join(["key,age_group", *rows]) + "\n")
    main([str(run.path), "--groups", str(file), "--output_dir", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "out/subgroups.json").read_text())
    assert found["not_measured"] == ["gender", "skin tone"] and "not measured: gender, skin tone" in printed
    assert found["unknown_rows"]["age_group"] == sum(not (i % 2) and not i % 3 for i in range(len(keys)))
    ages = {group["value"]: group["n"] for group in found["groups"] if group["column"] == "age_group"}
    assert ages["young"] == len(keys) // 2 and {group["column"] for group in found["groups"]} >= {
        "brightness",
        "contrast",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,age\na,1\n", "key"),
        ("key\na\n", "no column beside key"),
        ("key,age\na,1\na,2\n", "line 3: the key 'a' stands here twice"),
        ("key,age\nz,1\n", "none of its 1 keys is in the data; a key of the data is 'a'"),
        ("key,age\na,1,2\n", "line 2"),
    ],
)
def test_a_bad_table_of_groups_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        columns_of_file(tmp_path / "groups.csv", ["a", "b"])
