"""RAF-DB: `list_patition_label.txt` with aligned pictures, or class folders named by its codes 1 to 7.

A line of the list is `train_00001.jpg 5`, its picture `aligned/train_00001_aligned.jpg` (or `Image/aligned/`, with the
list in `EmoLabel/`); see http://whdeng.cn/RAF/model1.html.
"""

from collections.abc import Mapping
from pathlib import Path

from datasets import Dataset, DatasetDict

from pipeline.data.readers.files import listed_pictures, refuse_unlisted
from pipeline.data.readers.folder import class_folders
from pipeline.data.readers.layouts import rafdb_list
from pipeline.data.readers.rows import refuse_empty, table_of_files
from pipeline.data.table import Reading
from pipeline.errors import InputError
from pipeline.expressions import RAFDB_CODES, decoded
from pipeline.settings.recipe import Recipe
from pipeline.source import Source

RAFDB_TERMS = (
    "RAF-DB (Li et al., CVPR 2017): pictures from the web, under a signed agreement for non-commercial research only; "
    "no part of it may be copied, published or distributed"
)
RAFDB_CITATION = (
    "Li, Deng and Du: Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the "
    "Wild. CVPR 2017"
)


def read(recipe: Recipe) -> Reading:
    """The source in `recipe.data_path`: by the list where there is one, else by class folders.

    The key of a picture is its name in the list, or its path below the folder.

    Raises:
        InputError: list and pictures do not fit, or a code or folder has no name; the message names file and line.
    """
    given = Path(str(recipe.data_path)).expanduser()
    path = rafdb_list(given)
    if path is not None:
        return _by_list(path, recipe)
    tables, left_out, shape = class_folders(given, recipe, "rafdb", RAFDB_CODES)
    how = "stated" if recipe.source == "rafdb" else "assumed; --source rafdb states it, --class_map names others"
    layout = f"class folders {shape}, numbers 1 to 7 read as RAF-DB codes ({how})"
    return Reading((_source(layout, left_out),), tables)


def _by_list(path: Path, recipe: Recipe) -> Reading:
    folder = _aligned(path)
    rows = _rows(path)
    files = listed_pictures(path, [line for line, _, _ in rows], [_aligned_name(name) for _, name, _ in rows], [folder])
    refuse_unlisted(path, files, folder)
    classes = decoded([code for _, _, code in rows], RAFDB_CODES, recipe.class_map)
    tables: dict[str, Dataset] = {}
    left_out: dict[str, dict[str, int]] = {}
    found = {_split(name) for _, name, _ in rows}
    for split in [s for s in ("train", "test") if s in found]:
        chosen = [i for i, (_, name, _) in enumerate(rows) if _split(name) == split]
        tables[split], left_out[split] = table_of_files(
            [files[i] for i in chosen],
            [classes[i] for i in chosen],
            [rows[i][1] for i in chosen],
            [None] * len(chosen),
            "rafdb",
            recipe,
            str(path),
        )
    refuse_empty(tables, str(path), left_out)
    layout = f"RAF-DB by {path.name}, aligned pictures"
    return Reading((_source(layout, left_out),), DatasetDict(tables))


def _source(layout: str, left_out: Mapping[str, Mapping[str, int]]) -> Source:
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
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text: {error}") from None
    rows = []
    for line, words in enumerate(text.split("\n"), 1):
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
