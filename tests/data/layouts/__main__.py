"""`python -m tests.data.layouts [--checkout DIR] [NAME ...]`: layouts and what becomes of them, as Markdown tables.

It runs the code of this working tree, or of the checkout DIR; with NAMEs only those layouts.
"""

import argparse
import contextlib
import logging
import os
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

SHOWN = 400  # characters of an outcome


def main() -> None:
    """Print the tables; caches and layouts are made in a folder that ends with it."""
    parser = argparse.ArgumentParser(prog="python -m tests.data.layouts", description=str(__doc__))
    parser.add_argument("--checkout", type=Path, help="another working tree, whose code is run")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these layouts")
    words = parser.parse_args()
    if words.checkout:
        sys.path.insert(0, str(words.checkout.resolve()))
    with tempfile.TemporaryDirectory(prefix="layouts-", ignore_cleanup_errors=True) as folder:
        os.environ |= {"HF_HOME": f"{folder}/caches", "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        _print_tables(words.names, Path(folder))


def _print_tables(names: list[str], folder: Path) -> None:
    from tests.data.layouts.every import LAYOUTS  # after the paths above: it imports the code under test
    from tests.data.layouts.outcome import outcome_of

    sys.stdout.reconfigure(errors="backslashreplace")
    logging.disable(logging.ERROR)
    verdicts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    print("| kind | reader | layout | name | expected | outcome | |\n|---|---|---|---|---|---|---|")
    for layout in (layout for layout in LAYOUTS if not names or layout.name in names):
        with Path(os.devnull).open("w") as nothing, contextlib.redirect_stderr(nothing):
            outcome = outcome_of(layout, folder / layout.name)
        said = str(outcome)
        said = said if len(said) <= SHOWN else f"{said[: SHOWN // 2]} ... {said[-SHOWN // 2 :]}"
        _print_row(
            layout.kind, layout.reader, layout.title, layout.name, layout.expected.in_words(), said, outcome.mark
        )
        verdicts[layout.kind].update([outcome.verdict, outcome.mark])
    print()
    columns = ("ok", "not ok", "right", "refused", "WRONG", "TRACE")
    print(f"| kind | {' | '.join(columns)} |\n|---{'|--:' * len(columns)}|")
    for kind, counts in verdicts.items():
        _print_row(kind, *(str(counts[column]) for column in columns))
    total = sum(verdicts.values(), Counter())
    _print_row("all", *(str(total[column]) for column in columns))


def _print_row(*cells: str) -> None:
    print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
