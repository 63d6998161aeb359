"""Participants with a PHQ-8 score and pictures of each: lists as AVEC 2017 and 2019 have them, and folders `NNN_P`.

DAIC-WOZ and E-DAIC, whose lists these are, release no video of a face. So the pictures are those of somebody who holds
them in this layout. What DAIC-WOZ does release, rows of features, is read by `python -m pipeline.feature_head`.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.data.readers.files import local_path
from pipeline.data.readers.inventory import File, Inventory, inventory
from pipeline.data.readers.participants import CITATION, HIGHEST, SCORE, TERMS, Participant, Participants, is_list
from pipeline.data.readers.participants import read_participants as read_lists
from pipeline.data.readers.rows import Labelled, Part, scored_part, whole_of
from pipeline.data.table import SPLITS, Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "avec"
LAYOUT = "participants with PHQ-8 (train_split*.csv as in AVEC 2017 or 2019, and pictures in NNN_P/)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ("csv", "folder")

FOLDER = re.compile(r"0*(\d{1,6})_P", re.I)


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` holds such lists and folders of pictures, or None."""
    if not path.is_dir():
        return None
    whole = inventory(path)
    found = lists_in(whole)
    pictures = any(person_of(file) for file in whole.of("picture"))
    return f"{found[0].name} with participants, and pictures in NNN_P/" if found and pictures else None


def lists_in(whole: Inventory) -> list[Path]:
    """The lists of participants in a folder, outside of the folders of participants."""
    return [file.path for file in whole.files if not person_of(file) and is_list(file.path)]


def person_of(file: File) -> str:
    """The number of the participant in whose folder a file lies; "" for none."""
    return next((str(int(found[1])) for name in file.folders if (found := FOLDER.fullmatch(name))), "")


def participants_in(root: Path, whole: Inventory) -> Participants:
    """The participants of the lists in `root`.

    Raises:
        InputError: as `read_lists`, or the folder lacks lists.
    """
    lists = lists_in(whole)
    if not lists:
        raise InputError(
            f"data_path {root}: no list of participants there, such as train_split_Depression_AVEC2017.csv with the "
            f"columns Participant_ID and {SCORE}: put the lists beside the folders NNN_P"
        )
    return read_lists(lists)


def read(recipe: Recipe) -> Reading:
    """The pictures of every participant with a score; the key of a picture is its path below `recipe.data_path`.

    Pictures of participants whose list has no scores, and of nobody in the lists, are counted.

    Raises:
        InputError: as `read_participants`; the recipe names another score; or a participant has no picture.
    """
    if list(recipe.scores) != [SCORE]:
        raise InputError(f"scores is {recipe.scores}, and source {NAME} has one score: --scores '[{SCORE}]'")
    root = local_path(recipe)
    whole = inventory(root)
    people = participants_in(root, whole)
    pictures: dict[str, list[File]] = defaultdict(list)
    for file in whole.of("picture"):
        pictures[person_of(file)].append(file)
    scored = replace(recipe, score_ranges={SCORE: [0.0, float(HIGHEST)]} | recipe.score_ranges)
    parts = {s: _part(people.of(s), pictures, scored) for s in SPLITS if people.of(s)}
    rest = _counts(people, pictures) | whole.left_out(set(people.lists))
    found = whole_of(parts, f"data_path {root}", rest)
    names = ", ".join(path.name for path in people.lists)
    source = Source(
        id=NAME,
        title="participants with PHQ-8 (lists of AVEC)",
        layout=f"participants by {names}, pictures in NNN_P/{_noted(people)}",
        origin="local",
        terms=TERMS,
        citation=CITATION,
        may_publish_labels=False,
        columns_not_read=people.columns_not_read,
        left_out=found.left_out,
    )
    return Reading((source,), found.tables)


def _noted(people: Participants) -> str:
    """How many rows disagree with themselves. The record of a source is published, so it names nobody and no score."""
    if not people.notes:
        return ""
    return (
        f"; in {len(people.notes)} rows PHQ8_Binary or the items disagree with the score, which decides, the first on "
        f"{people.notes[0].row}"
    )


def _part(people: Sequence[Participant], pictures: Mapping[str, Sequence[File]], recipe: Recipe) -> Part:
    rows: list[tuple[Participant, File]] = []
    for person in people:
        if not pictures.get(person.number):
            raise InputError(
                f"{person.place}: participant {person.number} has no picture in {person.number}_P/: add them, or take "
                "the row out of the list"
            )
        rows += [(person, file) for file in pictures[person.number]]
    labelled = [Labelled(file.path, file.key, None, person=person.number) for person, file in rows]
    cells = [[person.score] for person, _ in rows]
    return scored_part(labelled, cells, NAME, recipe, lambda i: rows[i][0].place)


def _counts(people: Participants, pictures: Mapping[str, Sequence[File]]) -> dict[str, int]:
    """Pictures that are not used, by reason."""
    unscored = {row.number for row in people.without_score}
    lost = {
        "picture of a participant whose list has no scores": sum(len(pictures.get(n, ())) for n in unscored),
        "picture in NNN_P/ of a participant in no list": sum(
            len(files) for number, files in pictures.items() if number and number not in people.rows
        ),
        "picture outside of the folders NNN_P/": len(pictures.get("", ())),
    }
    return {reason: count for reason, count in lost.items() if count}
