"""The seven facial expressions in their fixed order, and what other data sets call them."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from pipeline.errors import InputError

CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")

SYNONYMS: dict[str, str] = {
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "happy": "happiness",
    "joy": "happiness",
    "natural": "neutral",
    "calm": "neutral",
    "sad": "sadness",
    "surprised": "surprise",
    "suprise": "surprise",
    "contemptuous": "contempt",
    "surprize": "surprise",
    "surprising": "surprise",
    "disgusting": "disgust",
    "no face": "no-face",
    "non-face": "no-face",
}

# What data sets call pictures outside the seven: dropped and counted, unless `classes` holds the name.
OUTSIDE = ("contempt", "none", "uncertain", "unknown", "no-face", "noface", "nf")


def label2id(classes: Sequence[str]) -> dict[str, int]:
    """Class name to its index, in the order of `classes`."""
    return {name: index for index, name in enumerate(classes)}


def id2label(classes: Sequence[str]) -> dict[int, str]:
    """Index to class name, in the order of `classes`."""
    return dict(enumerate(classes))


class UnknownClass(InputError):  # noqa: N818 (a name that is unknown, shown as an InputError)
    """A name that is neither a class nor a synonym of one."""


def plain(name: object) -> str:
    """A name for comparison: upper and lower case, outer spaces and the Unicode form do not matter."""
    return unicodedata.normalize("NFC", str(name).strip().casefold())


def meaning(name: object) -> str:
    """The usual name of an expression for its synonyms; any other name as `plain` has it."""
    word = plain(name)
    spelled = next(
        (form for form in (word, re.sub(r"[ _-]+", " ", word), re.sub(r"[ _]+", "-", word)) if _known(form)), word
    )
    return SYNONYMS.get(spelled, spelled)


def is_expression(name: object) -> bool:
    """Whether a name is that of an expression, or a word that data sets have for pictures without one."""
    return _known(meaning(name))


def _known(word: str) -> bool:
    return word in SYNONYMS or word in CLASSES or word in OUTSIDE


def canonical(
    name: str, classes: Sequence[str] = CLASSES, class_map: Mapping[str, str | None] | None = None
) -> str | None:
    """The name in `classes` that `name` means, or None if its rows are dropped.

    `class_map` (a setting) decides first, then the classes themselves, then the synonyms. Case, outer spaces and the
    Unicode form do not matter.

    Raises:
        UnknownClass: the name is unknown; the message names the setting that maps it.
        InputError: `class_map` sends it to no class, or it means several of the classes.
    """
    word = plain(name)
    mapping = _mapping(class_map or {})
    if word in mapping:
        target = mapping[word]
        if target is not None and target not in classes:
            raise InputError(f"class_map sends {name!r} to {target!r}, which is not one of classes {list(classes)}")
        return target
    own = {plain(c): c for c in classes}
    if word in own:
        return own[word]
    same = [c for c in classes if meaning(c) == meaning(word)]
    if len(same) > 1:
        raise InputError(
            f"{name!r} means {' and '.join(same)}, which are two of classes: name one with "
            f"--class_map '{{\"{name}\": ...}}'"
        )
    if same:
        return same[0]
    if is_expression(word):
        return None
    near = get_close_matches(word, [*own, *SYNONYMS], n=1, cutoff=0.75)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise UnknownClass(
        f'unknown class {name!r}{hint}: map it with --class_map \'{{"{name}": "..."}}\', or drop it with null'
    )


def _mapping(class_map: Mapping[str, str | None]) -> dict[str, str | None]:
    """`class_map` by plain names.

    Raises:
        InputError: two of its keys are one name, and lead to different classes.
    """
    mapping: dict[str, str | None] = {}
    for key, target in class_map.items():
        if mapping.setdefault(plain(key), target) != target:
            raise InputError(f"class_map names {plain(key)!r} twice, with different classes; keep one")
    return mapping
