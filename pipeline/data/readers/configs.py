"""`configs` in the README.md of a data set: which files are which split, as the Hub and `datasets` read them."""

import codecs
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.data.readers.inventory import File, inventory, named
from pipeline.data.table import SPLITS_IN_WORDS, split_in, split_of
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.yaml_text import read_yaml

CARD = "README.md"
MAX_HEAD = 2**20  # bytes of a card that are read: its head stands first
HEAD = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.S)
KINDS = ("picture", "parquet", "table", "archive")  # that a configuration may name


class Named(NamedTuple):
    """The files of each split that README.md names, and the data files of the folder that it does not name."""

    splits: dict[str, list[File]]
    others: list[File]


def named_files(root: Path) -> Named | None:
    """What README.md in `root` names, or None where it names no files.

    Raises:
        InputError: it has several configurations and no default, a split has another name, or a pattern fits no file.
    """
    patterns = _patterns(root / CARD)
    if not patterns:
        return None
    place = f"{root / CARD}, configs"
    files = [file for file in inventory(root).files if file.kind in KINDS]
    splits: dict[str, list[File]] = {}
    for name, globs in patterns:
        split = split_of(name)
        if split is None:
            raise InputError(f"{place}: unknown split {name!r}; splits are {SPLITS_IN_WORDS}")
        for glob in globs:
            fitting = [file for file in files if _fits(file, glob)]
            if not fitting:
                raise InputError(f"{place}: {glob} of the split {name} fits no file below {root}; correct it")
            splits.setdefault(split, []).extend(file for file in fitting if file not in splits.get(split, ()))
    used = {file.path for of_split in splits.values() for file in of_split}
    return Named(splits, [file for file in files if file.path not in used and file.kind != "table"])


def refuse_other_splits(root: Path, recipe: Recipe, reader: str) -> None:
    """Stop where README.md gives files to other splits than their names and folders do, unless `source` is given.

    For readers that find splits by names of files and folders.

    Raises:
        InputError: as `named_files`; or the first file that would be read as another split, or is not named there.
    """
    found = named_files(root) if recipe.source == "auto" and root.is_dir() else None
    if found is None:
        return
    rule = f"rename folders and files after {SPLITS_IN_WORDS}, or ignore README.md with --source {reader}"
    for split, files in found.splits.items():
        for file in files:
            if (own := split_of_path(file)) != split and (len(found.splits) > 1 or own):
                said = f"is {own}" if own else "names no split"
                raise InputError(
                    f"{root / CARD}, configs: {file.key} is of the split {split}, and by its name it {said}: {rule}"
                )
    if found.others:
        raise InputError(f"{root / CARD}, configs: {named(found.others)} not among the files of a split: {rule}")


def split_of_path(file: File) -> str | None:
    """The split that the name of a file, otherwise the innermost of its folders, says."""
    return split_in(Path(file.name).stem) or next((s for s in map(split_of, reversed(file.folders)) if s), None)


def _patterns(card: Path) -> list[tuple[str, list[str]]]:
    """The name of each split, `train` where there is none, and its glob patterns."""
    configs = [one for one in _configs(card) if isinstance(one, Mapping) and one.get("data_files")]
    chosen = [one for one in configs if one.get("default") is True or one.get("config_name") == "default"]
    if len(configs) > 1 and len(chosen) != 1:
        names = ", ".join(str(one.get("config_name")) for one in configs)
        raise InputError(
            f"{card}: configs names {names}, and none of them is the default: set default: true for one of them"
        )
    only = (chosen or configs or [{}])[0]
    above = str(only.get("data_dir") or "")
    return [(split, [_joined(above, glob) for glob in globs]) for split, globs in _by_split(only.get("data_files"))]


def _configs(card: Path) -> Sequence[Any]:
    try:
        head = HEAD.match(_beginning(card)) if card.is_file() else None
        content = read_yaml(head[1]) if head and "configs" in head[1] else None
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise InputError(f"{card}: its head cannot be read: {str(error).splitlines()[0]}; correct it") from None
    configs = content.get("configs") if isinstance(content, Mapping) else None
    return configs if isinstance(configs, list) else []


def _beginning(card: Path) -> str:
    """The first `MAX_HEAD` bytes of a card; a character that they cut is left out."""
    with card.open("rb") as file:
        return codecs.getincrementaldecoder("utf-8")().decode(file.read(MAX_HEAD))


def _by_split(data_files: object) -> list[tuple[str, list[str]]]:
    if isinstance(data_files, str):
        return [("train", [data_files])]
    if isinstance(data_files, Mapping):
        return [(str(split), _listed(globs)) for split, globs in data_files.items()]
    if not isinstance(data_files, list):
        return []
    if all(isinstance(entry, str) for entry in data_files):
        return [("train", data_files)]
    entries = [entry for entry in data_files if isinstance(entry, Mapping)]
    return [(str(entry.get("split", "train")), _listed(entry.get("path"))) for entry in entries]


def _listed(globs: object) -> list[str]:
    return [str(glob) for glob in globs] if isinstance(globs, list) else [str(globs)]


def _joined(above: str, glob: str) -> str:
    return "/".join(filter(None, (above.strip("/"), glob.removeprefix("./").lstrip("/"))))


def _fits(file: File, glob: str) -> bool:
    """Whether a glob pattern means the file: `**` is any number of folders, `*` and `?` stay within one."""
    words = re.split(r"(\*\*/?|\*|\?|\[[^\]]+\])", glob)
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    regex = "".join(signs.get(word) or (word if word.startswith("[") else re.escape(word)) for word in words)
    return re.fullmatch(regex, file.key) is not None
