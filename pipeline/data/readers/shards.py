"""Numbered parts of one data set, such as `train-00001-of-00003.parquet`: all of them, or none."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from pipeline.data.readers.inventory import File
from pipeline.errors import InputError

# A hash may follow the number, another one in each part.
PART = re.compile(r"(?P<head>.*?)(?P<number>\d+)(?P<of>[-_]of[-_])(?P<total>\d+)(?:-[0-9a-f]{8,})?(?P<tail>(?:\.\w+)*)")
FROM_ZERO = 5  # digits: programs that write so many count from 0, people count from 1
SHOWN = 3  # missing parts in a message
MOST = 100_000  # parts that a name may speak of


def refuse_missing_parts(root: Path, files: Iterable[File]) -> None:
    """Stop where names say that there are more parts than are here; pictures are no parts.

    Raises:
        InputError: the parts that are missing.
    """
    found: defaultdict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    for file in files:
        match = PART.fullmatch(file.key) if file.kind != "picture" else None
        if match and 0 < int(match["total"]) <= MOST:
            found[match["head"], match["of"], match["total"], match["tail"]].add(match["number"])
    for (head, of, total, tail), numbers in found.items():
        there = {int(number) for number in numbers}
        width = len(next(iter(numbers)))
        start = int(0 not in there and (int(total) in there or width < FROM_ZERO))
        missing = [n for n in range(start, start + int(total)) if n not in there]
        if missing:
            names = ", ".join(f"{head}{n:0{width}d}{of}{total}{tail}" for n in missing[:SHOWN])
            more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
            raise InputError(
                f"data_path {root}: {len(missing):,} of {int(total):,} parts are missing, {names}{more}: add them, or "
                f"give the name of one file with --data_path to read only that part"
            )
