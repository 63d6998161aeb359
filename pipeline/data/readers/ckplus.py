"""CK+ as its owners ship it: frames in `cohn-kanade-images/`, and the code of a sequence's peak frame in `Emotion/`.

`Emotion/S005/001/S005_001_00000011_emotion.txt` holds `3.0000000e+00`, the label of the frame
`cohn-kanade-images/S005/001/S005_001_00000011.png` (Lucey et al., CVPR Workshops 2010). Only this frame has a label.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.data.readers.codes import CKPLUS_CODES
from pipeline.data.readers.files import local_path
from pipeline.data.readers.inventory import File, inventory
from pipeline.data.readers.rows import Labelled, part_of, whole_of
from pipeline.data.readers.text import read_text
from pipeline.data.table import ALL, Reading
from pipeline.errors import InputError
from pipeline.expressions import plain
from pipeline.settings.recipe import Recipe
from pipeline.source import Origin, Source

NAME = "ckplus"
LAYOUT = "CK+ (cohn-kanade-images/ and Emotion/)"
ORIGINS: tuple[Origin, ...] = ("local",)
BEFORE: tuple[str, ...] = ("folder", "csv")

CODE_FILE = re.compile(r"(?:^|/)(?P<frame>S\d+/\d+/[^/]+)_emotion\.txt$", re.I)
FIRST = "first frame"  # the name in class_map for the frames that sequences begin with
UNLABELLED = "frame without a label in Emotion/"
FIRST_UNUSED = f"first frame of a sequence (--class_map '{{{FIRST}: neutral}}' reads these)"


def matches(path: Path, recipe: Recipe) -> str | None:
    """Why `path` holds labels of CK+, or None; a `label_pattern` decides by itself."""
    if recipe.label_pattern or not path.is_dir():
        return None
    return next((f"{file.name} of CK+" for file in inventory(path).files if CODE_FILE.search(file.key)), None)


def read(recipe: Recipe) -> Reading:
    """The labelled frames below `recipe.data_path`, with their persons; the key of a frame is its path below it.

    All other frames are counted. A sequence begins with a neutral face, but no file says so: first frames are read only
    if `class_map` names them.

    Raises:
        InputError: there are no labels, a label is not a code, or its frame is missing; the message names the file.
    """
    root = local_path(recipe)
    files = inventory(root)
    codes = {found["frame"]: file for file in files.files if (found := CODE_FILE.search(file.key))}
    if not codes:
        raise InputError(f"data_path {root}: no Emotion/S005/001/*_emotion.txt of CK+; give {LAYOUT}")
    frames = {_frame_of(file): file for file in files.of("picture") if len(file.folders) >= 2}
    for frame, file in codes.items():
        if frame not in frames:
            raise InputError(f"{file.path} has no picture {frame}.png: put cohn-kanade-images/ beside Emotion/")
    pictures = [_labelled(frames[frame], _code(file.path)) for frame, file in codes.items()]
    first = [file for frame, file in _first_frames(frames) if frame not in codes]
    read_first = FIRST in map(plain, recipe.class_map)
    pictures += [_labelled(file, FIRST) for file in first] if read_first else []
    lost = {
        FIRST_UNUSED: 0 if read_first else len(first),
        UNLABELLED: len(files.of("picture")) - len(codes) - len(first),
    }
    rest = {reason: count for reason, count in lost.items() if count}
    rest |= files.left_out({file.path for file in codes.values()})
    part = part_of(sorted(pictures, key=lambda one: one.key), NAME, recipe, f"data_path {root}, Emotion/", CKPLUS_CODES)
    whole = whole_of({ALL: part}, f"data_path {root}", rest)
    return Reading((_source(whole.left_out, whole.names),), whole.tables)


def _source(left_out: Mapping[str, Mapping[str, int]], names: Mapping[str, Mapping[str, int]]) -> Source:
    return Source(
        id=NAME,
        title="CK+",
        layout="CK+: the frames that Emotion/ labels, with persons",
        origin="local",
        terms="CK+ (Lucey et al., CVPR Workshops 2010): under a signed agreement, for research only",
        citation=(
            "Lucey et al.: The Extended Cohn-Kanade Dataset (CK+): A complete dataset for action unit and "
            "emotion-specified expression. CVPR Workshops 2010"
        ),
        may_publish_labels=False,
        left_out=left_out,
        names=names,
    )


def _frame_of(file: File) -> str:
    """`S005/001/S005_001_00000011`: person, sequence and frame, in whatever folder they lie."""
    return "/".join((*file.folders[-2:], file.name.rpartition(".")[0] or file.name))


def _labelled(file: File, name: str) -> Labelled:
    return Labelled(file.path, file.key, name, person=file.folders[-2])


def _first_frames(frames: Mapping[str, File]) -> Iterator[tuple[str, File]]:
    """The first frame of each sequence, by name."""
    seen: set[str] = set()
    for frame in sorted(frames):
        sequence = frame.rpartition("/")[0]
        if sequence not in seen:
            yield frame, frames[frame]
        seen.add(sequence)


def _code(path: Path) -> str:
    """The code in a file such as `   3.0000000e+00`, as `CKPLUS_CODES` writes it."""
    text = read_text(path).strip()
    try:
        code = float(text)
    except ValueError:
        code = -1.0
    if str(code).removesuffix(".0") not in CKPLUS_CODES:
        raise InputError(f"{path} holds {text[:40]!r}; expected a code from 0 to 7, such as 3.0000000e+00")
    return str(int(code))
