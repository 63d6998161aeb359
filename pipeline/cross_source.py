"""The command `python -m pipeline.cross_source`; the work is done in `pipeline/studies/`."""

import sys

from pipeline.errors import end_in_one_line


def main(argv: list[str]) -> None:
    """Measure what one source teaches about another."""
    from pipeline.studies import cross_source  # here: Ctrl-C while libraries load ends in one line too

    cross_source.main(argv)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
