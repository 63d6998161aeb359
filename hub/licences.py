"""A licence file for each source of the pictures, in the folder `licences/` of a release.

A source under the licence of this project has its whole text. Of others the file says what their record says:
publishing knows the terms, not the text of an agreement.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import printable
from pipeline.source import Source

FOLDER = "licences"
OWN = "Apache-2.0"
TEXT_OF_OWN = Path(__file__).parents[1] / "LICENSE"
UNSAFE = re.compile(r"[^a-z0-9._-]+")
"""What a name of a file leaves out, so that every system and link can hold it."""
LONGEST = 60


def files_of(sources: Sequence[Source]) -> dict[str, str]:
    """The licence file of each source by its id: its place in the release. Two sources never share a file."""
    names: dict[str, str] = {}
    for source in sources:
        name = UNSAFE.sub("-", source.id.lower()).strip(".-")[:LONGEST] or "source"
        taken, number = set(names.values()), 1
        file = f"{FOLDER}/{name}.txt"
        while file in taken:
            number += 1
            file = f"{FOLDER}/{name}-{number}.txt"
        names[source.id] = file
    return names


def stage(folder: Path, sources: Sequence[Source]) -> None:
    """Write the licence file of each source."""
    (folder / FOLDER).mkdir()
    files = files_of(sources)
    for source in sources:
        (folder / files[source.id]).write_text(text_of(source), encoding="utf-8")


def text_of(source: Source) -> str:
    """What is known of the terms of a source, line by line."""
    standard = "" if source.licence != "other" else " (no standard licence)"
    lines = [_line("Source", source.title), _line("Licence", source.licence) + standard, _line("Terms", source.terms)]
    if source.datasets:
        lines.append(_line("Consists of", ", ".join(source.datasets)))
    if source.citation:
        lines.append(_line("Cite", source.citation))
    lines.append("The weights of this repository were trained or measured on its pictures.")
    if source.origin != "drawn":
        lines.append("No picture of this source is in this repository.")
    own = ["", TEXT_OF_OWN.read_text(encoding="utf-8")] if source.licence == OWN else []
    return "\n".join([*lines, *own]).rstrip() + "\n"


def _line(name: str, text: str) -> str:
    return f"{name}: {printable(' '.join(text.split()))}"
