"""The model of a recipe before any data is read: everything that can be refused is refused here."""

from collections.abc import Callable
from pathlib import Path

from pipeline.training import machine
from pipeline.training.lora import in_words
from pipeline.training.model import Built, build_for_training
from pipeline.training.optimizer import layer_decay_of, parameter_groups
from pipeline.training.plan import Plan
from pipeline.training.saving import check_clients


def open_checkpoint(plan: Plan, check: Callable[[Path], None] | None = None) -> Built:
    """Build the recipe's model, from its checkpoint or from random weights, and ask the saved model one picture.

    Every process builds the model; the first one asks. Its weights stay on the CPU here.

    Args:
        plan: with the recipe.
        check: what else must work with the folder of the saved model.

    Raises:
        InputError: as `build_for_training`, `parameter_groups` and `check_clients`, or `check` raises it.
    """
    recipe = plan.recipe
    model, processor = build_for_training(recipe, plan.device)
    layer_decay = layer_decay_of(model, recipe.layer_decay, recipe.image_size)
    if recipe.lora_rank:
        machine.say(in_words(model))
    elif recipe.layer_decay is None and layer_decay == 1:
        machine.say("layer_decay: 1, because the layers of this model have no known order")
    parameter_groups(model, 1.0, 0.0, layer_decay, recipe.image_size)
    if machine.rank() == 0:
        check_clients(model, processor, check)
    return model, processor
