"""Who is shown: one spelling for each person, so that a person is the same one however tables write the name."""

import re
import unicodedata
from collections.abc import Sequence

# Words for nobody, as `_plain` writes them.
UNKNOWN = {
    *("unknown", "unk", "unknown_person", "unknown_subject", "unknown_identity", "n_a", "nan", "none", "null", "nil"),
    *("missing", "unidentified", "anonymous", "anon", "undefined", "unspecified", "unnamed", "not_available"),
    *("not_known", "no_id", "no_name", "nobody", "tbd"),
}
INITIALS = "na"  # nobody, or one of the persons that are named by two letters, as NA in JAFFE


def persons_of(cells: Sequence[str | None]) -> list[str | None]:
    """The person of each cell, or None where nobody is known.

    Case, accents' form, separators, leading zeros and the `.0` of numbers do not make another person: `001`, `1` and
    `1.0` are one, and so are `Anna_B` and `anna b`. Empty cells, numbers below 0, signs such as `-` and `?`, and words
    such as `unknown` are nobody.
    """
    names = {cell: _person(cell) for cell in dict.fromkeys(cells)}
    if not any(name and name != INITIALS and re.fullmatch(r"[a-z]{2}", name) for name in names.values()):
        names = {cell: None if name == INITIALS else name for cell, name in names.items()}
    return [names[cell] for cell in cells]


def _person(cell: str | None) -> str | None:
    if cell is None or re.fullmatch(r"\s*-\s*\d+([.,]0*)?\s*", cell):
        return None
    name = _plain(cell)
    return name if name and name not in UNKNOWN else None


def _plain(cell: str) -> str:
    word = re.sub(r"^(\d+)[.,]0*$", r"\1", unicodedata.normalize("NFKC", cell).strip().casefold())
    word = re.sub(r"[\W_]+", "_", word).strip("_")
    return re.sub(r"(?<!\d)0+(?=\d)", "", word)
