"""`python -m tests.data.layouts [--checkout DIR] [NAME ...]`: layouts and what becomes of them, a Markdown table.

It runs the code of this working tree, or of the checkout DIR; with NAMEs only those layouts.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Print the table; caches and layouts are made in a folder that ends with it."""
    parser = argparse.ArgumentParser(prog="python -m tests.data.layouts", description=str(__doc__))
    parser.add_argument("--checkout", type=Path, help="another working tree, whose code is run")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these layouts")
    words = parser.parse_args()
    if words.checkout:
        sys.path.insert(0, str(words.checkout.resolve()))
    with tempfile.TemporaryDirectory(prefix="layouts-", ignore_cleanup_errors=True) as folder:
        os.environ |= {"HF_HOME": f"{folder}/caches", "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        _print_table(words.names, Path(folder))


def _print_table(names: list[str], folder: Path) -> None:
    from tests.data.layouts.every import LAYOUTS  # after the paths above: it imports the code under test
    from tests.data.layouts.outcome import outcome_of

    sys.stdout.reconfigure(errors="backslashreplace")
    chosen = [layout for layout in LAYOUTS if not names or layout.name in names]
    print("| kind | reader | layout | expected | outcome | |\n|---|---|---|---|---|---|")
    good = 0
    for layout in chosen:
        with Path(os.devnull).open("w") as nothing, contextlib.redirect_stderr(nothing):
            outcome = outcome_of(layout, folder / layout.name)
        good += outcome.expected
        cells = (layout.kind, layout.reader, layout.title, layout.expected.in_words(), str(outcome))
        shown = " | ".join(cell.replace(str(folder / layout.name), "").replace("|", "\\|") for cell in cells)
        print(f"| {shown} | {'ok' if outcome.expected else '**not ok**'} |", flush=True)
    print(f"\n{good} of {len(chosen)} layouts as expected.")


if __name__ == "__main__":
    main()
