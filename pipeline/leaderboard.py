"""The command `python -m pipeline.leaderboard`; the work is done in `pipeline/studies/`."""

import sys

from pipeline.errors import end_in_one_line


def main(argv: list[str]) -> None:
    """Compare finished runs on the same rows and write the tables."""
    from pipeline.studies import leaderboard  # here: Ctrl-C while libraries load ends in one line too

    leaderboard.main(argv)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
