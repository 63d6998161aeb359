"""Depthwise convolutions with a stride, in fp32 under bf16 autocast on a CPU.

oneDNN has no fast backward for them in bf16: it takes up to ten times as long as in fp32, and 40 % of a step of a
MobileNet-v1. `tests/benchmarks/channels_last.py` measures it.
"""

import torch
from timm.layers import Conv2dSame
from torch import nn


class _OutsideAutocast(nn.Module):
    """Mixed into a convolution: (B, C, H, W) of any precision -> (B, C, H', W') fp32."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        with torch.autocast(pictures.device.type, enabled=False):
            outputs: torch.Tensor = super().forward(pictures.float())
            return outputs


class _Plain(_OutsideAutocast, nn.Conv2d): ...


class _Same(_OutsideAutocast, Conv2dSame): ...


IN_FP32: dict[type[nn.Conv2d], type[nn.Conv2d]] = {nn.Conv2d: _Plain, Conv2dSame: _Same}


def kind(module: nn.Module) -> str:
    """What a message calls a layer: its class, and why it is not a plain one where `keep_in_fp32` replaced it."""
    replaced: dict[type[nn.Module], type[nn.Module]] = {ours: plain for plain, ours in IN_FP32.items()}
    if type(module) in replaced:
        return f"depthwise {replaced[type(module)].__name__} with a stride"
    return type(module).__name__


def keep_in_fp32(model: nn.Module) -> None:
    """Let every depthwise convolution with a stride leave autocast. Weights and their names stay."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1 and max(module.stride) > 1:
            module.__class__ = IN_FP32.get(type(module), type(module))
