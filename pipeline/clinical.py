"""Which scores are of a person's health. A model of one is a tool for research, not a diagnosis.

A leaf module: training marks the model's config.json by it, for the page, and publishing asks for an explicit option.
The mark does not depend on where the scores came from, because a questionnaire is also a column of somebody's csv file.
"""

import re
from collections.abc import Mapping
from typing import Any

FIELD = "health_score"  # of config.json
OPTION = "--research_only_health_score"  # of push_to_hub.py

SCALES = (
    *("phq", "bdi", "cesd", "epds", "gds", "hads", "hamd", "hdrs", "hrsd", "madrs", "qids", "sds"),  # depression
    *("bai", "gad", "hama", "panas", "pcl", "psqi", "isi", "ymrs", "panss", "bprs", "ptsd"),  # and others
    *("mmse", "moca", "updrs", "pspi", "pain", "autism", "adhd", "dementia", "parkinson", "psychosis"),
)
"""Names of questionnaires, ratings and conditions, as the words of a score's name."""
PARTS = ("depress", "anxiety", "suicid", "schizo", "bipolar", "symptom", "diagnos")
"""Parts of such words."""
ENDINGS = ("score", "total", "sum", "binary", "severity")


def health_scores(settings: Mapping[str, Any]) -> list[str]:
    """The scores of a recipe that are of health: those with a known name, and every one that screens persons."""
    names = [str(name) for name in settings.get("scores") or []]
    return names if settings.get("screening_cut") is not None else [name for name in names if _is_of_health(name)]


def _is_of_health(name: str) -> bool:
    """Whether a word of the name, or two that a sign divides (`HAM-D`), is a scale; digits do not count."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    words = [part.casefold() for part in parts]
    words += [a + b for a, b in zip(words, words[1:], strict=False)]
    words += [re.sub(r"[^a-z]", "", name.casefold())]
    shorter = [word.removesuffix(end) for word in words for end in ENDINGS]
    return any(word in SCALES or any(part in word for part in PARTS) for word in words + shorter)
