"""How deep each parameter of a model lies: the order of its layers, for any family.

A layer is a block with a number in its name (`layers.3`, `stages.2.blocks.5`), or what lies between two of them.
Names do not say which list comes first, so one picture goes through the model, and the order of the calls counts.
"""

from itertools import groupby

import torch
from torch import nn


def layers_above(model: nn.Module, size: int) -> dict[str, int] | None:
    """How many layers lie above each parameter; the classifier has 0. None if fewer than two blocks have a number.

    As `order_of_calls`, it calls the model once.
    """
    called = order_of_calls(model, size)
    names = [name for name, _ in model.named_parameters()]
    ordered = sorted(names, key=lambda name: _when_called(name, called))
    depth, layer = dict.fromkeys(names, 0), 0
    for block, inside in groupby(ordered, key=_block):
        layer += bool(block)
        for name in inside:
            depth[name] = layer
    if layer < 2:
        return None
    last = max(index for index, name in enumerate(ordered) if _block(name))
    for name in ordered[last + 1 :]:  # the last norm and the classifier
        depth[name] = layer + 1
    top = max(depth.values())
    return {name: top - each for name, each in depth.items()}


def _block(name: str) -> str:
    """The part of a parameter's name up to its second number (`stages.2.blocks.5`), or its only one; "" without."""
    parts = name.split(".")
    numbers = [index for index, part in enumerate(parts) if part.isdecimal()][:2]
    return ".".join(parts[: numbers[-1] + 1]) if numbers else ""


def order_of_calls(model: nn.Module, size: int) -> dict[str, int]:
    """Name of each module that a forward pass calls -> when it is called first.

    The model is called once with a black picture of `size` px, without gradients.
    """
    names = {module: name for name, module in model.named_modules()}
    order: dict[str, int] = {}

    def note(module: nn.Module, args: object) -> None:
        order.setdefault(names[module], len(order))

    hooks = [module.register_forward_pre_hook(note) for module in names]
    training, device = model.training, next(model.parameters()).device
    try:
        with torch.no_grad():  # not inference mode: some models keep what they compute
            model.eval()(pixel_values=torch.zeros(1, 3, size, size, device=device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return order


def _when_called(name: str, called: dict[str, int]) -> int:
    """When the module of a parameter is called, or the nearest around it: some weights are used without a call."""
    while name:
        name = name.rpartition(".")[0]
        if name in called:
            return called[name]
    return 0
