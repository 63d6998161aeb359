"""Class folders: `<class>/*.png`, `<split>/<class>/*.png` or `<class>/<split>/*.png`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from datasets import DatasetDict

from pipeline.data.readers.below_classes import folders_inside, splits_in_names
from pipeline.data.readers.beside import Beside, reasons, refuse_unused, said_by, tables_beside, way_out
from pipeline.data.readers.files import local_path
from pipeline.data.readers.hints import hint_for_folders
from pipeline.data.readers.inventory import File, inventory, named
from pipeline.data.readers.labels import Names
from pipeline.data.readers.listed import Listed, files_of
from pipeline.data.readers.rows import Labelled, Part, part_of, whole_of
from pipeline.data.table import ALL, SPLITS, SPLITS_IN_WORDS, Reading, split_of
from pipeline.errors import InputError
from pipeline.expressions import is_expression
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "folder"
LAYOUT = "class folders (<class>/*.png or <split>/<class>/*.png)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ()

LeftOut = dict[str, dict[str, int]]  # split -> reason -> rows
LOOSE = "picture in no class folder"


class Placed(NamedTuple):
    """A picture, the folder that names its class ("" for none), its split and its person."""

    file: File
    name: str
    split: str
    person: str | None = None


class Folders(NamedTuple):
    """Class folders that were read: the table of each split, what was left out, the names, and the shape in words."""

    tables: DatasetDict
    left_out: LeftOut
    names: Names
    shape: str


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is a folder of class folders, or None: a folder in it holds a picture somewhere."""
    if not path.is_dir():
        return None
    first = next((file for file in inventory(path).of("picture") if file.folders), None)
    return f"folders of pictures ({first.folders[0]}/)" if first else None


def read(recipe: Recipe) -> Reading:
    """The source in the folder `recipe.data_path`; the key of a picture is its path below it.

    Tables beside the folders may say the split or the person of each picture.

    Raises:
        InputError: a folder named by a number, or as `class_folders`.
    """
    root = local_path(recipe)
    name = root.resolve().name
    found = class_folders(root, recipe, name)
    source = Source(
        id=name,
        title=name,
        layout=f"class folders {found.shape}",
        origin="local",
        left_out=found.left_out,
        names=found.names,
    )
    return Reading((source,), found.tables)


def class_folders(root: Path, recipe: Recipe, source: str, codes: Mapping[str, str] | None = None) -> Folders:
    """The tables of class folders; `codes` name classes that are numbers.

    Raises:
        InputError: a folder named after no class or by a number that is none of `codes`, split folders beside class
            folders, two folders for one split, or no picture.
    """
    if not root.is_dir():
        raise InputError(f"data_path {root} is not a folder; class folders are <class>/*.png or <split>/<class>/*.png")
    files = inventory(root)
    found = tables_beside(root, recipe)
    beside = _usable(found, root, recipe)
    used = {one.path for one in beside}
    refuse_unused(found, used, recipe, NAME, of_folders=True)
    placed, shape = _placed(root, files.of("picture"))
    placed, by_names = _with_splits_in_names(placed, recipe, f"data_path {root}")
    placed, lost = _with_tables(root, placed, beside)
    parts = _parts(root, placed, source, recipe, codes)
    inside = folders_inside([(one.file, one.name) for one in placed if one.name], recipe, f"data_path {root}", NAME)
    loose = [one for one in placed if one.split == ALL and not one.name] if ALL not in parts else []
    others = _loose(loose) | lost | files.left_out(used, reasons(found, root))
    whole = whole_of(parts, f"data_path {root}", others)
    words = "".join(f", {said_by(one)} by {one.path.name}" for one in beside)
    links = f"; {files.outside} links lead out of the folder" if files.outside else ""
    return Folders(*whole, shape + by_names + words + links + (f"; {inside}" if inside else ""))


def _parts(
    root: Path, placed: Sequence[Placed], source: str, recipe: Recipe, codes: Mapping[str, str] | None
) -> dict[str, Part]:
    hint = hint_for_folders(root, [one.file for one in placed if one.name], recipe)
    parts: dict[str, Part] = {}
    for split in _splits(root, placed):
        inside = [one for one in placed if one.split == split]
        pictures = [Labelled(one.file.path, one.file.key, one.name, split, one.person) for one in inside if one.name]
        place = f"class folders in {root}" if split == ALL else f"class folders in {root}, split {split}"
        part = part_of(pictures, source, recipe, place, codes, hint)
        parts[split] = part._replace(left_out=part.left_out | _loose([one for one in inside if not one.name]))
    return parts


def _usable(found: Beside, root: Path, recipe: Recipe) -> list[Listed]:
    """The tables of splits and persons whose pictures are all here.

    Others are noted in `found` as damaged, where `source` is given.

    Raises:
        InputError: as `files_of`, where `source` is auto.
    """
    usable = []
    for one in (one for one in found.tables if not one.labels):
        try:
            files_of(one, root)
        except InputError as error:
            if recipe.source == "auto":
                raise InputError(f"{error}{way_out(NAME)}") from None
            found.damaged[one.path] = str(error)
        else:
            usable.append(one)
    return usable


def _loose(pictures: Sequence[Placed]) -> dict[str, int]:
    return {f"{LOOSE}: {named([one.file for one in pictures])}": len(pictures)} if pictures else {}


def _with_splits_in_names(placed: list[Placed], recipe: Recipe, place: str) -> tuple[list[Placed], str]:
    """The pictures with the splits that their names say, where no folder says one; and that in words."""
    classed = [one for one in placed if one.name]
    if not classed or any(one.split != ALL for one in placed):
        return placed, ""
    splits = splits_in_names([one.file for one in classed], recipe, place, NAME)
    if splits is None:
        return placed, ""
    said = iter(splits)
    return [one._replace(split=next(said)) if one.name else one for one in placed], ", splits by names of files"


def _splits(root: Path, placed: Sequence[Placed]) -> list[str]:
    """The splits that pictures or folders name, or `all`."""
    found = {one.split for one in placed}
    if found <= {ALL}:
        return [ALL]
    named = {split_of(path.name) for path in root.iterdir() if path.is_dir()}
    return [split for split in SPLITS if split in found | named]


def _placed(root: Path, pictures: Sequence[File]) -> tuple[list[Placed], str]:
    """Every picture with its class folder and its split, and the shape of the folders."""
    tops = sorted({file.folders[0] for file in pictures if file.folders})
    _refuse_mixed_tops(root, tops)
    if tops and split_of(tops[0]):
        return [one for top in tops for one in _in_split(top, pictures)] + [
            Placed(file, "", ALL) for file in pictures if not file.folders
        ], "<split>/<class>"
    inner = [split_of(file.folders[1]) if len(file.folders) > 1 else None for file in pictures if file.folders]
    if inner and any(inner) and not all(inner):
        lacking = next(f for f in pictures if f.folders and not (len(f.folders) > 1 and split_of(f.folders[1])))
        raise InputError(
            f"data_path {root}: {lacking.key} lies in no folder of a split, and other pictures do; expected every "
            f"picture in <class>/<split>, where splits are {SPLITS_IN_WORDS}"
        )
    if inner and all(inner):
        rows = [
            Placed(f, f.folders[0], split_of(f.folders[1]) or ALL) if f.folders else Placed(f, "", ALL)
            for f in pictures
        ]
        return rows, "<class>/<split>"
    return [Placed(file, file.folders[0] if file.folders else "", ALL) for file in pictures], "<class>"


def _refuse_mixed_tops(root: Path, tops: Sequence[str]) -> None:
    named = [split for split in map(split_of, [p.name for p in sorted(root.iterdir()) if p.is_dir()]) if split]
    twice = [split for split, count in Counter(named).items() if count > 1]
    others = [top for top in tops if not split_of(top)]
    if (named and others and len(others) < len(tops)) or (twice and len(others) < len(tops)):
        raise InputError(
            f"data_path {root} holds the folders {', '.join(tops)}: expected one folder each for {SPLITS_IN_WORDS}, "
            "and no other folder of pictures beside them"
        )


def _in_split(top: str, pictures: Sequence[File]) -> list[Placed]:
    """The pictures of a split folder; folders in it that all of them share and that name no class are passed."""
    inside = [file for file in pictures if file.folders[:1] == (top,)]
    paths = [file.folders[1:] for file in inside]
    while paths and all(len(path) > 1 and path[0] == paths[0][0] for path in paths) and not is_expression(paths[0][0]):
        paths = [path[1:] for path in paths]
    split = split_of(top) or ALL
    return [Placed(file, path[0] if path else "", split) for file, path in zip(inside, paths, strict=True)]


def _with_tables(root: Path, placed: list[Placed], tables: Sequence[Listed]) -> tuple[list[Placed], dict[str, int]]:
    """The pictures with the split and person that tables give, and how many are left out because none has a split.

    Raises:
        InputError: two tables, or a table and a folder, give a picture different splits or persons.
    """
    splits: dict[Path, str] = {}
    persons: dict[Path, str] = {}
    for one in tables:
        cells = zip(files_of(one, root), one.splits(), one.cells(one.roles.person), strict=True)
        for row, (file, split, person) in enumerate(cells):
            for known, value in ((splits, split), (persons, person)):
                if value is not None and known.setdefault(file, value) != value:
                    raise InputError(
                        f"{one.table.place(row)}: {value!r}, but another table has {known[file]!r}; keep one"
                    )
    chosen = []
    for picture in placed:
        said = splits.get(picture.file.path.absolute())
        if said is not None and picture.split not in (ALL, said):
            raise InputError(
                f"data_path {root}: {picture.file.key} lies in a folder of {picture.split}, and a table says {said}; "
                "keep one"
            )
        person = persons.get(picture.file.path.absolute())
        chosen.append(picture._replace(split=said or picture.split, person=person))
    if not splits:
        return chosen, {}
    kept = [picture for picture in chosen if picture.split != ALL or not picture.name]
    return kept, {"no split in the table of splits": len(chosen) - len(kept)} if len(kept) < len(chosen) else {}
