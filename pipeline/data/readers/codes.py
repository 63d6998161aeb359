"""Numbers that stand for classes: the code tables of known data sets, and when a label is a number."""

import re
from collections.abc import Mapping

# The column `emotion` of fer2013.csv.
FER2013_CODES = {
    "0": "anger",
    "1": "disgust",
    "2": "fear",
    "3": "happiness",
    "4": "sadness",
    "5": "surprise",
    "6": "neutral",
}
# The codes of list_patition_label.txt, and the names of folders in copies of RAF-DB.
RAFDB_CODES = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happiness",
    "5": "sadness",
    "6": "anger",
    "7": "neutral",
}
# The column `expression`, and the files *_exp.npy.
AFFECTNET_CODES = {
    "0": "neutral",
    "1": "happiness",
    "2": "sadness",
    "3": "surprise",
    "4": "fear",
    "5": "disgust",
    "6": "anger",
    "7": "contempt",
    "8": "none",
    "9": "uncertain",
    "10": "no-face",
}
# The last column of label.lst.
EXPW_CODES = dict(FER2013_CODES)
# The files *_emotion.txt (Lucey et al., CVPR Workshops 2010).
CKPLUS_CODES = {
    "0": "neutral",
    "1": "anger",
    "2": "contempt",
    "3": "disgust",
    "4": "fear",
    "5": "happiness",
    "6": "sadness",
    "7": "surprise",
}
TABLES: dict[str, Mapping[str, str]] = {
    "fer2013": FER2013_CODES,
    "rafdb": RAFDB_CODES,
    "affectnet": AFFECTNET_CODES,
    "expw": EXPW_CODES,
    "ckplus": CKPLUS_CODES,
}
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")


def is_number(label: str) -> bool:
    """Whether a label is written as a number, so that it is not the name of a class."""
    return NUMBER.fullmatch(label.strip()) is not None


def code_of(label: str) -> str:
    """A whole number as code tables write it: `3`, `03` and `3.0` are one code."""
    whole = re.fullmatch(r"\+?0*(\d{1,9}?)(\.0*)?", label.strip())
    return str(int(whole[1])) if whole else label.strip()


def tables_in_words() -> str:
    """Every code table in one line, to compare them."""
    return "; ".join(
        f"{name}: " + ", ".join(f"{code} {meaning}" for code, meaning in codes.items())
        for name, codes in TABLES.items()
    )
