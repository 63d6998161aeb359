"""The kinds of value that a setting can have, and what of YAML's values becomes one of them."""

import math
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict

# YAML types are kept apart (`true` is not 1), unknown names are refused, and so are .nan and .inf.
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


LARGEST = 10**10
"""No setting is larger, or below its negative: such a number is a slip, and libraries fail on it in their own words."""


def _bounded(value: Any) -> Any:
    """The value itself.

    Raises:
        ValueError: it is a finite number beyond `LARGEST`.
    """
    if isinstance(value, int | float) and LARGEST < abs(value) < math.inf:
        raise ValueError(f"is {_short(value)}, and no setting goes beyond {LARGEST:,}")
    return value


def _short(value: float) -> str:
    """A number in few digits, also where it is too large for a float."""
    digits = str(value) if isinstance(value, float) else f"{value:,}"
    return digits if len(digits) < 30 else f"{digits[:12]}... ({len(digits.replace(',', ''))} digits)"


def as_number(value: Any) -> Any:
    """Text that people write for a number and YAML reads as text (`1e-6`) as a float; any other value as it is."""
    is_number = isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?e[-+]\d+", value, re.I)
    return float(value) if is_number else value


def _inside(value: Any) -> Any:
    """A value that another library checks, with numbers for texts; in lists and mappings too.

    Raises:
        ValueError: a number in it is not finite.
    """
    if isinstance(value, dict):
        return {name: _inside(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_inside(each) for each in value]
    number = as_number(value)
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"holds {number}; every number in it must be finite")
    return _bounded(number)


def _float(value: Any) -> Any:
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return _bounded(number)


def _int(value: Any) -> Any:
    """Text such as `1e3` as an int. Text such as `1.5` stays, and is then refused."""
    number = _float(value)
    return int(number) if isinstance(value, str) and isinstance(number, float) and number.is_integer() else value


def _text(value: Any) -> Any:
    """A folder may be called 7."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _names(value: Any) -> Any:
    """`happy,neutral,sad` as a list."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def _home(value: str) -> str:
    """A path with its `~` expanded; any other text, such as a Hub id, as it is."""
    try:
        return str(Path(value).expanduser()) if value.startswith("~") else value
    except RuntimeError:
        raise ValueError(f"is {value!r}, and this machine has no such home folder; give the whole path") from None


def _encoding(value: str) -> str:
    """The name of an encoding of text that Python knows; `hex` and `rot13` encode no text."""
    try:
        "".encode(value)
    except (LookupError, ValueError):  # ValueError: a name that no encoding can have
        raise ValueError(
            f"is {value!r}, which is not an encoding of text; give one such as cp1252 or gb18030"
        ) from None
    return value


def _no(value: Any) -> Any:
    """YAML reads `no` as false."""
    return "no" if value is False else value


Number = Annotated[float, BeforeValidator(_float)]
Whole = Annotated[int, BeforeValidator(_int)]
Text = Annotated[str, BeforeValidator(_text)]
PathText = Annotated[str, BeforeValidator(_text), AfterValidator(_home)]
Encoding = Annotated[str, BeforeValidator(_text), AfterValidator(_encoding)]
Names = Annotated[list[Text], BeforeValidator(_names)]
Free = Annotated[Any, BeforeValidator(_inside)]  # a value that another library checks
YamlNo = BeforeValidator(_no)  # beside a Literal with "no"
OF_TRAINER = "choices of the installed transformers"  # beside a Literal: the words name a few, since versions differ
