"""What `hub.predict` prints: a line for each face, as a table or as JSON."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tqdm.auto import tqdm

from hub.server.engine import Model
from hub.server.expected import NOT_SURE
from hub.server.preprocessing import Pixels
from pipeline.errors import printable

SHOWN = 3  # classes per line of the table
Ranking = list[dict[str, Any]]
Answer = tuple[Ranking, Ranking]
"""The classes of a face, best first, and what comes before them if the answer is "not sure"."""


@dataclass
class Read:
    """A picture's faces as model input `(F, 3, H, W)`, and where they are; or why it cannot be read."""

    path: str
    pixels: Pixels | None = None
    faces: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""


Show = Callable[[Read, list[Answer]], None]


def json_lines(not_sure_below: float) -> Show:
    """One line per picture: its faces, largest first, with the scores of all classes, best first; or the error.

    With a threshold each face says whether its answer is `sure`.
    """

    def show(read: Read, answers: list[Answer]) -> None:
        faces = [
            place | {"scores": ranking} | ({"sure": not doubt} if not_sure_below else {})
            for place, (ranking, doubt) in zip(read.faces, answers, strict=True)
        ]
        answer = {"error": read.fault} if read.fault else {"faces": faces}
        say(sys.stdout, json.dumps({"file": read.path} | answer))

    return show


def table(model: Model, paths: list[str], not_sure_below: float) -> Show:
    """One line per face: the file, the number of the face if there are several, the best classes with their scores.

    Below the threshold the line begins with "not sure". A model of scores shows all of them, in their unit.
    """
    first = min(60, max(len(printable(path)) for path in paths) + 4)
    label = max(map(len, (*model.classes, *([NOT_SURE] if not_sure_below else []))))
    form, most = ("6.1%", SHOWN) if model.ranges is None else ("8.4g", len(model.classes))

    def show(read: Read, answers: list[Answer]) -> None:
        name = printable(read.path)
        if read.fault:
            say(sys.stderr, f"{name}: {read.fault}")
        elif not answers:
            say(sys.stdout, f"{name:<{first}}  no face was found")
        for number, (ranking, doubt) in enumerate(answers, 1):
            face = f"{name} #{number}" if len(answers) > 1 else name
            best = "  ".join(f"{one['label']:<{label}} {one['score']:{form}}" for one in [*doubt, *ranking][:most])
            say(sys.stdout, f"{face:<{first}}  {best}")

    return show


def report(line: str) -> None:
    """A line on standard error."""
    say(sys.stderr, line)


def say(stream: Any, line: str) -> None:
    """A line on `stream`, also while a progress bar is shown."""
    tqdm.write(line, file=stream)
