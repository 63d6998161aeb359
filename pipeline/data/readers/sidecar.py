"""WebDataset: `key.jpg` with its class in `key.cls` or `key.json` beside it, as its tar files hold them."""

import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.data.readers.files import local_path
from pipeline.data.readers.inventory import File, inventory
from pipeline.data.readers.roles import find_roles
from pipeline.data.readers.rows import Labelled, parts_of, whole_of
from pipeline.data.readers.tables import as_text
from pipeline.data.readers.text import read_text
from pipeline.data.table import ALL, Reading, split_in, split_of
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "webdataset"
LAYOUT = "WebDataset (key.jpg with key.cls or key.json, in tar files or unpacked)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ("folder", "csv")
BESIDE = (".cls", ".json")


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` holds pictures with files of their classes beside them, or None: the first picture has one."""
    first = next(iter(inventory(path).of("picture")), None) if path.is_dir() else None
    beside = first and _beside(first.path)
    return f"{beside.name} beside {first.name}" if first and beside else None


def _beside(picture: Path) -> Path | None:
    """The file of its class beside a picture: the same name up to the first dot."""
    key = picture.name.partition(".")[0]
    return next((p for suffix in BESIDE if (p := picture.with_name(key + suffix)).is_file()), None)


def read(recipe: Recipe) -> Reading:
    """The pictures below `recipe.data_path` with the classes of the files beside them.

    Raises:
        InputError: a file of a class cannot be read, or a class is unknown.
    """
    root = local_path(recipe)
    files = inventory(root)
    beside = {file: found for file in files.of("picture") if (found := _beside(file.path))}
    splits = {file: _split(file) for file in beside}
    if not all(splits.values()):
        splits = {}
    pictures = [
        Labelled(file.path, file.key, label, splits.get(file) or ALL, person)
        for file, (label, person) in {file: _said(path, recipe) for file, path in beside.items()}.items()
    ]
    suffixes = " and ".join(sorted({path.suffix for path in beside.values()}))
    parts = parts_of(pictures, root.resolve().name, recipe, f"data_path {root}, files {suffixes}")
    lost = len(files.of("picture")) - len(beside)
    others = ({"picture without a file of its class": lost} if lost else {}) | files.left_out(set(beside.values()))
    whole = whole_of(parts, f"data_path {root}", others)
    source = Source(
        id=root.resolve().name,
        title=root.resolve().name,
        layout="WebDataset: the class beside each picture",
        origin="local",
        left_out=whole.left_out,
        names=whole.names,
    )
    return Reading((source,), whole.tables)


def _split(file: File) -> str | None:
    return next((s for folder in file.folders if (s := split_of(folder) or split_in(folder))), None)


def _said(path: Path, recipe: Recipe) -> tuple[str | None, str | None]:
    """The class and the person that a file beside a picture names."""
    text = read_text(path, recipe.csv_encoding).strip()
    if path.suffix != ".json":
        return text or None, None
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, Mapping):
        return as_text(content), None
    cells = {str(key): [as_text(value)] for key, value in content.items()}
    roles = find_roles(cells, recipe, str(path))
    if roles.label is None:
        raise InputError(f"{path}: no label among its keys {', '.join(cells)}; name it with --label_column")
    return cells[roles.label][0], cells[roles.person][0] if roles.person else None
