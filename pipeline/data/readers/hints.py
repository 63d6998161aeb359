"""What else a folder may be whose folders are named after no class: the line that says what reads it."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.readers.inventory import File, inventory
from pipeline.data.readers.labels import GENERIC
from pipeline.data.readers.listed import candidates
from pipeline.data.readers.patterns import KNOWN
from pipeline.data.readers.tables import read_table
from pipeline.errors import InputError
from pipeline.expressions import is_expression, plain

ENOUGH = 0.8  # share of pictures that a pattern must fit before it is proposed


def hint_for_folders(root: Path, files: Sequence[File]) -> str:
    """What to say where no folder is named after a class, or "" where folders may be own classes."""
    names = {file.folders[0] for file in files if file.folders}
    if not files or any(is_expression(name) for name in names):
        return ""
    return hint_of_paths(files) or _yolo(root) or (hint_of_tables(root) if names_are_generic(names) else "")


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
    words = Counter(word for file in files for word in set(re.split(r"[\W_\d]+", file.name)) if is_expression(word))
    if sum(words.values()) >= ENOUGH * len(files):
        return (
            "the class seems to be in the file names: set --label_pattern with a regular expression that has a group "
            f"label, such as --label_pattern '(?P<label>{'|'.join(sorted(words))})'"
        )
    return ""


def hint_of_tables(root: Path) -> str:
    """The tables of a folder with their columns, and the settings that read them; "" without any."""
    said = []
    for file in candidates(inventory(root)):
        try:
            said.append(read_table(file.path).in_words)
        except InputError as error:
            said.append(str(error).replace(str(root), "").lstrip("/"))
    if not said:
        return (
            "no table beside them says the classes: put the pictures into a folder for each class, or give a csv file "
            "with the columns path,label"
        )
    return (
        f"tables found: {'; '.join(said[:5])}: name the columns with --image_column and --label_column, or put the "
        "pictures into a folder for each class"
    )


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


def hint_for_files(path: Path) -> str:
    """What lies in a folder that no reader understands, in brackets after the sentence that says so."""
    if not path.is_dir():
        return ""
    whole = inventory(path)
    pictures = whole.of("picture")
    found = hint_of_paths(pictures) if pictures else ""
    said = f" ({len(pictures):,} pictures, {len(whole.files) - len(pictures):,} other files"
    tables = hint_of_tables(path) if candidates(whole) else ""
    return f"{said}{'; ' if found or tables else ''}{found or tables})"
