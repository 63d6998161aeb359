"""The seven facial expressions in their fixed order, and what other data sets call them."""

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


def canonical(
    name: str, classes: Sequence[str] = CLASSES, class_map: Mapping[str, str | None] | None = None
) -> str | None:
    """The name in `classes` that `name` means, or None if its rows are dropped.

    `class_map` (a setting) decides first, then the classes themselves, then the synonyms. Case and outer spaces do not
    matter.

    Raises:
        InputError: the name is unknown; the message names the setting that maps it.
    """
    plain = str(name).strip().lower()
    mapping = {str(k).strip().lower(): v for k, v in (class_map or {}).items()}
    if plain in mapping:
        target = mapping[plain]
        if target is not None and target not in classes:
            raise InputError(f"class_map sends {name!r} to {target!r}, which is not one of classes {list(classes)}")
        return target
    lower = {c.lower(): c for c in classes}
    by_meaning = {SYNONYMS.get(c, c): name for c, name in lower.items()}
    if plain in lower:
        return lower[plain]
    if SYNONYMS.get(plain, plain) in by_meaning:
        return by_meaning[SYNONYMS.get(plain, plain)]
    if SYNONYMS.get(plain, plain) in OUTSIDE or SYNONYMS.get(plain, plain) in CLASSES:
        return None
    near = get_close_matches(plain, [*lower, *SYNONYMS], n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(
        f'unknown class {name!r}{hint}: map it with --class_map \'{{"{name}": "..."}}\', or drop it with null'
    )
