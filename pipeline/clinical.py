"""Which scores and classes are of a person's health. A model of one is a tool for research, not a diagnosis.

A leaf module: training marks config.json by it, the page asks it, and publishing asks for an explicit option.
It does not matter where the labels came from, because a questionnaire is also a column of somebody's csv file.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

FIELD = "health_score"  # of config.json
OPTION = "--research_only_health_score"  # of push_to_hub.py

SCALES = (
    *("phq", "bdi", "cesd", "epds", "hads", "hamd", "hdrs", "hrsd", "madrs", "qids", "mdd"),  # depression
    *("gad", "hama", "panas", "psqi", "ymrs", "panss", "bprs", "ptsd", "ocd"),  # and others
    *("mmse", "moca", "updrs", "pspi", "pain", "pains", "painful", "painless", "adhd", "stroke", "palsy"),
    *("psychosis", "psychotic", "mania", "manic", "insomnia", "sick", "ill", "illness", "patient", "patients"),
)
"""Names of questionnaires, ratings and conditions, as words of a name."""
SHORT = ("asd", "bai", "gds", "isi", "pcl", "sds")
"""Scales and conditions whose names are also ordinary abbreviations: see `is_repository_of_health`."""
PARTS = (
    *("depres", "anxi", "suicid", "schizo", "bipolar", "autis", "dement", "alzheimer", "parkinson", "trauma"),
    *("symptom", "syndrom", "diagnos", "disorder", "disease", "disabilit", "health", "clinical"),
)
"""Parts of such words."""
ENDINGS = ("score", "total", "sum", "binary", "severity")


def health_names(settings: Mapping[str, Any]) -> list[str]:
    """The scores or classes of a recipe that are of health: those with a known name; of a screening, every score."""
    scores = [str(name) for name in settings.get("scores") or []]
    if settings.get("screening_cut") is not None:
        return scores
    return [name for name in scores or map(str, settings.get("classes") or []) if is_of_health(name)]


def is_health_model(config: Mapping[str, Any], name: str) -> bool:
    """Whether a model is of health, by its config.json, or by the last part of its `name`, a folder's or a Hub id."""
    outputs = config.get("id2label") or {}
    return (
        config.get(FIELD) is True
        or is_repository_of_health(last_part(name))
        or any(map(is_of_health, outputs.values()))
    )


def last_part(repo_id: str) -> str:
    """The name of a repository without its owner, who may be called like a questionnaire."""
    return repo_id.rpartition("/")[2]


def is_of_health(name: object) -> bool:
    """Whether a score or class is of health: a word of it, or two that a sign divides (`HAM-D`), is a scale.

    Digits and accents do not count.
    """
    return _names_health(_words(name), (*SCALES, *SHORT), PARTS)


def is_repository_of_health(name: object) -> bool:
    """As `is_of_health`; but `SHORT` and `health` count only beside one of `ENDINGS`, as names have other uses."""
    words = _words(name)
    if any(word.endswith(ENDINGS) for word in words):
        return is_of_health(name)
    return _names_health(words, SCALES, tuple(part for part in PARTS if part != "health"))


def _words(name: object) -> list[str]:
    """The words of a name in small letters, every two neighbours as one, and the whole name as one."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", str(name)) if not unicodedata.combining(c))
    words = [part.casefold() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", plain)]
    words += [a + b for a, b in zip(words, words[1:], strict=False)]
    return [*words, re.sub(r"[^a-z]", "", plain.casefold())]


def _names_health(words: list[str], scales: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    shorter = [word.removesuffix(end) for word in words for end in ENDINGS]
    return any(word in scales or any(part in word for part in parts) for word in words + shorter)
