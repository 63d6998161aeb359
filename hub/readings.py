"""Every way in which a text or a piece of bytes can be read, so that no escape or encoding hides words."""

import base64
import binascii
import html
import re
import unicodedata
import zlib
from collections.abc import Iterator
from urllib.parse import unquote

_ESCAPE = re.compile(r"\\(?:u\{?([0-9a-fA-F]{4,6})\}?|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([^A-Za-z0-9\s]))")
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\xad"))
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]+)*")
_COMPRESSED = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
_LARGEST = 1 << 20
"""Bytes that are read of a compressed piece."""
LEAST = 12
"""Characters in a row without which a piece of numbers or pixels is not read as text."""


def readings(text: str) -> Iterator[str]:
    """The text, the text without its escapes if that differs, and what is in base64 in it."""
    yield text
    plain = _without_escapes(text)
    if plain != text:
        yield plain
    for found in _BASE64.finditer(plain):
        yield from _from_base64(found.group())


def _without_escapes(text: str) -> str:
    """Escapes of JSON, Markdown, HTML and addresses are replaced, and characters that nobody sees are removed."""
    for _ in range(3):  # a text may be escaped twice
        plain = html.unescape(unquote(_ESCAPE.sub(_character, text)))
        plain = unicodedata.normalize("NFKC", plain).translate(_INVISIBLE)
        if plain == text:
            break
        text = plain
    return text


def _character(escape: re.Match[str]) -> str:
    digits = escape[1] or escape[2] or escape[3]
    if not digits:
        return str(escape[4])
    return chr(number) if (number := int(digits, 16)) <= 0x10FFFF else ""


def _from_base64(text: str) -> Iterator[str]:
    joined = "".join(text.split()).replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(joined + "=" * (-len(joined) % 4))
    except binascii.Error:
        return
    yield from runs(data, 8)
    yield from inflated(data)


def inflated(data: bytes) -> Iterator[str]:
    """The words in every piece of gzip or zlib in the bytes."""
    for start in _COMPRESSED.finditer(data):
        try:
            content = zlib.decompressobj(47).decompress(data[start.start() :], _LARGEST)  # 47: gzip or zlib
        except zlib.error:
            continue
        yield from runs(content, 3)


def runs(data: bytes, least: int = LEAST) -> Iterator[str]:
    """Printable characters in a row in the bytes: ASCII, and UTF-16 of either order; each is a line of the text."""
    ascii_, little, big = (re.compile(pattern % least) for pattern in _RUNS)
    for pattern, encoding in ((ascii_, "ascii"), (little, "utf-16-le"), (big, "utf-16-be")):
        if lines := [line.decode(encoding) for line in pattern.findall(data)]:
            yield "\n".join(lines)


_RUNS = (rb"[\t\x20-\x7e]{%d,}", rb"(?:[\t\x20-\x7e]\x00){%d,}", rb"(?:\x00[\t\x20-\x7e]){%d,}")


def as_text(data: bytes) -> str:
    """The bytes of a text file: in the encoding that its first bytes name, UTF-16 if zeros say so, otherwise UTF-8."""
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16",
             b"\xfe\xff": "utf-16"}  # fmt: skip
    encoding = next((name for mark, name in marks.items() if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and 3 * data.count(0) > len(data):
        encoding = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    return data.decode(encoding, errors="replace")
