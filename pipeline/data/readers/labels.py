"""Labels as the source writes them become classes: names by their meaning, numbers by a code table only."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from pipeline.data.readers.codes import TABLES, code_of, is_number, tables_in_words
from pipeline.errors import InputError
from pipeline.expressions import UnknownClass, canonical, is_expression, plain
from pipeline.settings.recipe import Recipe
from pipeline.yaml_text import read_yaml

Names = dict[str, dict[str, int]]  # name in the source -> class or LEFT_OUT -> rows
LEFT_OUT = "left out"
NO_LABEL = "no label"
SHOWN = 12  # names in a message
MOST_CLASSES = 30  # more names than these are rather persons or dates
# Folders and words that hold data and are the name of no class.
GENERIC = {
    *("image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "face", "faces", "data", "dataset"),
    *("datasets", "archive", "label", "labels", "annotation", "annotations", "jpg", "png", "raw", "files", "frames"),
    *(
        "aligned",
        "cropped",
        "original",
        "origin",
        "all",
        "input",
        "output",
        "masks",
        "videos",
        "misc",
        "other",
        "others",
    ),
    *("nan", "null"),
}


def class_labels(
    names: Sequence[str | None], recipe: Recipe, place: str, codes: Mapping[str, str] | None = None, hint: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) int64, -1 where the row is left out, and the reasons (N,) object, "" where it stays.

    Args:
        names: what the source has for each row, None where it has nothing.
        recipe: its classes, `class_map` and `label_codes` decide.
        place: the file or folder, for messages.
        codes: what the numbers of this data set stand for; without it `label_codes` names the table.
        hint: what else the reader knows, for the message about names that are no classes.

    Raises:
        InputError: a number without a code table, or a name that is not a class; the message counts the pictures.
    """
    table = TABLES.get(recipe.label_codes or "", {}) if codes is None else codes
    class_map = _class_map(recipe)
    counts = Counter(name if name is None or name.strip() else None for name in names)
    _refuse_numbers([name for name in counts if name is not None], counts, table, recipe, place)
    meanings: dict[str | None, tuple[int, str]] = {None: (-1, NO_LABEL)}
    unknown: dict[str, str] = {}
    for name in counts:
        if name is None:
            continue
        word = _word(name, table, recipe)
        try:
            found = canonical(word, recipe.classes, class_map)
        except UnknownClass as error:
            unknown[name] = str(error)
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        else:
            meanings[name] = (-1, plain(word)) if found is None else (recipe.classes.index(found), "")
    if unknown:
        raise InputError(f"{place}: {_unknown(unknown, counts, hint)}")
    each = [meanings[name if name is None or name.strip() else None] for name in names]
    labels = np.fromiter((label for label, _ in each), np.int64, len(each))
    return labels, np.array([reason for _, reason in each], dtype=object)


def tallied(
    names: Sequence[str | None], labels: np.ndarray, recipe: Recipe, codes: Mapping[str, str] | None = None
) -> Names:
    """How often each name of the source became which class: `names` and `labels` (N,) as `class_labels` has them."""
    table = TABLES.get(recipe.label_codes or "", {}) if codes is None else codes
    shown: Names = {}
    for (name, label), count in Counter(zip(names, labels.tolist(), strict=True)).items():
        if name is None or not name.strip():
            continue
        code = code_of(name) if is_number(name) else ""
        key = f"{name} = {table[code]}" if code in table and not _mapped(name, recipe) else name
        of_class = recipe.classes[label] if label >= 0 else LEFT_OUT
        into = shown.setdefault(key, {})
        into[of_class] = into.get(of_class, 0) + count
    return shown


def joined_names(parts: Sequence[Mapping[str, Mapping[str, int]]]) -> Names:
    """The names of several splits or files together."""
    whole: Names = {}
    for part in parts:
        for name, of_class in part.items():
            for into, count in of_class.items():
                rows = whole.setdefault(name, {})
                rows[into] = rows.get(into, 0) + count
    return whole


def unmatched_keys(class_map: Mapping[str, Any], names: Mapping[str, Any]) -> list[str]:
    """The keys of `class_map` that are no name in the source."""
    there = {_key(part) for name in names for part in (name, *name.split(" = "))}
    return [key for key in class_map if _key(key) not in there]


def _key(name: str) -> str:
    """A name for comparison with the keys of `class_map`: `1`, `01` and `1.0` are one, as YAML and pandas write it."""
    return code_of(name) if is_number(name) else plain(name)


def _class_map(recipe: Recipe) -> dict[str, str | None]:
    """`class_map` by the names that `_key` writes.

    Raises:
        InputError: two of its keys are one number, and lead to different classes.
    """
    found: dict[str, str | None] = {}
    for key, target in recipe.class_map.items():
        if is_number(key) and found.setdefault(_key(key), target) != target:
            raise InputError(f"class_map names {_key(key)!r} twice, with different classes; keep one")
        if not is_number(key):
            found[key] = target
    return found


def _mapped(name: str, recipe: Recipe) -> bool:
    return plain(name) in {plain(own) for own in recipe.classes} or _key(name) in {_key(k) for k in recipe.class_map}


def _word(name: str, table: Mapping[str, str], recipe: Recipe) -> str:
    """The name that a code stands for; `class_map` and own classes that are numbers are asked before."""
    if not is_number(name) or plain(name) in {plain(own) for own in recipe.classes}:
        return name
    return code_of(name) if _mapped(name, recipe) else table[code_of(name)]


def _refuse_numbers(
    names: Sequence[str], counts: Mapping[str | None, int], table: Mapping[str, str], recipe: Recipe, place: str
) -> None:
    """Stop at numbers: FER2013, RAF-DB, AffectNet, CK+ and sorted names each count in another order."""
    numbers = [name for name in names if is_number(name) and not _mapped(name, recipe) and code_of(name) not in table]
    if not numbers:
        return
    rows = sum(counts[name] for name in numbers)
    shown = ", ".join(sorted({_short(name) for name in numbers}, key=lambda n: (len(n), n))[:SHOWN])
    pictures = f"{rows:,} picture{'s' if rows > 1 else ''}"
    if table:
        which = f"the codes of {recipe.label_codes}" if recipe.label_codes else "the codes of this data set"
        raise InputError(
            f"{place}: {pictures} with the label {shown}, which is not among {which} "
            f"({', '.join(f'{code} {name}' for code, name in table.items())}): name each with --class_map"
        )
    raise InputError(
        f"{place}: the labels of {pictures} are the numbers {shown}, and a number is not a name, because data sets "
        f"number their classes in different orders ({tables_in_words()}). If they are the codes of one of these, set "
        f"--label_codes, such as --label_codes fer2013; otherwise name the class of each with --class_map"
    )


def _unknown(unknown: Mapping[str, str], counts: Mapping[str | None, int], hint: str) -> str:
    """What to say of names that are no classes, with their pictures."""
    rows = sum(counts[name] for name in unknown)
    if len(unknown) == 1 and not hint:
        ((_, why),) = unknown.items()
        return f"{rows:,} picture{'s' if rows > 1 else ''} of {_short(why, 300)}"
    listed = ", ".join(f"{_short(name)!r} {counts[name]:,}" for name in list(unknown)[:SHOWN])
    more = f" and {len(unknown) - SHOWN} more names" if len(unknown) > SHOWN else ""
    start = f"{rows:,} picture{'s' if rows > 1 else ''} of names that are not expressions ({listed}{more})"
    if hint:
        return f"{start}: {hint}"
    if len(unknown) > 1 and all(re.fullmatch(r"\D*\d+", name) for name in unknown):
        return (
            f"{start}: they look like numbered folders or persons; if the label stands in the file names, give "
            "--label_pattern, otherwise a csv file path,label,person"
        )
    if _may_be_classes(unknown, counts):
        different = {plain(name): name for name in sorted(unknown, reverse=True)}
        own = shlex.quote(f"[{', '.join(map(_as_yaml, sorted(different.values())))}]")
        return f"{start}: if these are your own classes, train them with --classes {own}"
    return f"{start}: give the class of each with --class_map, where null drops its pictures"


def _may_be_classes(unknown: Mapping[str, str], counts: Mapping[str | None, int]) -> bool:
    """Whether all names together may be own classes: several, none of them an expression, a number or a common word.

    Where half of them or more have the word of an expression in them (`1_happy`), they rather mean expressions.
    """
    names = [name for name in counts if name is not None]
    plain_words = all(plain(name) not in GENERIC and any(c.isalpha() for c in name) for name in names)
    speaking = sum(any(is_expression(word) for word in re.split(r"[\W_\d]+", name) if word) for name in names)
    return (
        len(unknown) == len(names)
        and 2 <= len({plain(name) for name in names}) <= MOST_CLASSES
        and plain_words
        and 2 * speaking < len(names)
    )


def _as_yaml(name: str) -> str:
    """A name as it is typed in a YAML list: in quotes where YAML would read something else, such as true for `yes`."""
    try:
        is_plain = read_yaml(f"[{name}]") == [name]
    except yaml.YAMLError:
        is_plain = False
    return name if is_plain else json.dumps(name, ensure_ascii=False)


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
