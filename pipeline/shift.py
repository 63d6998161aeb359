"""The command `python -m pipeline.shift`; the work is done in `pipeline/studies/`."""

import sys

from pipeline.errors import end_in_one_line


def main(argv: list[str]) -> None:
    """Measure what corruptions leave of a model's accuracy."""
    from pipeline.studies import shift  # here: Ctrl-C while libraries load ends in one line too

    shift.main(argv)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
