"""What else a folder may be whose folders are named after no class: the line that says what reads it."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.readers.inventory import File, inventory, kind_of, named
from pipeline.data.readers.labels import GENERIC
from pipeline.data.readers.listed import candidates, listed
from pipeline.data.readers.patterns import KNOWN
from pipeline.data.readers.tables import read_table
from pipeline.data.table import split_in
from pipeline.errors import InputError
from pipeline.expressions import is_expression, meaning, plain
from pipeline.settings.recipe import Recipe

PACKED = re.compile(r"\.(7z|rar|bz2|tbz2?|xz|txz|zst|lz4?|gz|z)$", re.I)
CKPLUS_FRAME = re.compile(r"(?:^|/)S\d{3}/\d{3}/S\d{3}_\d{3}_\d{8}\.\w+$")
SHOWN = 5  # tables in a message
NEGATIONS = {"not", "no", "non", "without"}  # `not_happy_1.png`
LONGEST = 80  # characters of a name in a message
ENOUGH = 0.8  # share of pictures that a pattern must fit before it is proposed


def hint_for_folders(root: Path, files: Sequence[File], recipe: Recipe) -> str:
    """What to say where no folder is named after a class, or "" where folders may be own classes."""
    names = {file.folders[0] for file in files if file.folders}
    if not files or any(is_expression(name) for name in names):
        return ""
    return hint_of_paths(files) or _yolo(root) or (hint_of_tables(root, recipe) if names_are_generic(names) else "")


def names_are_generic(names: set[str]) -> bool:
    """Whether folders hold data of any class: there is only one, or all have names such as `images`."""
    return len(names) == 1 or all(plain(name) in GENERIC or not re.search(r"[^\W\d_]", name) for name in names)


def hint_of_paths(files: Sequence[File]) -> str:
    """The `--label_pattern` that reads most of the paths, or ""."""
    for name, pattern in KNOWN.items():
        if name != "ckplus" and sum(bool(pattern.regex.search(f.key)) for f in files) >= ENOUGH * len(files):
            return f"their file names are those of {pattern.title}: set --label_pattern {name}"
    for level in range(1, 4):
        found = [file.folders[level] for file in files if len(file.folders) > level]
        if len(found) == len(files) and all(is_expression(name) for name in set(found)):
            return _of_folders_above(level, sorted({file.folders[level - 1] for file in files}))
    if sum(bool(CKPLUS_FRAME.search(f.key)) for f in files) >= ENOUGH * len(files):
        return "these seem to be frames of CK+, whose labels are missing: give the folder that holds Emotion/ as well"
    return _of_words(files)


def _of_folders_above(level: int, names: Sequence[str]) -> str:
    """What to say of class folders that lie `level` folders deep, in folders called `names`."""
    shown = ", ".join(names[:SHOWN])
    said = f"the folders of classes lie below others ({shown})"
    if any(split_in(name) for name in names):
        return f"{said}, which seem to be splits: call these train, validation and test"
    whole = f"--label_pattern '^{'[^/]+/' * level}(?P<label>[^/]+)/'"
    if len(names) == 1 or all(plain(name) in GENERIC for name in names):
        return f"{said}: set {whole}"
    persons = f"--label_pattern '^{'[^/]+/' * (level - 1)}(?P<person>[^/]+)/(?P<label>[^/]+)/'"
    return f"{said}: if these are persons, set {persons}; otherwise set {whole}"


def _of_words(files: Sequence[File]) -> str:
    """What to say of file names with one word for an expression each, or ""."""
    each = [{word for word in re.split(r"[\W_\d]+", file.name) if word} for file in files]
    words = Counter(word for of_file in each for word in of_file if is_expression(word))
    several = any(len({meaning(word) for word in of_file if is_expression(word)}) > 1 for of_file in each)
    negated = any({word.casefold() for word in of_file} & NEGATIONS for of_file in each)
    if several or negated or sum(words.values()) < ENOUGH * len(files):
        return ""
    return (
        "the class seems to be in the file names: set --label_pattern with a regular expression that has a group "
        f"label, such as --label_pattern '(?<![a-zA-Z])(?P<label>{'|'.join(sorted(words))})(?![a-zA-Z])'"
    )


def hint_of_tables(root: Path, recipe: Recipe) -> str:
    """The tables of a folder with their columns, and what reads them; other files by their names."""
    readable, damaged = [], []
    for file in candidates(inventory(root)):
        try:
            readable.append(_in_words(file.path, recipe))
        except InputError as error:
            damaged.append(str(error).replace(f"{root}/", ""))
    if readable:
        return (
            f"tables found: {'; '.join(readable[:SHOWN])}: name the columns with --image_column and --label_column, "
            "or put the pictures into a folder for each class"
        )
    others = [file for file in inventory(root).files if file.kind not in ("picture", "table")]
    packed = [file for file in others if PACKED.search(file.name)]
    if packed:
        return f"{named(packed)} is packed in a form that is not read: unpack it first"
    said = damaged[:SHOWN] or ([f"files found beside the pictures: {named(others)}"] if others else [])
    advice = "put the pictures into a folder for each class, or give a csv file with the columns path,label"
    return f"{'; '.join([*said, advice])}"


def _in_words(path: Path, recipe: Recipe) -> str:
    """A table with its columns; where they are clear, it is its pictures that are missing."""
    table = read_table(path, recipe.csv_encoding)
    try:
        one = listed(path, recipe)
    except InputError:
        return table.in_words
    if not (one.roles.picture and one.labels and one.names):
        return table.in_words
    name = one.names[0] if len(one.names[0]) <= LONGEST else f"{one.names[0][:LONGEST]}..."
    if len(one.names[0]) > 1000 or one.names[0].startswith("data:"):
        return (
            f"{table.in_words}, whose cells {one.roles.picture} hold pictures as text ({name[:20]}...), which is not "
            "read: write each picture into a file and its path into the table, or make a parquet file with bytes"
        )
    first = f"the first {name!r} on {table.unit} {table.lines[0]}"
    if re.match(r"https?://", one.names[0], re.I):
        return (
            f"{table.in_words}, whose pictures are addresses of the network, {first}, which are not fetched: download "
            "them and write their paths into the table"
        )
    return f"{table.in_words}, whose pictures are not here, {first}"


def _yolo(root: Path) -> str:
    """Folders `images` and `labels` with a text file for each picture are those of YOLO."""
    whole = inventory(root)
    texts = {Path(file.name).stem for file in whole.files if file.name.endswith(".txt") and "labels" in file.folders}
    pictures = [file for file in whole.of("picture") if Path(file.name).stem in texts]
    if not texts or not pictures:
        return ""
    return (
        f"labels/ has a text file for each of {len(pictures):,} pictures, as YOLO writes boxes, which are not read: "
        "give a csv file with the columns path,label, or a folder for each class"
    )


def hint_for_files(path: Path, recipe: Recipe) -> str:
    """What a path is or holds that no reader understands, in brackets after the sentence that says so; "" if empty."""
    if path.is_file():
        return f" ({_of_file(path)})" if _of_file(path) else ""
    if not path.is_dir() or not inventory(path).files:
        return ""
    whole = inventory(path)
    pictures = whole.of("picture")
    found = hint_of_paths(pictures) if pictures else ""
    said = f" ({len(pictures):,} pictures and {len(whole.files) - len(pictures):,} other files"
    return f"{said}; {found or hint_of_tables(path, recipe)})"


def _of_file(path: Path) -> str:
    """What to say of one file that no reader takes, or ""."""
    if kind_of(path) == "picture":
        return "it is one picture: give the folder that holds the pictures"
    if PACKED.search(path.name):
        return "it is packed in a form that is not read: unpack it, and give the folder"
    return ""
