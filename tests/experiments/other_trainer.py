"""`train_hf.py` with another trainer class: the start of an experiment with a training method."""

import train_hf
from pipeline.errors import InputError
from pipeline.training import steps, trainer


def train_with(kind: type[trainer.ExpressionTrainer], setting: str, example: float, argv: list[str]) -> None:
    """Train as `train_hf.py` would with `argv[1:]`, by `kind`, whose `setting` is the number `argv[0]`.

    Raises:
        InputError: the first word is not a number such as `example`.
    """
    try:
        setattr(kind, setting, float(argv[0]))
    except (IndexError, ValueError):
        raise InputError(f"command line: the first word is {setting.upper()}, such as {example:g}") from None
    steps.ExpressionTrainer = kind  # type: ignore[misc]
    train_hf.main(argv[1:])
