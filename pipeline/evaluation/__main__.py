"""The command `python -m pipeline.evaluation`: a run from its own predictions, or any model on data with labels."""

import sys

from pipeline.errors import end_in_one_line


def main(argv: list[str]) -> None:
    """`RUN` computes the metrics of a run again; `--model` or `--scores` evaluates any model."""
    # Imported here, so that Ctrl-C while libraries load ends in one line too.
    if argv and not argv[0].startswith("-"):
        from pipeline.evaluation import evaluate

        evaluate.main(argv)
        return
    from pipeline.studies.any_model import command

    command.main(argv)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
