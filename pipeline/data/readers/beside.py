"""The tables of a folder of pictures: those that say something of its pictures, and why the others are not used."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from pipeline.data.readers.inventory import Inventory, inventory, plain_path
from pipeline.data.readers.listed import DEEPEST, MOST_TABLES, Listed, candidates, find_picture
from pipeline.data.readers.roles import find_roles
from pipeline.data.readers.tables import Column, read_table
from pipeline.data.readers.text import encoding_of
from pipeline.data.table import split_in
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe

LOOKED_UP = 2000  # cells of a column without a known name that are looked up
LOOKED_AT = 2**22  # characters of a damaged table
HEAD = 2**12  # characters that tell text from other files
LONGEST = 4096  # characters of a path
# Tables in forms that are not read; whether they name pictures is not known.
CLOSED = re.compile(
    r".*\.((csv|tsv|tab|txt|lst|jsonl?|ndjson|parquet)\.(gz|bz2|xz|zst|zip|7z)|xlsx?|xlsm|ods|feather|pkl|pickle|dta|sav"
    r"|rds|rda|sqlite3?)",
    re.I,
)
OF_ONE_PICTURE = (".txt", ".xml")  # of the name of the picture beside them
BESIDE_ONE = (*OF_ONE_PICTURE, ".json", ".cls")  # where they lie deep below, they are of one picture each
# Documents and programs: they may name pictures as examples.
NO_LIST = re.compile(
    r"(readme|licen[sc]e|citation|about|changelog).*|.*\.(md|rst|pdf|html?|bib|tex|log|py|ipynb|sh|m|r|js|css|svg|rtf)",
    re.I,
)


class Beside(NamedTuple):
    """The tables of a folder.

    Attributes:
        tables: those that say the label, split or person of pictures in the folder.
        damaged: file -> why it cannot be read although it names pictures of the folder.
        unclear: file -> why it is not used although it may say something of the pictures.
    """

    tables: list[Listed]
    damaged: dict[Path, str]
    unclear: dict[Path, str]


def tables_beside(root: Path, recipe: Recipe) -> Beside:
    """All tables in the folder `root`."""
    files = inventory(root)
    found = Beside([], {}, dict(_closed(files)))
    for file in candidates(files):
        if file.path in found.unclear:
            continue
        try:
            table = read_table(file.path, recipe.csv_encoding)
        except InputError as error:
            if _text_names_pictures(file.path, recipe, files):
                found.damaged[file.path] = str(error)
            continue
        try:
            one = Listed(table, find_roles(table.columns, recipe, str(file.path)))
        except InputError as error:
            if any(_names_pictures(cells, files) for cells in table.columns.values()):
                found.damaged[file.path] = str(error)
            continue
        if _says(one) and _means_pictures(one, root, files):
            found.tables.append(one)
        elif why := _unclear(one, files):
            found.unclear[file.path] = why
    for path in _texts(files):
        if _text_names_pictures(path, recipe, files):
            found.unclear[path] = (
                f"{path} names pictures of this folder, and is not read: write a csv file of what it says"
            )
    return found


def refuse_unused(beside: Beside, used: Collection[Path], recipe: Recipe, reader: str, of_folders: bool) -> None:
    """Stop where `source` is auto and a table that is none of `used` may say something of the pictures that are read.

    Args:
        beside: the tables of the folder.
        used: the tables that are read.
        recipe: its `source` decides: a reader that is named reads what it reads, and the rest is counted.
        reader: the reader that can read the folder without it, "" for none.
        of_folders: whether labels are only names of folders, so that also a table that may have labels stops.

    Raises:
        InputError: the first such table, what is wrong with it, and the setting that leaves it out.
    """
    if recipe.source != "auto":
        return
    others = {one.path: f"{one.path} has {said_by(one)} of these pictures, too" for one in beside.tables}
    found = beside.damaged | others | (beside.unclear if of_folders else {})
    for path, why in found.items():
        if path not in used:
            raise InputError(why + way_out(reader))


def way_out(reader: str) -> str:
    """The end of a message: the setting with which `reader` reads the folder and leaves the table out."""
    return f"; or leave the file out with --source {reader}" if reader else ""


def said_by(one: Listed) -> str:
    """What a table says of pictures, in words."""
    there = {"labels": one.labels, "splits": any(one.splits()), "persons": bool(one.roles.person)}
    return " and ".join(word for word, is_there in there.items() if is_there)


def reasons(beside: Beside, root: Path) -> dict[Path, str]:
    """Why tables are not used, for the lines of what is left out."""
    found = beside.damaged | beside.unclear
    return {path: why.replace(f"{root}/", "").replace(str(root), "data_path") for path, why in found.items()}


def names_picture(cell: str | None, files: Inventory) -> bool:
    """Whether a cell is the name of a picture of the folder, whatever folders it writes before it."""
    if not cell or len(cell) > LONGEST:
        return False
    return plain_path(unquote(cell)).rpartition("/")[2] in files.names


def _names_pictures(cells: Column, files: Inventory) -> bool:
    some = [cell for cell in cells[:: len(cells) // LOOKED_UP + 1] if cell]
    return any(names_picture(cell, files) for cell in some) or _are_stems(some, files)


def _are_stems(cells: Sequence[str], files: Inventory) -> bool:
    """Whether half of the cells are names without suffix; numbers only if they name half of the pictures."""
    there = {plain_path(cell).rpartition("/")[2] for cell in cells if len(cell) <= LONGEST}
    found = there & files.stems
    pictures = len(files.of("picture")) if all(name.isdigit() for name in found) else 0
    return len(found) > 1 and 2 * len(found) >= max(len(there), pictures)


def _says(one: Listed) -> bool:
    return bool(one.roles.picture and (one.labels or one.roles.split or one.roles.person or split_in(one.path.stem)))


def _means_pictures(one: Listed, root: Path, files: Inventory) -> bool:
    return any(names_picture(name, files) or find_picture(root, one.path, name) for name in one.names)


def _unclear(one: Listed, files: Inventory) -> str | None:
    """Why a table that names pictures is not used; None where it names none, or holds only measures beside them."""
    columns = one.table.columns
    naming = [name for name, cells in columns.items() if _names_pictures(cells, files)]
    rest = [name for name in columns if name not in naming and not _measures(columns[name])]
    if not naming or (not rest and len(columns) > 1):
        return None
    if not rest and len(one.table.lines) >= len(files.of("picture")):
        return None  # a list of all pictures
    return (
        f"{one.path} names pictures of this folder, and none of its columns ({', '.join(columns)}) is recognised as "
        "label, split or person: name one with --label_column, --split_column or --person_column, and the one of the "
        "pictures with --image_column"
    )


def _measures(cells: Column) -> bool:
    """Whether a column holds numbers with a fraction, which are no codes, or nothing."""
    there = [cell for cell in cells if cell]
    return all(re.fullmatch(r"[-+]?\d*\.?\d*(e[-+]?\d+)?", cell, re.I) for cell in there) and (
        not there or any(re.search(r"\.\d*[1-9]|e", cell, re.I) for cell in there)
    )


def _closed(files: Inventory) -> Iterator[tuple[Path, str]]:
    """Tables in forms that are not read, and text files that lie beside pictures of their names."""
    stems = {file.key.rpartition(".")[0] for file in files.of("picture")}
    for file in files.files:
        if CLOSED.fullmatch(file.name) and len(file.folders) < DEEPEST:
            yield file.path, f"{file.path} is a table in a form that is not read: save it as csv in UTF-8"
        elif (
            file.kind != "picture"
            and file.name.lower().endswith(OF_ONE_PICTURE)
            and file.key.rpartition(".")[0] in stems
        ):
            yield (
                file.path,
                (
                    f"{file.path} lies beside a picture of its name and may say its class, which is not read: write a "
                    "csv file with the columns path,label"
                ),
            )


def _texts(files: Inventory) -> list[Path]:
    """Other files of text, by content: lists without a suffix, tables deep below."""
    tables = {file.path for file in candidates(files)}
    found = [
        file.path
        for file in files.files
        if file.kind in ("table", "other") and file.path not in tables and not NO_LIST.fullmatch(file.name)
    ]
    return [path for path in found if not path.name.lower().endswith(BESIDE_ONE)][:MOST_TABLES]


def _text_names_pictures(path: Path, recipe: Recipe, files: Inventory) -> bool:
    """Whether the text of a damaged table names two pictures of the folder, or the only one."""
    if not files.names:
        return False
    found: set[str] = set()
    for words in _words(path, recipe):
        found |= {plain_path(word) for word in words if names_picture(word, files)}
    return len(found) >= min(2, len(files.of("picture")))


def _words(path: Path, recipe: Recipe) -> Iterator[Sequence[str]]:
    """The words of each line; bytes that are no text are kept as they are."""
    try:
        encoding = encoding_of(path, recipe.csv_encoding)
        with path.open(encoding=encoding, errors="replace") as file:
            text = file.read(HEAD)
            text += file.read(LOOKED_AT) if "\0" not in text else ""  # the rest of it, unless it is not text
    except (OSError, UnicodeError):
        return
    for line in text.splitlines():
        yield [*re.split(r"\s*[,;|\t]\s*", line.strip()), *re.split(r"[\s,;|\"'\[\]{}:]+", line)]
