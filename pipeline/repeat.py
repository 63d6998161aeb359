"""The command `python -m pipeline.repeat`; the work is done in `pipeline/studies/`."""

import sys

from pipeline.errors import end_in_one_line


def main(argv: list[str]) -> None:
    """Train a recipe under several seeds and report its metrics."""
    from pipeline.studies import repeat  # here: Ctrl-C while libraries load ends in one line too

    repeat.main(argv)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
