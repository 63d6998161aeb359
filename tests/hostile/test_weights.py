"""Weights of somebody else: the server answers only by tensors that came from the file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hub.server.engine import load_model
from pipeline.errors import InputError
from tests.hub.test_app import folder  # noqa: F401

Tensors = dict[str, torch.Tensor]
SPOILT: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "no classifier": (lambda t: {n: v for n, v in t.items() if "classifier" not in n}, "2 tensors of the model"),
    "no tensors": (lambda t: {}, "tensors of the model are not in its weights"),
    "another shape": (lambda t: t | {"classifier.bias": torch.zeros(3)}, "first classifier.bias"),
    "whole numbers": (lambda t: t | {"classifier.bias": torch.zeros(7, dtype=torch.int8)}, "hold I8 for classifier"),
    "not a number": (lambda t: t | {"classifier.bias": torch.full((7,), torch.nan)}, "not finite numbers"),
    "infinite": (lambda t: t | {"classifier.bias": torch.full((7,), torch.inf)}, "not finite numbers"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_the_server_does_not_start_on_spoilt_weights(name: str, folder: Path, tmp_path: Path) -> None:  # noqa: F811
    spoil, reason = SPOILT[name]
    model = shutil.copytree(folder, tmp_path / "model")
    save_file(spoil(load_file(model / "model.safetensors")), model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=reason) as refused:
        load_model(str(model), threads=1)
    assert "\n" not in str(refused.value)
