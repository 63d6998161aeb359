"""The command `python -m pipeline.evaluation`."""

import sys

from pipeline.errors import end_in_one_line


def main(argv: list[str]) -> None:
    """Compute the metrics and figures of a run again from its predictions."""
    from pipeline.evaluation import evaluate  # here: Ctrl-C while libraries load ends in one line too

    evaluate.main(argv)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
