"""RAF-DB: `list_patition_label.txt` with aligned pictures, or, where `source` says so, folders named by its codes.

A line of the list is `train_00001.jpg 5`, its picture `aligned/train_00001_aligned.jpg` (or `Image/aligned/`, with the
list in `EmoLabel/`); see http://whdeng.cn/RAF/model1.html.
"""

from collections.abc import Mapping
from pathlib import Path

from pipeline.data.readers.codes import RAFDB_CODES
from pipeline.data.readers.files import listed_pictures, local_path, refuse_unlisted
from pipeline.data.readers.folder import class_folders
from pipeline.data.readers.labels import Names
from pipeline.data.readers.rows import Labelled, part_of, whole_of
from pipeline.data.readers.text import read_text
from pipeline.data.table import Reading
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "rafdb"
LAYOUT = "RAF-DB (list_patition_label.txt and aligned/)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ("csv", "folder")

RAFDB_LIST = "list_patition_label.txt"  # spelled so
RAFDB_TERMS = (
    "RAF-DB (Li et al., CVPR 2017): pictures from the web, under a signed agreement for non-commercial research only; "
    "no part of it may be copied, published or distributed"
)
RAFDB_CITATION = (
    "Li, Deng and Du: Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the "
    "Wild. CVPR 2017"
)


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` is the list of RAF-DB or holds it, or None; folders 1 to 7 may be anybody's."""
    return RAFDB_LIST if rafdb_list(path) is not None else None


def rafdb_list(path: Path) -> Path | None:
    """The list of RAF-DB: `path` itself, or where it lies in the folder `path`; None where there is none."""
    places = (path, path / RAFDB_LIST, path / "EmoLabel" / RAFDB_LIST, path / "basic" / "EmoLabel" / RAFDB_LIST)
    return next((place for place in places if place.name == RAFDB_LIST and place.is_file()), None)


def read(recipe: Recipe) -> Reading:
    """The source in `recipe.data_path`: by the list where there is one, otherwise by class folders.

    The key of a picture is its name in the list, or its path below the folder.

    Raises:
        InputError: list and pictures do not fit, or a code or folder has no name; the message names file and line.
    """
    given = local_path(recipe)
    path = rafdb_list(given)
    if path is not None:
        return _by_list(path, recipe)
    found = class_folders(given, recipe, "rafdb", RAFDB_CODES)
    layout = f"class folders {found.shape}, numbers 1 to 7 read as RAF-DB codes (by --source rafdb)"
    return Reading((_source(layout, found.left_out, found.names),), found.tables)


def _by_list(path: Path, recipe: Recipe) -> Reading:
    folder = _aligned(path)
    rows = _rows(path)
    files = listed_pictures(path, [line for line, _, _ in rows], [_aligned_name(name) for _, name, _ in rows], [folder])
    refuse_unlisted(path, files, folder)
    pictures = [Labelled(file, name, code, _split(name)) for file, (_, name, code) in zip(files, rows, strict=True)]
    parts = {
        split: part_of([one for one in pictures if one.split == split], NAME, recipe, str(path), RAFDB_CODES)
        for split in dict.fromkeys(one.split for one in pictures)
    }
    whole = whole_of(parts, str(path))
    layout = f"RAF-DB by {path.name}, aligned pictures"
    return Reading((_source(layout, whole.left_out, whole.names),), whole.tables)


def _source(layout: str, left_out: Mapping[str, Mapping[str, int]], names: Names) -> Source:
    return Source(
        id="rafdb",
        title="RAF-DB",
        layout=layout,
        origin="local",
        datasets=("RAF-DB",),
        terms=RAFDB_TERMS,
        citation=RAFDB_CITATION,
        may_publish_labels=False,
        left_out=left_out,
        names=names,
    )


def _aligned(path: Path) -> Path:
    """The folder of the aligned pictures that the list `path` names."""
    root = path.parent.parent if path.parent.name == "EmoLabel" else path.parent
    places = [root / "aligned", root / "Image" / "aligned"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise InputError(f"{path}: no folder {places[0]} or {places[1]} with its pictures; put them there")
    return found


def _aligned_name(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}_aligned{dot}{suffix}"


def _split(name: str) -> str:
    return name.partition("_")[0]


def _rows(path: Path) -> list[tuple[int, str, str]]:
    """Line, picture name and code of every line that is not blank."""
    rows = []
    for line, words in enumerate(read_text(path).split("\n"), 1):
        if not words.strip():
            continue
        name, *code = words.strip().rsplit(maxsplit=1)
        if not code or _split(name) not in ("train", "test"):
            raise InputError(
                f"{path} line {line}: {words.strip()!r}; expected a name that starts with train_ or test_, and a code, "
                "as in 'train_00001.jpg 5'"
            )
        rows.append((line, name, code[0]))
    return rows
