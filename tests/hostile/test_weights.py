"""Weights of somebody else: the server answers only by tensors that came from the file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hub.server.engine import load_model
from pipeline.errors import InputError
from tests.hostile.files import change
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


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"num_hidden_layers": 10_000_000}, "describes a far larger model"),
        ({"intermediate_size": 10**12}, "describes a far larger model"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, "weights are quantised"),
    ],
    ids=["layers", "numbers", "quantised"],
)
def test_a_config_of_other_weights_is_refused_before_the_model_is_built(
    fields: dict[str, object],
    reason: str,
    folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    model = shutil.copytree(folder, tmp_path / "model")
    change(model / "config.json", **fields)
    with pytest.raises(InputError, match=reason):
        load_model(str(model), threads=1)
