"""The command `python -m pipeline.feature_head`; the work is done in `pipeline/studies/`."""

import sys

from pipeline.errors import end_in_one_line


def main(argv: list[str]) -> None:
    """Fit a small head on rows of features and measure it on other persons."""
    from pipeline.studies import feature_head  # here: Ctrl-C while libraries load ends in one line too

    feature_head.main(argv)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
