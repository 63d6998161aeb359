"""What else a folder may be whose folders are named after no class: the line that says what reads it."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.readers.inventory import File, inventory, named
from pipeline.data.readers.labels import GENERIC
from pipeline.data.readers.listed import candidates, listed
from pipeline.data.readers.patterns import KNOWN
from pipeline.data.readers.tables import read_table
from pipeline.errors import InputError
from pipeline.expressions import is_expression, plain
from pipeline.settings.recipe import Recipe

CKPLUS_FRAME = re.compile(r"(?:^|/)S\d{3}/\d{3}/S\d{3}_\d{3}_\d{8}\.\w+$")
SHOWN = 5  # tables in a message
ENOUGH = 0.8  # share of pictures that a pattern must fit before it is proposed


def hint_for_folders(root: Path, files: Sequence[File], recipe: Recipe) -> str:
    """What to say where no folder is named after a class, or "" where folders may be own classes."""
    names = {file.folders[0] for file in files if file.folders}
    if not files or any(is_expression(name) for name in names):
        return ""
    return hint_of_paths(files) or _yolo(root) or (hint_of_tables(root, recipe) if names_are_generic(names) else "")


def names_are_generic(names: set[str]) -> bool:
    """Whether all folders have names such as `images`, which hold data of any class."""
    return all(plain(name) in GENERIC or not re.search(r"[^\W\d_]", name) for name in names)


def hint_of_paths(files: Sequence[File]) -> str:
    """The `--label_pattern` that reads most of the paths, or ""."""
    for name, pattern in KNOWN.items():
        if name != "ckplus" and sum(bool(pattern.regex.search(f.key)) for f in files) >= ENOUGH * len(files):
            return f"their file names are those of {pattern.title}: set --label_pattern {name}"
    for level in range(4):
        found = [file.folders[level] for file in files if len(file.folders) > level]
        if level and len(found) == len(files) and all(is_expression(name) for name in set(found)):
            above = "[^/]+/" * (level - 1)
            below = f"^{above}(?P<person>[^/]+)/(?P<label>[^/]+)/"
            return f"the folders of classes lie below others: set --label_pattern '{below}'"
    if sum(bool(CKPLUS_FRAME.search(f.key)) for f in files) >= ENOUGH * len(files):
        return "these seem to be frames of CK+, whose labels are missing: give the folder that holds Emotion/ as well"
    words = Counter(word for file in files for word in set(re.split(r"[\W_\d]+", file.name)) if is_expression(word))
    if sum(words.values()) >= ENOUGH * len(files):
        return (
            "the class seems to be in the file names: set --label_pattern with a regular expression that has a group "
            f"label, such as --label_pattern '(?P<label>{'|'.join(sorted(words))})'"
        )
    return ""


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
    first = f"the first {one.names[0]!r} on {table.unit} {table.lines[0]}"
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
    """What lies in a folder that no reader understands, in brackets after the sentence that says so."""
    if not path.is_dir():
        return ""
    whole = inventory(path)
    pictures = whole.of("picture")
    found = hint_of_paths(pictures) if pictures else ""
    said = f" ({len(pictures):,} pictures and {len(whole.files) - len(pictures):,} other files"
    return f"{said}; {found or hint_of_tables(path, recipe)})"
