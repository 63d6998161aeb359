"""The command `python -m pipeline.subgroups`; the work is done in `pipeline/studies/`."""

import sys

from pipeline.errors import end_in_one_line


def main(argv: list[str]) -> None:
    """Report a run's accuracy by group."""
    from pipeline.studies import subgroups  # here: Ctrl-C while libraries load ends in one line too

    subgroups.main(argv)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
