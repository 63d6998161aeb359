"""What becomes of a layout: the curation command run in this process, and its tables compared with what is true."""

import contextlib
import io
import json
import re
import shlex
import signal
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from datasets import Features
from PIL import Image

from tests.data.layouts.checkout import InputError, curation
from tests.data.layouts.expectation import NEVER, Expected, Layout
from tests.data.layouts.place import EVERY, LEFT_OUT, READ, Place, Row, digest_of

SECONDS = 60  # a layout takes about one on a busy machine; a reader that opens a pipe never returns
LONGEST = 2000  # characters of a message


@dataclass(frozen=True)
class Outcome:
    """`right`, `refused` (the message), `WRONG` (how) or `TRACE` (what was raised), and whether that is expected."""

    verdict: str
    detail: str = ""
    expected: bool = True

    @property
    def mark(self) -> str:
        """For the table of outcomes."""
        return "ok" if self.expected else "not ok"

    def __str__(self) -> str:
        return f"{self.verdict}: {self.detail}" if self.detail else self.verdict


@dataclass(frozen=True)
class Found:
    """A row of the tables that were built."""

    digest: str
    label: str
    split: str
    person: str | None
    target: list[float]


class HangsError(BaseException):
    """The command did not end; no `except Exception` may swallow it."""


def outcome_of(layout: Layout, folder: Path) -> Outcome:
    """Make the layout in `folder`, curate it, and judge what came of it."""
    place = Place(folder)
    given = layout.make(place)
    words = ["own_faces", *(option.replace("FOLDER", str(place.root)) for option in layout.options)]
    if not any(option.startswith("--sources") for option in layout.options):
        words += ["--data_path", str(place.root if given is None else place.root / given)]
    got = _run(words, folder / "curated", place, layout.expected)
    follow = layout.expected.follow
    if got.verdict != "refused" or follow is None or not got.expected:
        return got
    proposed = re.search(rf"{follow} ('[^']*'|\"[^\"]*\"|[^\s;,]+)", got.detail)
    if proposed is None:
        return Outcome("WRONG", f"the line proposes no {follow}: {got.detail}", expected=False)
    words += [follow, *shlex.split(proposed[1])]
    then = _run(words, folder / "then", place, Expected(may_be_right=True, may_be_refused=False))
    return got if then.expected else Outcome("WRONG", f"after {follow} {proposed[1]}: {then}", expected=False)


def _run(words: list[str], out: Path, place: Place, expected: Expected) -> Outcome:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), _within(SECONDS):
            _curate(words, out)
    except InputError as error:
        return _judge_message(str(error).replace(str(place.base), ""), expected)
    except HangsError:
        return Outcome("TRACE", f"still running after {SECONDS} seconds", expected=False)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error).strip().splitlines() or [""]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return Outcome("TRACE", f"{type(error).__name__} at {where}: {said[0][:200]}", expected=False)
    wrong = list(_wrong(place, out, printed.getvalue().replace(str(place.base), ""), expected))
    return Outcome("WRONG", "; ".join(wrong), expected=False) if wrong else Outcome("right", "", expected.may_be_right)


def _curate(words: list[str], out: Path) -> None:
    """The one call of the code under test: `python -m pipeline.curation` with these words."""
    if not any(word.startswith("--near_copies") for word in words):
        words = [*words, "--near_copies", "false"]
    curation([*words, "--output_dir", str(out)])


@contextlib.contextmanager
def _within(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise HangsError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _judge_message(message: str, expected: Expected) -> Outcome:
    faults = [f"it does not say {word}" for word in expected.words if not re.search(word, message, re.I)]
    faults += [f"it says {word}" for word in (*expected.never, *NEVER) if re.search(word, message, re.I)]
    faults += ["it has several lines"] * ("\n" in message)
    faults += [f"it has {len(message)} characters"] * (len(message) > LONGEST)
    shown = message if len(message) <= LONGEST else message[:300] + "..."
    if faults and expected.may_be_refused:
        return Outcome("refused", f"{shown} ({'; '.join(faults)})".replace("\n", "\\n"), expected=False)
    return Outcome("refused", shown.replace("\n", "\\n"), expected.may_be_refused)


def _wrong(place: Place, out: Path, printed: str, expected: Expected) -> Iterator[str]:
    """What differs from the truth, in a few words each."""
    report = json.loads((out / "curation.json").read_text(encoding="utf-8"))
    found = [row for split in ("train", "validation", "test") for row in _rows(out / f"{split}.parquet", split)]
    yield from _wrong_pictures(place, found)
    pairs = [(_truth(true, row), row) for row in found if (true := place.rows.get(row.digest))]
    yield from _wrong_labels(pairs)
    yield from _wrong_splits(place, pairs)
    yield from _wrong_persons(pairs, report)
    yield from _wrong_counts(place, found, report)
    silent = [reason for reason in _reasons(report) if not re.search(re.escape(reason), printed, re.I)]
    if silent:
        yield f"left out, but not printed: {', '.join(silent)}"
    for words in expected.prints:
        if not re.search(words, printed, re.I):
            yield f"the command does not print {words}"


def _truth(candidates: list[Row], row: Found) -> Row:
    """Of the pictures that look the same, the one that `row` is."""
    return next((true for true in candidates if true.split == row.split), candidates[0])


def _rows(path: Path, split: str) -> Iterator[Found]:
    if not path.is_file():
        return
    table = pq.read_table(path)
    names = Features.from_arrow_schema(table.schema)["label"].names
    for row in table.to_pylist():
        digest = digest_of(Image.open(io.BytesIO(row["image"]["bytes"])))
        yield Found(digest, names[row["label"]], split, row["person"], row["target"])


def _wrong_pictures(place: Place, found: list[Found]) -> Iterator[str]:
    counts = Counter(row.digest for row in found)
    strange = sum(n for digest, n in counts.items() if digest not in place.rows)
    if strange:
        yield f"{strange} rows show a picture that is not of this data set"
    junk = [rows[0].name for digest, rows in place.rows.items() if counts[digest] and rows[0].fate == LEFT_OUT]
    if junk:
        yield f"{len(junk)} pictures that should be left out went in, the first {junk[0]!r}"
    wanted = {digest: [row.name for row in rows if row.fate == READ] for digest, rows in place.rows.items()}
    lost = [name for digest, names in wanted.items() for name in names[counts[digest] :]]
    if lost:
        yield f"{len(lost)} of {sum(map(len, wanted.values()))} pictures are not read, the first {lost[0]!r}"
    twice = sum(n > len(place.rows.get(digest, ())) for digest, n in counts.items() if digest in place.rows)
    if twice:
        yield f"{twice} pictures went in twice"


def _wrong_labels(pairs: list[tuple[Row, Found]]) -> Iterator[str]:
    mistaken = Counter((true.label, row.label) for true, row in pairs if true.label != row.label)
    if mistaken:
        yield ", ".join(f"{n} of {true} read as {label}" for (true, label), n in mistaken.most_common())
    shares = [(true.target, row.target) for true, row in pairs if true.target is not None]
    if any(not np.allclose(true, got, atol=1e-3) for true, got in shares):
        yield f"targets are not the shares of {', '.join(EVERY)}"


def _wrong_splits(place: Place, pairs: list[tuple[Row, Found]]) -> Iterator[str]:
    """Own splits are kept; only a split that the data does not have is made of its train rows."""
    own = {row.split for rows in place.rows.values() for row in rows if row.split}
    moved = Counter(
        (true.split, row.split)
        for true, row in pairs
        if true.split and row.split != true.split and not (true.split == "train" and row.split not in own)
    )
    if moved:
        yield ", ".join(f"{n} rows of {true} are in {split}" for (true, split), n in moved.most_common())
    for name in ("shows", "person"):
        places: dict[Any, set[str]] = {}
        for true, row in pairs:
            known = name == "shows" or (true.split is None and row.person is not None)
            if known and getattr(true, name) is not None:
                places.setdefault(getattr(true, name), set()).add(row.split)
        split_up = sum(len(splits) > 1 for splits in places.values())
        if split_up:
            yield f"{split_up} {'pictures' if name == 'shows' else 'persons'} are in several splits"


def _wrong_persons(pairs: list[tuple[Row, Found]], report: Mapping[str, Any]) -> Iterator[str]:
    compared = [(true.person, row.person) for true, row in pairs if row.person or not true.person_may_be_unknown]
    called = {person: name for name, person in reversed(compared) if person is not None}
    named = {name: person for name, person in reversed(compared) if name is not None}  # a pattern may write it longer
    mistaken = [(name, person) for name, person in compared if called.get(person) != name or named.get(name) != person]
    if mistaken:
        yield f"{len(mistaken)} rows with another person, such as {mistaken[0][1]} for {mistaken[0][0]}"
    if not any(true.person for true, _ in pairs) and report["persons_shared"] not in (None, "unknown"):
        yield "nobody is known, and shared persons are counted"


def _reasons(report: Mapping[str, Any]) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for source in report["sources"].values():
        for counts in source.get("left_out", source.get("dropped", {})).values():
            reasons.update(counts)
    return reasons


def _wrong_counts(place: Place, found: list[Found], report: Mapping[str, Any]) -> Iterator[str]:
    """Each picture that is not a row is counted as left out; other files may be."""
    there = Counter(row.digest for row in found)
    gone = sum(max(sum(row.counted for row in rows) - there[digest], 0) for digest, rows in place.rows.items())
    unreadable = sum(source["unreadable"]["count"] for source in report["sources"].values())
    counted = _reasons(report).total() + report["leaks"]["dropped_from_train"] + unreadable
    if counted < gone:
        yield f"{gone} pictures vanished, {counted} counted as left out"
    if counted > gone + place.others:
        yield f"{counted} rows and files counted as left out, only {gone} pictures and {place.others} files can be"
