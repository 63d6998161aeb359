"""A picture column and a label column (or FER+ votes) as the one table: of parquet files and of Hub data sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import ClassLabel, Dataset, Value

from pipeline.data.readers import ferplus_votes
from pipeline.data.readers.cells import OUTSIDE, picture_keys, pictures_of, without_paths_outside
from pipeline.data.readers.files import local_path
from pipeline.data.readers.inventory import inventory
from pipeline.data.readers.labels import class_labels, tallied
from pipeline.data.readers.loading import holds_pictures, is_saved, load, picture_column
from pipeline.data.readers.roles import IGNORE, Roles, find_roles, split_and_person
from pipeline.data.readers.rows import Part, counted, whole_of
from pipeline.data.readers.shares import labels_of_shares
from pipeline.data.readers.tables import Column, as_text
from pipeline.data.scores import scores_of
from pipeline.data.table import ALL, SPLITS, SPLITS_IN_WORDS, Reading, assemble, split_of
from pipeline.data.votes import one_hot
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source


class Given(NamedTuple):
    """The tables as they came, by split: pictures, their keys, which are only a path outside, and the other columns."""

    pictures: Mapping[str, Dataset]
    keys: Mapping[str, Sequence[str]]
    outside: Mapping[str, np.ndarray]
    columns: Mapping[str, Mapping[str, Column]]


def read(recipe: Recipe) -> Reading:
    """The source in `recipe.data_path`; ClassLabels and strings become classes by their names.

    A column `votes` makes it FER+, unless `label_column` names another column.

    Raises:
        InputError: nothing can be loaded, no column fits, or a label is unknown.
    """
    raw, files = load(recipe)
    local = local_path(recipe)
    first = next(iter(raw.values()))
    image = picture_column(first, recipe)
    root = (local if local.is_dir() else local.parent) if local.exists() else None
    pictures, outside = {}, {}
    for split, table in raw.items():
        pictures[split], outside[split] = without_paths_outside(pictures_of(table, image), root)
    given = Given(pictures, picture_keys(pictures), outside, {s: _columns(table, image) for s, table in raw.items()})
    if not recipe.scores and recipe.label_column in (None, "votes") and "votes" in first.column_names:
        return _with_rest(_voted(raw, given, recipe), local, files)
    place = f"data_path {recipe.data_path}"
    roles = _roles(given.columns, first, image, recipe, place)
    name = local.resolve().stem if local.exists() else str(recipe.data_path)
    whole = whole_of(_parts(given, roles, recipe, name, place), place)
    read_from = roles.read | {name.partition(".")[0] for name in roles.read}  # a field, and the struct it is in
    source = Source(
        id=name,
        title=name,
        layout=_layout(_kind(local), image, roles),
        origin=_origin(local),
        columns_not_read=tuple(c for c in first.column_names if c != image and c not in read_from),
        left_out=whole.left_out,
        names=whole.names,
    )
    return _with_rest(Reading((source,), whole.tables), local, files)


def _parts(given: Given, roles: Roles, recipe: Recipe, source: str, place: str) -> dict[str, Part]:
    """The parts of all splits, as files or a column name them."""
    parts: dict[str, Part] = {}
    for loaded, cells in given.columns.items():
        where = f"{place}, split {loaded}, column {', '.join(roles.labelled)}"
        labels, reasons, targets, shown = _labels(cells, roles, recipe, where)
        outside = given.outside[loaded]
        labels, reasons = np.where(outside, -1, labels), np.where(outside, OUTSIDE, reasons)
        persons = cells[roles.person] if roles.person else [None] * len(labels)
        for split, rows in _splits(cells, roles, loaded, place).items():
            chosen = np.where(rows, labels, -1)
            pictures, keys = given.pictures[loaded], given.keys[loaded]
            table = assemble(pictures, chosen, targets, keys, persons, source, recipe.labels)
            names = tallied([n for n, r in zip(shown, rows, strict=True) if r], labels[rows], recipe)
            parts[split] = Part(table, counted(reasons[rows]), names)
    return parts


def _voted(raw: Mapping[str, Dataset], given: Given, recipe: Recipe) -> Reading:
    """FER+ votes, with the splits and persons that other columns name."""
    place = f"data_path {recipe.data_path}"
    parts: dict[str, ferplus_votes.Voted] = {}
    read_columns: set[str] = {"votes"}
    outside: dict[str, int] = {}
    for loaded, cells in given.columns.items():
        split_column, person = split_and_person(cells, recipe, place)
        roles = Roles(None, None, split_column, person)
        persons = cells[roles.person] if roles.person else [None] * len(raw[loaded])
        read_columns |= {name for name in (roles.split, roles.person) if name}
        every = np.ones(len(raw[loaded]), bool)
        for split, rows in (_splits(cells, roles, loaded, place) if roles.split else {loaded: every}).items():
            outside[split] = int((rows & given.outside[loaded]).sum())
            inside = rows & ~given.outside[loaded]
            chosen = np.flatnonzero(inside)
            votes = raw[loaded].select_columns(["votes"])
            parts[split] = ferplus_votes.Voted(
                votes if inside.all() else votes.select(chosen).flatten_indices(),
                given.pictures[loaded] if inside.all() else given.pictures[loaded].select(chosen),
                [given.keys[loaded][i] for i in chosen.tolist()],
                [persons[i] for i in chosen.tolist()],
            )
    first = next(iter(raw.values()))
    unread = [n for n in first.column_names if n not in read_columns and not holds_pictures(first, n)]
    ordered = {split: parts[split] for split in (ALL, *SPLITS) if split in parts}
    lost = {split: {OUTSIDE: count} for split, count in outside.items() if count}
    return ferplus_votes.read_votes(ordered, recipe, unread, lost)


def _origin(local: Path) -> Origin:
    return "local" if local.exists() else "hub"


def _kind(local: Path) -> str:
    if not local.exists():
        return "Hub data set"
    return "folder of save_to_disk" if is_saved(local) else "parquet"


def _layout(kind: str, image: str, roles: Roles) -> str:
    label = ("shares in " if roles.shares else "") + ", ".join(roles.labelled)
    others = "".join(f", {role} {c}" for role, c in (("split", roles.split), ("person", roles.person)) if c)
    return "; ".join([f"{kind} with the columns {image} and {label}{others}", *roles.notes])


def _with_rest(reading: Reading, local: Path, used: frozenset[Path]) -> Reading:
    """The reading with every other file below the path counted."""
    if not local.is_dir():
        return reading
    whole = inventory(local)
    loose = sum(file.path not in used for file in whole.of("picture"))
    rest = ({"picture file beside the tables": loose} if loose else {}) | whole.left_out(used)
    if not rest:
        return reading
    (source,) = reading.sources
    left_out = dict(source.left_out) | {ALL: dict(source.left_out.get(ALL, {})) | rest}
    return Reading((source.with_left_out(left_out),), reading.tables)


def _columns(table: Dataset, image: str) -> dict[str, Column]:
    """The columns of names, numbers and texts as text; ClassLabels by their names, structs by their fields."""
    pictures = {image, *(name for name in table.column_names if holds_pictures(table, name))}
    table = table.remove_columns([name for name in table.column_names if name in pictures]).flatten()
    found: dict[str, Column] = {}
    for name, feature in table.features.items():
        if not isinstance(feature, ClassLabel | Value):
            continue
        values = table[name][:]
        if isinstance(feature, ClassLabel):
            found[name] = [None if v is None or v < 0 else feature.names[v] for v in values]
        else:
            found[name] = [as_text(value) for value in values]
    return found


def _roles(
    columns: Mapping[str, Mapping[str, Column]], first: Dataset, image: str, recipe: Recipe, place: str
) -> Roles:
    """The roles of the columns over all splits together.

    Raises:
        InputError: a column is missing in a split, no column has labels, or two fit one role.
    """
    for split, cells in columns.items():
        if missing := [name for name in next(iter(columns.values())) if name not in cells]:
            raise InputError(f"{place}, split {split}: no column {', '.join(missing)}, which the other splits have")
    together = {name: [c for cells in columns.values() for c in cells[name]] for name in next(iter(columns.values()))}
    given = recipe.label_column
    if given is not None and given not in together:
        kind = (
            f"column {given} holds {first.features[given]}, not class names"
            if given in first.column_names
            else f"no column {given}"
        )
        raise InputError(f"{place}: {kind} (columns: {', '.join(first.column_names)}); name it with --label_column")
    roles = find_roles(together, recipe, place, [image])
    if not roles.labelled:
        role, option = ("score", "--scores") if recipe.scores else ("label", "--label_column")
        raise InputError(
            f"{place}: no {role} column is recognised (columns: {', '.join(first.column_names)}); name it with {option}"
        )
    return roles


def _labels(
    cells: Mapping[str, Column], roles: Roles, recipe: Recipe, place: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Sequence[str | None]]:
    """Labels or strata (N,), reasons (N,), targets (N, K) and the names that they were read from."""
    if roles.label:
        shown = cells[roles.label]
        labels, reasons = class_labels(shown, recipe, place)
        return labels, reasons, one_hot(labels, len(recipe.classes)), shown
    rows = list(zip(*(cells[column] for column in roles.labelled), strict=True))
    if recipe.scores:
        scored = scores_of(rows, recipe, lambda row: f"{place} row {row}")
        return scored.strata, scored.reasons, scored.scores, [None] * len(rows)
    return labels_of_shares(rows, roles.shares, recipe, lambda row: f"{place} row {row}")


def _splits(cells: Mapping[str, Column], roles: Roles, loaded: str, place: str) -> dict[str, np.ndarray]:
    """Split -> its rows (N,) bool, by the column of splits where there is one.

    Raises:
        InputError: a cell is no split, or the split of the file and the cell disagree.
    """
    count = len(next(iter(cells.values())))
    if roles.split is None:
        return {loaded: np.ones(count, bool)}
    found = []
    for row, cell in enumerate(cells[roles.split]):
        split = split_of(cell) if cell is not None else None
        if split is None or loaded not in (ALL, "train", split):
            raise InputError(
                f"{place}, split {loaded} row {row}: {cell!r} in the column {roles.split}; expected "
                f"{SPLITS_IN_WORDS}, and the same as the name of the file; --split_column {IGNORE} reads no split"
            )
        found.append(split)
    each = np.array(found, dtype=object)
    return {split: each == split for split in SPLITS if (each == split).any()}
