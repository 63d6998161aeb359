"""Layer decay knows the order of the layers of any family, and says so where it does not."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForImageClassification

from pipeline.errors import InputError
from pipeline.training.layers import layers_above
from pipeline.training.model import build_model
from pipeline.training.optimizer import layer_decay_of, parameter_groups
from tests.families import FAMILIES

QUICK = ["convnext", "pvt", "swin", "mobilevit", "resnet", "swiftformer"]
"""Downsampling before or behind a stage, lists side by side, blocks in blocks, a classifier with a number."""
NATIVE = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in FAMILIES
    if not name.startswith("timm/")
]


class Classifier(nn.Module):
    """A model as `layers_above` calls it: stem, blocks (a list, or parts with names) and a head."""

    def __init__(self, numbered: bool) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)  # registered first, called last
        if numbered:
            self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        else:
            self.one, self.two, self.three = (nn.Linear(4, 4) for _ in range(3))
        self.stem = nn.Linear(3 * 8 * 8, 4)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        hidden = self.stem(pixel_values.flatten(1))
        for block in self.blocks if hasattr(self, "blocks") else (self.one, self.two, self.three):
            hidden = block(hidden)
        return self.head(hidden)


def test_the_order_is_that_of_the_calls_not_of_the_names() -> None:
    above = layers_above(Classifier(numbered=True), 8)
    assert above is not None
    depths = {name.removesuffix(".weight"): depth for name, depth in above.items() if name.endswith("weight")}
    assert depths == {"stem": 4, "blocks.0": 3, "blocks.1": 2, "blocks.2": 1, "head": 0}


def test_a_model_without_numbers_has_no_known_order() -> None:
    model = Classifier(numbered=False)
    assert layers_above(model, 8) is None
    assert layer_decay_of(model, None, 8) == 1 and layer_decay_of(model, 0.9, 8) == 0.9
    with pytest.raises(InputError, match="the layers of Classifier have no known order; set --layer_decay 1"):
        parameter_groups(model, 1.0, 0.0, 0.9, 8)
    assert [group["lr"] for group in parameter_groups(model, 1.0, 0.0, 1.0, 8)] == [1.0]


def test_the_model_is_left_as_it_was() -> None:
    model = Classifier(numbered=True).train()
    layers_above(model, 8)
    assert model.training and not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("name", NATIVE)
def test_the_rate_never_falls_on_the_way_from_the_picture_to_the_classifier(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    family.save(tmp_path)
    model = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    above = layers_above(model, family.size)
    assert above is not None and above.keys() == {name for name, _ in model.named_parameters()}
    seen: list[int] = []

    def note(module: nn.Module, args: object) -> None:
        seen.extend(above[name] for name in owned[module])

    owned = {m: [f"{n}.{p}" for p, _ in m.named_parameters(recurse=False)] for n, m in model.named_modules()}
    for module in owned:
        module.register_forward_pre_hook(note)
    with torch.inference_mode():
        model(pixel_values=torch.zeros(1, 3, family.size, family.size))
    assert seen == sorted(seen, reverse=True) and seen[-1] == 0 and max(seen) >= 3


def test_a_timm_model_has_the_order_of_timm(tiny) -> None:
    model, _ = build_model(tiny(architecture="resnet10t"))
    rates = {group["lr"] for group in parameter_groups(model, 1.0, 0.05, 0.5, 32)}
    assert rates == {0.5**depth for depth in range(len(rates))} and len(rates) > 4
