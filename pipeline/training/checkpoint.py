"""The model of a recipe before any data is read: everything that can be refused is refused here."""

from pipeline.settings.recipe import Recipe
from pipeline.training.model import build_model
from pipeline.training.saving import check_clients


def open_checkpoint(recipe: Recipe) -> None:
    """Build the recipe's model, from its checkpoint or from random weights, and ask the saved model one picture.

    Raises:
        InputError: as `build_model` and `check_clients`.
    """
    check_clients(*build_model(recipe))
