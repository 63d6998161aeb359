"""Every way in which a text or a piece of bytes can be read, so that no escape or encoding hides words."""

import base64
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from hub.packed import unpacked

_ESCAPE = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([^A-Za-z0-9\s]))"
)
_UNSEEN = re.compile(
    "[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""Code points that nothing is drawn for (Default_Ignorable_Code_Point of Unicode)."""
_TAGS = {0xE0000 + code: code for code in range(0x20, 0x7F)}
"""ASCII as code points of language tags, which are not seen either."""
_MARKUP = re.compile(
    r"(?<=[\w.+/=-])(?:</?[A-Za-z][^<>]{0,500}>|<!--(?:(?!-->)[\s\S]){0,500}-->|\*{1,3}|~~|`)+(?=[\w.+/=-])"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]+)*")
_HEX = re.compile(r"[0-9a-fA-F]{2}(?:(?:[:-]|,? ?(?:0[xX])?)[0-9a-fA-F]{2}){11,}[0-9a-fA-F]?")
_LAYERS = 3
"""Encodings inside one another that are undone."""
LEAST = 12
"""Characters in a row without which a piece of numbers or pixels is not read as text."""


def readings(text: str, layers: int = _LAYERS) -> Iterator[str]:
    """The text, the text without its escapes and marks if that differs, and what is in base64 or hexadecimal in it.

    Raises:
        InputError: as `unpacked`.
    """
    yield text
    plain = _without_escapes(text)
    if plain != text:
        yield plain
    if (unmarked := _MARKUP.sub("", plain)) != plain:
        yield unmarked
    if not layers:
        return
    for found in _BASE64.finditer(plain):
        for data in _from_base64(found.group()):
            yield from _encoded(data, layers)
    for found in _HEX.finditer(plain):
        for data in _from_hex(found.group()):
            yield from _encoded(data, layers)


def _without_escapes(text: str) -> str:
    """Escapes of JSON, Markdown, HTML and addresses are replaced, and characters that nobody sees are removed."""
    for _ in range(3):  # a text may be escaped twice
        plain = html.unescape(unquote(_ESCAPE.sub(_character, text)))
        plain = _UNSEEN.sub("", unicodedata.normalize("NFKC", plain).translate(_TAGS))
        if plain == text:
            break
        text = plain
    return text


def _character(escape: re.Match[str]) -> str:
    *numbers, sign = escape.groups()
    digits = next(filter(None, numbers), None)
    if not digits:
        return str(sign)
    return chr(number) if (number := int(digits, 16)) <= 0x10FFFF else ""


def _from_base64(text: str) -> Iterator[bytes]:
    """The bytes of the text read from each of its first four letters: other words may stand right before base64."""
    joined = "".join(text.split()).replace("-", "+").replace("_", "/")
    for first in range(4):
        letters = joined[first:]
        letters = letters[:-1] if len(letters) % 4 == 1 else letters  # a single one is less than a byte
        yield base64.b64decode(letters + "=" * (-len(letters) % 4))


def _from_hex(text: str) -> Iterator[bytes]:
    """The bytes of the text read from each of its first two digits."""
    digits = re.sub(r"0[xX]|[^0-9a-fA-F]", "", text)
    for first in range(2):
        yield bytes.fromhex(digits[first : len(digits) - (len(digits) - first) % 2])


def _encoded(data: bytes, layers: int) -> Iterator[str]:
    for text in (*runs(data, 8), *inflated(data)):
        yield from readings(text, layers - 1)


def inflated(data: bytes) -> Iterator[str]:
    """The words in every compressed piece of the bytes, also of those that are compressed again.

    Raises:
        InputError: as `unpacked`.
    """
    waiting = [(data, _LAYERS)]
    while waiting:
        packed, layers = waiting.pop()
        for content in unpacked(packed):
            yield from runs(content, 3)
            if layers > 1:
                waiting.append((content, layers - 1))


def runs(data: bytes, least: int = LEAST) -> Iterator[str]:
    """Printable characters in a row in the bytes: ASCII, UTF-16 and UTF-32 of either order; each is a line."""
    for pattern, encoding in _RUNS:
        found = re.compile(b"(?:%s){%d,}" % (pattern, least)).findall(data)
        if found:
            yield "\n".join(line.decode(encoding) for line in found)


_LETTER = rb"[\t\x20-\x7e]"
_RUNS = (
    (_LETTER, "ascii"),
    (_LETTER + rb"\x00", "utf-16-le"),
    (rb"\x00" + _LETTER, "utf-16-be"),
    (_LETTER + rb"\x00\x00\x00", "utf-32-le"),
    (rb"\x00\x00\x00" + _LETTER, "utf-32-be"),
)


def as_text(data: bytes) -> str:
    """The bytes of a text file: in the encoding of its first bytes, UTF-16 or -32 if zeros say so, else UTF-8."""
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16",
             b"\xfe\xff": "utf-16"}  # fmt: skip
    encoding = next((name for mark, name in marks.items() if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and 3 * data.count(0) > len(data):
        width = 32 if 3 * data.count(0) > 2 * len(data) else 16
        step = width // 8
        encoding = f"utf-{width}-{'le' if data[step - 1 :: step].count(0) > data[::step].count(0) else 'be'}"
    return data.decode(encoding, errors="replace")
