"""Participants with their PHQ-8, as AVEC 2017 (DAIC-WOZ) and AVEC 2019 (E-DAIC) list them: a csv file for each split.

`train_split_Depression_AVEC2017.csv` has Participant_ID, PHQ8_Binary, PHQ8_Score, Gender and eight items; the test list
of 2017 has no scores, and `full_test_split.csv`, which came later, and the lists of 2019 say PHQ_Score and PHQ_Binary.
PHQ-8 (Kroenke et al. 2009) is the sum of eight items from 0 to 3: a whole number from 0 to 24.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.data.readers.text import column_names, read_csv
from pipeline.data.table import SPLITS, split_of
from pipeline.errors import InputError

SCORE = "PHQ8_Score"  # what recipes and models call it, whichever column it came from
HIGHEST = 24
CUT = 10
"""From here on the screening is positive (Kroenke et al. 2009); PHQ8_Binary says the same in the lists."""
LIST = re.compile(r"(?:full_)?(train|dev|validation|test)_split.*\.csv", re.I)
PERSON = "participant_id"
SCORES, BINARIES = ("phq8_score", "phq_score"), ("phq8_binary", "phq_binary")
ITEMS = 8
NUMBER = re.compile(r"\d{1,6}")
TERMS = (
    "participants as AVEC 2017 and 2019 list them: DAIC-WOZ and E-DAIC are given under a signed agreement, for "
    "research only; they may not be passed on, and they release no video of a face"
)
CITATION = (
    "Gratch et al.: The Distress Analysis Interview Corpus of human and computer interviews. LREC 2014; Ringeval et "
    "al.: AVEC 2017: Real-life Depression, and Affect Recognition Workshop and Challenge. ACM Multimedia 2017; "
    "Kroenke et al.: The PHQ-8 as a measure of current depression in the general population. Journal of Affective "
    "Disorders, 2009"
)


class Participant(NamedTuple):
    """A row of a list: the number of a person, the split, the score if the list has one, and where the row is."""

    number: str
    split: str
    score: int | None
    place: str


class Note(NamedTuple):
    """What another column of a row says against its score, and where: `line 4 of train_split.csv`."""

    said: str
    row: str


@dataclass(frozen=True)
class Participants:
    """Everybody in the lists, by number, and what to say of them.

    Attributes:
        rows: number -> row.
        lists: the files that were read.
        notes: what other columns say against a score, which decides.
        columns_not_read: columns that change nothing.
    """

    rows: Mapping[str, Participant]
    lists: tuple[Path, ...]
    notes: tuple[Note, ...]
    columns_not_read: tuple[str, ...]

    def of(self, split: str) -> list[Participant]:
        """The participants of a split that have a score."""
        return [row for row in self.rows.values() if row.split == split and row.score is not None]

    @property
    def without_score(self) -> list[Participant]:
        """Those of a list that has no scores, as the test list of 2017."""
        return [row for row in self.rows.values() if row.score is None]


def is_list(path: Path) -> bool:
    """Whether a file is such a list, by its name and its header."""
    if not LIST.fullmatch(path.name):
        return False
    try:
        return PERSON in [name.lower() for name in column_names(path)]
    except InputError:
        return False


def read_participants(files: Iterable[Path]) -> Participants:
    """The participants in lists.

    Raises:
        InputError: two lists of one split have scores, a person is listed twice, or a score is missing or is not a
            whole number from 0 to 24; the message names the file and the line.
    """
    rows: dict[str, Participant] = {}
    notes: list[Note] = []
    chosen = _lists(files)
    unread: dict[str, None] = {}
    for split, path in chosen.items():
        names = column_names(path)
        found = [name for name in names if name.lower() in SCORES]
        if len(found) > 1:
            raise InputError(f"{path} has {' and '.join(found)}, two columns of scores: remove one of them")
        score_name = found[0] if found else None
        for line, cells in read_csv(path, (PERSON,)):
            row = _row(path, line, cells, split, score_name)
            if row.number in rows:
                raise InputError(
                    f"{row.place}: participant {row.number} is in {rows[row.number].place} already, and nobody may be "
                    "listed twice or in two splits: keep one of the rows"
                )
            rows[row.number] = row
            notes += [Note(said, f"line {line} of {path.name}") for said in _disagreements(row, cells)]
        read = {PERSON, *SCORES, *BINARIES}
        unread |= dict.fromkeys(name for name in names if name.lower() not in read and not _is_item(name))
    return Participants(rows, tuple(chosen.values()), tuple(notes), tuple(unread))


def _lists(files: Iterable[Path]) -> dict[str, Path]:
    """The list of each split; where a split has one with scores and one without, that with scores.

    Raises:
        InputError: both have scores, or neither.
    """
    found: dict[str, Path] = {}
    for path in sorted(files):
        word = LIST.fullmatch(path.name)
        split = str(split_of(word[1])) if word else ""
        if split not in found or (_has_scores(path) and not _has_scores(found[split])):
            found[split] = path
        elif _has_scores(path) == _has_scores(found[split]):
            raise InputError(f"{path} and {found[split]} both list the split {split}: move one of them away")
    return {split: found[split] for split in SPLITS if split in found}


def _has_scores(path: Path) -> bool:
    return any(name.lower() in SCORES for name in column_names(path))


def _row(path: Path, line: int, cells: Mapping[str, str], split: str, score_name: str | None) -> Participant:
    place, number = f"{path} line {line}", cells[PERSON].removesuffix(".0")
    if not NUMBER.fullmatch(number):
        raise InputError(f"{place}: Participant_ID is {cells[PERSON]!r}; write the number of the person, such as 303")
    number = str(int(number))
    if score_name is None:
        return Participant(number, split, None, place)
    cell = cells[score_name.lower()].removesuffix(".0")
    if not cell:
        raise InputError(
            f"{place}: {score_name} of participant {number} is missing: write it, or take the row out of the list"
        )
    if not re.fullmatch(r"\d{1,3}", cell) or int(cell) > HIGHEST:
        raise InputError(
            f"{place}: {score_name} of participant {number} is {cell!r}; PHQ-8 is a whole number from 0 to {HIGHEST}: "
            "correct it, or take the row out of the list"
        )
    return Participant(number, split, int(cell), place)


def _disagreements(row: Participant, cells: Mapping[str, str]) -> list[str]:
    """What other columns of a row say against its score: the list of 2017 has such a row, participant 409."""
    if row.score is None:
        return []
    said = []
    binary = next((cells[name].removesuffix(".0") for name in BINARIES if name in cells), "")
    if binary and binary != str(int(row.score >= CUT)):
        said.append(f"PHQ8_Binary of participant {row.number} is {binary}, and the score is {row.score}")
    items = [cell.removesuffix(".0") for name, cell in cells.items() if _is_item(name)]
    if len(items) == ITEMS and all(re.fullmatch("[0-3]", item) for item in items):
        total = sum(map(int, items))
        if total != row.score:
            said.append(f"the items of participant {row.number} sum to {total}, and the score is {row.score}")
    return said


def _is_item(name: str) -> bool:
    """`PHQ8_Sleep` and its seven siblings."""
    return name.lower().startswith("phq8_") and name.lower() not in (*SCORES, *BINARIES)
