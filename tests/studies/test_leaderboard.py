"""Ranks against planted differences, and pages that no name can break."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.run_folder import write_json
from pipeline.studies.comparison import Difference
from pipeline.studies.leaderboard import main
from pipeline.studies.origin import Origin
from pipeline.studies.ranking import _ranks, entries_of, tables_of
from tests.evaluation.test_evaluation import drawn_rows, write_predictions


def run(folder: Path, share: float, seed: int = 0, split: str = "test", rows: int = 400, **about: object) -> Path:
    """A sealed-looking run folder whose answers are right on the first `share` of its rows."""
    columns = drawn_rows(split, rows, clean=[True] * rows)
    label = np.array(columns["label"])
    answer = np.where(np.arange(rows) < share * rows, label, (label + 1) % 3)
    columns["logits"] = (5.0 * np.eye(3)[answer]).tolist()
    folder.mkdir(parents=True)
    write_predictions(folder / "predictions.parquet", columns, seed=seed)
    write_json(folder / "environment.json", {"git_revision": "abcdef0123", "sha256": {"model.safetensors": "5" * 64}})
    write_json(folder / "evaluation.json", about)
    return folder


def test_entries_that_cannot_be_told_apart_have_one_rank(tmp_path: Path) -> None:
    best, close, worse = run(tmp_path / "best", 0.9), run(tmp_path / "close", 0.895), run(tmp_path / "worse", 0.7)
    (official, *_) = tables_of(entries_of([worse, close, best]))
    assert [(line.name, line.rank) for line in official.lines] == [("best", 1), ("close", 1), ("worse", 3)]
    assert official.to_next[0].p > 0.05 > official.to_next[1].p
    assert official.lines[0].origin is not None and official.lines[0].origin.weights == ("5" * 12,)


def test_ranks_allow_for_the_number_of_pairs() -> None:
    def difference(p: float) -> Difference:
        return Difference(100, 0.05, 0.01, 0.09, p)

    one = {("a", "b"): difference(0.03)}
    assert _ranks(["a", "b"], one) == {"a": 1, "b": 2}
    more = one | {("a", "c"): difference(0.4), ("b", "c"): difference(0.5)}
    assert _ranks(["a", "b", "c"], more) == {"a": 1, "b": 1, "c": 1}
    stepped = one | {("a", "c"): difference(0.001), ("b", "c"): difference(0.02)}
    assert _ranks(["a", "b", "c"], stepped) == {"a": 1, "b": 2, "c": 3}


def test_seeds_are_one_entry_and_baselines_stand_below(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        run(tmp_path / f"study-seed-{seed}", 0.8 + seed / 100, seed)
    run(tmp_path / "other", 0.5)
    main([str(tmp_path / "study"), str(tmp_path / "other"), "--output_dir", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert re.search(r"1  0\.810 .* study$", printed, re.MULTILINE)
    assert re.search(r"-  0\.\d+ .* always anger$", printed, re.MULTILINE) and "one human voter" in printed
    text = (tmp_path / "out/leaderboard.md").read_text()
    assert "| 1 | study | 0 1 2 | 0.810" in text and "official: all test rows, n = 400" in text


def test_an_entry_without_the_rows_is_named(tmp_path: Path) -> None:
    paths = [run(tmp_path / "a", 0.9), run(tmp_path / "b", 0.8), run(tmp_path / "c", 0.8, split="validation")]
    tables = tables_of(entries_of(paths))
    assert [table.row_set for table in tables] == ["official", "clean"]
    assert [table.without for table in tables] == [["c"], ["c"]]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


@pytest.mark.parametrize("name", ["<script>x", "a|b", "[x](javascript:y)", "`x`", "**x**", "a\nb", "\x1b[31mred"])
def test_no_name_is_markup(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / name, 0.9), run(tmp_path / "plain", 0.5)
    main([str(tmp_path / name), str(tmp_path / "plain"), "--output_dir", str(tmp_path / "out")])
    lines = (tmp_path / "out/leaderboard.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {len(re.findall(r"\|", table[0]))}
    assert not re.search(r"(?<!\\)[<`\[*]", "".join(line.split(" | ")[1] for line in table))
    parser = _Tags()
    parser.feed((tmp_path / "out/leaderboard.html").read_text())
    assert "script" not in parser.tags and "\x1b" not in "".join(lines)
    assert "\x1b" not in capsys.readouterr().out


def test_an_evaluated_model_is_an_entry_beside_a_run(tmp_path: Path) -> None:
    model = {"name": "somewhere/folder/net.onnx", "weights_sha256": "7" * 64}
    judged = run(tmp_path / "judged", 0.7, model=model)
    (judged / "environment.json").unlink()
    (official, *_) = tables_of(entries_of([run(tmp_path / "ours", 0.9), judged]))
    assert official.lines[1].origin == Origin("python -m pipeline.evaluation --model net.onnx", "", ("7" * 12,))


def test_bad_entries_are_named(tmp_path: Path) -> None:
    one = run(tmp_path / "one", 0.9)
    with pytest.raises(InputError, match="two entries or more"):
        tables_of(entries_of([one]))
    with pytest.raises(InputError, match="two entries are called one"):
        entries_of([one, run(tmp_path / "more" / "one", 0.9)])
    with pytest.raises(InputError, match="nowhere: no finished run here"):
        entries_of([one, tmp_path / "nowhere"])
    with pytest.raises(InputError, match="no two entries have the same row set"):
        tables_of(entries_of([one, run(tmp_path / "three", 0.9, split="validation")]))
    with pytest.raises(InputError, match="one and other: .* have no partner"):
        tables_of(entries_of([one, run(tmp_path / "other", 0.9, rows=300)]))
    with pytest.raises(InputError, match="cannot be written"):
        (tmp_path / "file").touch()
        main([str(one), str(run(tmp_path / "two", 0.8)), "--output_dir", str(tmp_path / "file")])
