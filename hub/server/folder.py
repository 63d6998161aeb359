"""What the server reads of a model's folder beside its weights: class names, drawn faces, alignment of crops, data."""

import json
import sys
from collections import ChainMap
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.own_file import why_not_own
from pipeline.pictures import UnusablePicture, decode
from pipeline.yaml_text import read_yaml

RECIPE, CURATION = "recipe.yaml", "curation.json"
MAX_EXAMPLES = 100
MAX_BYTES = 2**20  # of an example, or of the recipe
MAX_CURATION = 64 * 2**20  # bytes; it names the pictures that were left out


def class_names(config: dict[str, Any], name: str) -> tuple[str, ...]:
    """The K class names in `id2label` of a config.json, in the order of the logits.

    Raises:
        InputError: there is none, or a name is not text that can be printed and sent, or two are equal.
    """
    try:
        classes = tuple(config["id2label"][str(index)] for index in range(len(config["id2label"])))
    except (KeyError, TypeError):
        raise InputError(f"{name}: config.json names no classes, so this is not an image classifier") from None
    wrong = [label for label in classes if not isinstance(label, str) or not label.strip() or not label.isprintable()]
    if wrong or not classes:
        raise InputError(f"{name}: config.json: id2label has {wrong[:1]}, which is not the name of a class: mend it")
    if len(set(classes)) < len(classes):
        twice = next(label for label in classes if classes.count(label) > 1)
        raise InputError(f"{name}: config.json: id2label has {twice!r} twice: every class needs its own name")
    return classes


def score_ranges(config: dict[str, Any], names: tuple[str, ...]) -> dict[str, list[float]]:
    """The lowest and highest value in train of each of the scores `names`; from 0 to 1 where config.json has none."""
    found = config.get("score_ranges")
    given = found if isinstance(found, dict) else {}

    def ends(value: Any) -> list[float]:
        numbers = value if isinstance(value, list) and len(value) == 2 else [0.0, 1.0]
        finite = all(isinstance(n, int | float) and abs(n) <= sys.float_info.max for n in numbers)
        whole = finite and numbers[0] < numbers[1]
        return [float(n) for n in numbers] if whole else [0.0, 1.0]

    return {name: ends(given.get(name)) for name in names}


def example_files(folder: Path) -> dict[str, bytes]:
    """The drawn faces in `examples/`, by expression, as PNG files.

    Raises:
        InputError: there are too many, or one is not a small PNG picture in this folder.
    """
    names = sorted(file.name for file in (folder / "examples").glob("*.png"))
    if len(names) > MAX_EXAMPLES:
        raise InputError(f"{folder.name}/examples has {len(names):,} pictures; at most {MAX_EXAMPLES} are served")
    return {name.removesuffix(".png"): _example(folder, f"examples/{name}") for name in names}


def _example(folder: Path, name: str) -> bytes:
    file, why = f"{folder.name}/{name}", why_not_own(folder, name)
    if why is None and (folder / name).stat().st_size > MAX_BYTES:
        why = f"has more than {MAX_BYTES:,} bytes"
    if why is None:
        content = (folder / name).read_bytes()
        try:
            decode(content, formats=("PNG",))
        except UnusablePicture as error:
            why = f"is {error}"
        else:
            return content
    raise InputError(f"{file!r} {why}: it is not served; take it out")


def read_align(folder: Path) -> bool:
    """Whether the run was trained only on crops with level eyes; then the app aligns its crops too.

    Raises:
        InputError: recipe.yaml is a link that leads out, a pipe or too large.
    """
    why = why_not_own(folder, RECIPE)
    if why == "is missing":
        return False
    if why or (folder / RECIPE).stat().st_size > MAX_BYTES:
        raise InputError(f"{folder.name}/{RECIPE} {why or f'has more than {MAX_BYTES:,} bytes'}: take it out")
    try:
        recipe = read_yaml((folder / RECIPE).read_text(encoding="utf-8"))
        entries = [ChainMap(entry, recipe) for entry in recipe.get("sources") or [{}]]
        cropped = [entry for entry in entries if entry.get("crop") == "detect"]
    except (OSError, ValueError, RecursionError, yaml.YAMLError, AttributeError, LookupError, TypeError):
        return False  # not a run of this project: another kind of file
    return bool(cropped) and all(entry.get("face_align") for entry in cropped)


def read_sources(folder: Path) -> dict[str, str]:
    """Title -> origin (`drawn`, `local` or `hub`) of each source in curation.json; empty if the model does not say.

    Raises:
        InputError: curation.json is a link that leads out, a pipe or too large.
    """
    why = why_not_own(folder, CURATION)
    if why == "is missing":
        return {}
    if why or (folder / CURATION).stat().st_size > MAX_CURATION:
        raise InputError(f"{folder.name}/{CURATION} {why or f'has more than {MAX_CURATION:,} bytes'}: take it out")
    try:
        sources = json.loads((folder / CURATION).read_text(encoding="utf-8"))["sources"].values()
        return {str(source["title"]): str(source["origin"]) for source in sources}
    except (OSError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return {}  # not a run of this project, or of a version before sources had titles: another kind of file
