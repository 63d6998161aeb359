"""Rows of features as DAIC-WOZ releases them in place of video: action units and head pose of every frame, by CLNF.

`NNN_P/NNN_CLNF_AUs.txt` and `NNN_CLNF_pose.txt` have the columns frame, timestamp, confidence and success, and then the
features (OpenFace, Baltrusaitis et al. 2016). A frame counts only where the tracker found the face.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from pipeline.data.readers.inventory import Inventory
from pipeline.errors import InputError, first_line

FILE = re.compile(r"0*(\d{1,6})_CLNF_(AUs|pose)\.txt", re.I)
KINDS = {"aus": re.compile(r"AU\d+_[rc]"), "pose": re.compile(r"[XYZ]|R[xyz]")}
"""Kind of file -> names of its features."""
FOUND = ("confidence", "success")
KNOWN = ("frame", "timestamp", *FOUND)
NOT_NUMBERS = ["", "nan", "-nan", "NaN", "-nan(ind)", "nan(ind)", "-1.#IND", "1.#IND", "1.#QNAN", "-1.#QNAN", "NA"]
"""What trackers write for a number that they do not have."""
NO_FACE = "rows without a face (success or confidence 0)"
NO_NUMBER = "rows with a feature that is not a number"


class Features(NamedTuple):
    """Of one person: names of F features, their values (F,), and rows of the files by what became of them."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    frames: int
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class Found:
    """Where the files of each person are: number -> kind -> file."""

    files: Mapping[str, Mapping[str, Path]]

    def features(self, number: str, place: str) -> Features:
        """The mean and the standard deviation of every feature over the frames of a person.

        Args:
            number: of the person.
            place: where the person is listed, for messages.

        Raises:
            InputError: a file is missing or damaged, or has fewer than two rows with a face.
        """
        own = self.files.get(number, {})
        names: list[str] = []
        values: list[NDArray[np.float64]] = []
        frames, dropped = 0, {NO_FACE: 0, NO_NUMBER: 0}
        for kind, pattern in KINDS.items():
            file_name = f"{number}_P/{number}_CLNF_{'AUs' if kind == 'aus' else kind}.txt"
            if kind not in own:
                raise InputError(
                    f"{place}: participant {number} has no {file_name}: add it, or take the row out of the list"
                )
            columns, numbers, lost = _frames(own[kind], pattern)
            if len(numbers) < 2:
                raise InputError(
                    f"{own[kind]} has {len(numbers)} rows with a face ({sum(lost.values()):,} dropped): participant "
                    f"{number} has no features; take the row out of the list, {place}"
                )
            names += [f"{column} {what}" for what in ("mean", "sd") for column in columns]
            values += [numbers.mean(0), numbers.std(0)]
            frames += len(numbers)
            for reason, count in lost.items():
                dropped[reason] += count
        return Features(tuple(names), np.concatenate(values), frames, dropped)


def files_in(whole: Inventory) -> Found:
    """The files of features below a folder.

    Raises:
        InputError: a person has two files of one kind.
    """
    found: dict[str, dict[str, Path]] = {}
    for file in whole.files:
        if named := FILE.fullmatch(file.name):
            own, kind = found.setdefault(str(int(named[1])), {}), named[2].lower()
            if kind in own:
                raise InputError(f"{file.path} and {own[kind]} are both the {kind} of one participant: keep one")
            own[kind] = file.path
    return Found(found)


def _frames(path: Path, pattern: re.Pattern[str]) -> tuple[list[str], NDArray[np.float64], dict[str, int]]:
    """Features of a file: F names, the kept frames (N, F), and the dropped ones by reason.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    header = [name.strip() for name in content.split(b"\n", 1)[0].decode("utf-8", "replace").split(",")]
    features = [name for name in header if pattern.fullmatch(name)]
    missing = [name for name in FOUND if name not in header] or ([] if features else ["of features"])
    if missing or len(set(header)) < len(header):
        what = f"no column {', '.join(missing)}" if missing else "a column twice"
        raise InputError(f"{path}: {what} (there are: {', '.join(header)[:200]}): it is not a file of CLNF features")
    used = [*FOUND, *features]
    options = pacsv.ConvertOptions(
        column_types=dict.fromkeys(used, pa.float64()), include_columns=used, null_values=NOT_NUMBERS
    )
    try:
        table = pacsv.read_csv(
            pa.BufferReader(re.sub(rb"[ \t\r]", b"", content)),
            read_options=pacsv.ReadOptions(use_threads=False),
            convert_options=options,
        )
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} is damaged: {first_line(error)}: restore the file") from None
    columns = np.stack([table[name].to_numpy(zero_copy_only=False) for name in used], axis=1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        face = (columns[:, 0] > 0) & (columns[:, 1] > 0)
    whole = np.isfinite(columns[:, 2:]).all(1)
    lost = {NO_FACE: int((~face).sum()), NO_NUMBER: int((face & ~whole).sum())}
    return features, columns[face & whole, 2:], lost
