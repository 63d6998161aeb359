"""The model of a recipe before any data is read: everything that can be refused is refused here."""

from pipeline.settings.recipe import Recipe
from pipeline.training.model import build_for_training
from pipeline.training.optimizer import parameter_groups
from pipeline.training.saving import check_clients


def open_checkpoint(recipe: Recipe, device: str = "cpu") -> None:
    """Build the recipe's model, from its checkpoint or from random weights, and ask the saved model one picture.

    `device` is where it will be trained (`cuda`, `cpu`, ...); the model stays on the CPU here.

    Raises:
        InputError: as `build_for_training`, `parameter_groups` and `check_clients`.
    """
    model, processor = build_for_training(recipe, device)
    parameter_groups(model, 1.0, 0.0, recipe.layer_decay)
    check_clients(model, processor)
