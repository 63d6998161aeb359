"""Labels in the paths of pictures: a regular expression with the group `label`, known ones by name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.data.readers.below_classes import splits_in_names
from pipeline.data.readers.beside import reasons, refuse_unused, tables_beside
from pipeline.data.readers.files import local_path
from pipeline.data.readers.inventory import File, inventory, named
from pipeline.data.readers.rows import Labelled, parts_of, whole_of
from pipeline.data.table import ALL, Reading, split_of
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "pattern"
LAYOUT = "pictures with the class in their names (with --label_pattern)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ("folder", "csv", "parquet")

TWO_LETTERS = {
    "an": "anger",
    "di": "disgust",
    "fe": "fear",
    "af": "fear",
    "ha": "happiness",
    "ne": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


@dataclass(frozen=True)
class Pattern:
    """How a data set names its pictures: the expression, what its labels stand for, and the data set."""

    regex: re.Pattern[str]
    meanings: Mapping[str, str] = field(default_factory=dict)
    title: str = "the pattern"


KNOWN = {
    # KA.AN1.39.tiff: person, label and number (Lyons et al., 1998).
    "jaffe": Pattern(
        re.compile(r"(?:^|/)(?P<person>[A-Z]{2})\.(?P<label>AN|DI|FE|HA|NE|SA|SU)\d+\.\d+\.\w+$"), TWO_LETTERS, "JAFFE"
    ),
    # AF01ANS.JPG: session, sex, person, label and angle (Lundqvist et al., 1998).
    "kdef": Pattern(
        re.compile(r"(?:^|/)[AB](?P<person>[FM]\d{2})(?P<label>AF|AN|DI|HA|NE|SA|SU)(?:FL|FR|HL|HR|S)\.\w+$", re.I),
        TWO_LETTERS,
        "KDEF",
    ),
    # Rafd090_01_Caucasian_female_angry_frontal.jpg (Langner et al., 2010).
    "rafd": Pattern(
        re.compile(r"(?:^|/)Rafd\d+_(?P<person>\d+)_\w+?_\w+?_(?P<label>[a-z]+)_(?:left|right|frontal)\.\w+$", re.I),
        title="RaFD",
    ),
    # happy/S010_004_00000017.png: the class folder, and the person in the name (Lucey et al., 2010).
    "ckplus": Pattern(re.compile(r"(?:^|/)(?P<label>[^/]+)/(?P<person>S\d{3})_\d{3}_\d{8}\w*\.\w+$"), title="CK+"),
}


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why the names of pictures decide, or None: the setting `label_pattern` is given."""
    return "pictures whose names hold the class" if recipe.label_pattern and path.is_dir() else None


def read(recipe: Recipe) -> Reading:
    """The pictures below `recipe.data_path`; label and person are groups of `label_pattern` in the path below it.

    Raises:
        InputError: `label_pattern` is not a regular expression with a group `label`, it fits no picture, or a label is
            unknown.
    """
    root = local_path(recipe)
    if not root.is_dir():
        raise InputError(f"data_path {root} is not a folder; label_pattern reads the paths of pictures in a folder")
    pattern = pattern_of(recipe)
    beside = tables_beside(root, recipe)
    refuse_unused(beside, (), recipe, NAME, of_folders=False)
    pictures = inventory(root).of("picture")
    place = f"data_path {root}, label_pattern {recipe.label_pattern}"
    labelled = _labelled(pictures, pattern, recipe, place)
    if not labelled:
        shown = pictures[0].key if pictures else "none"
        raise InputError(
            f"data_path {root}: label_pattern {recipe.label_pattern} fits none of {len(pictures):,} pictures, the "
            f"first {shown}; change the pattern"
        )
    name = root.resolve().name
    parts = parts_of(labelled, name, recipe, place)
    fitting = {one.path for one in labelled}
    lost = [file for file in pictures if file.path not in fitting]
    others = {f"name that label_pattern does not fit: {named(lost)}": len(lost)} if lost else {}
    others |= inventory(root).left_out((), reasons(beside, root))
    whole = whole_of(parts, f"data_path {root}", others)
    person = "label and person" if "person" in pattern.regex.groupindex else "label"
    source = Source(
        id=name,
        title=name,
        layout=f"{person} in the paths of pictures, by label_pattern {recipe.label_pattern}",
        origin="local",
        left_out=whole.left_out,
        names=whole.names,
    )
    return Reading((source,), whole.tables)


def _labelled(pictures: Sequence[File], pattern: Pattern, recipe: Recipe, place: str) -> list[Labelled]:
    """The pictures that the pattern fits; their first folders or their names are splits if all of them are."""
    found = [(file, match) for file in pictures if (match := pattern.regex.search(file.key))]
    if not pattern.meanings:
        _refuse_parts_of_words(found, place)
    splits: list[str | None] = [split_of(file.folders[0]) if file.folders else None for file, _ in found]
    if found and not any(splits):
        splits = list(splits_in_names([file for file, _ in found], recipe, place, NAME) or splits)
    of_splits = all(splits)
    labelled = []
    for (file, match), split in zip(found, splits, strict=True):
        label = match["label"] or ""
        name = pattern.meanings.get(label.lower(), label)
        person = match.groupdict().get("person")
        labelled.append(Labelled(file.path, file.key, name, split if split and of_splits else ALL, person))
    return labelled


def _refuse_parts_of_words(found: Sequence[tuple[File, re.Match[str]]], place: str) -> None:
    """Stop where the label is a part of a longer word in some names only: `happy` in `unhappy_1.png`."""
    parts = [(file, match) for file, match in found if _in_a_word(match)]
    if parts and len(parts) < len(found):
        file, match = parts[0]
        raise InputError(
            f"{place}: {match['label']!r} is a part of a longer word in {file.key}, and a whole word in other names: "
            "let the pattern end at the ends of words, such as '(?<![a-zA-Z])(?P<label>happy|sad)(?![a-zA-Z])'"
        )


def _in_a_word(match: re.Match[str]) -> bool:
    start, end = match.span("label")
    before, after = match.string[max(start - 1, 0) : start], match.string[end : end + 1]
    label = match["label"] or ""
    if not label or not label[0].isalpha() or not label[-1].isalpha():
        return False
    new_word = before.islower() and label[0].isupper()  # `S1Happy`
    next_word = label[-1].islower() and after.isupper()  # `happyFace`
    return (before.isalpha() and not new_word) or (after.isalpha() and not next_word)


def pattern_of(recipe: Recipe) -> Pattern:
    """The pattern that `label_pattern` names or spells.

    Raises:
        InputError: it is neither a known name nor a regular expression with a group `label`.
    """
    text = str(recipe.label_pattern)
    if text.lower() in KNOWN:
        return KNOWN[text.lower()]
    known = f"give {', '.join(KNOWN)}, or a regular expression such as '(?P<label>[a-z]+)_'"
    try:
        regex = re.compile(text)
    except re.error as error:
        raise InputError(f"label_pattern {text} is not a regular expression ({error}): {known}") from None
    if "label" not in regex.groupindex:
        raise InputError(f"label_pattern {text} has no group label: {known}")
    return Pattern(regex)
