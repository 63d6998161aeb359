"""timm's plain vision transformer as transformers' ViT: names change, values do not."""

import math
from collections import defaultdict
from typing import Any

import torch
from transformers import ViTConfig

POSITIONS = "vit.embeddings.position_embeddings"

# Names in timm's plain ViT -> names in the files of transformers, which versions 4 and 5 read.
TIMM_TO_VIT = {
    "cls_token": "vit.embeddings.cls_token",
    "pos_embed": POSITIONS,
    "patch_embed.proj": "vit.embeddings.patch_embeddings.projection",
    "norm": "vit.layernorm",
    "head": "classifier",
}
TIMM_BLOCK_TO_VIT = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
QKV = ("query", "key", "value")
PEFT = "base_model.model."  # before every name in the file of an adapter
LORA_QKV = ("attention.q_proj", "attention.k_proj", "attention.v_proj")
LORA_BLOCK_TO_TIMM = {"attention.o_proj": "attn.proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
TIMM_PATCHES = "patch_embed.proj"
PLAIN_TENSORS = ("cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight")

SHAPES = frozenset({"img_size", "patch_size", "depth", "mlp_ratio", "num_classes", "drop_rate", "drop_path_rate"})
"""Arguments of timm's ViT that only the tensors' shapes follow from, or that act in training only."""


def is_plain_vit(names: set[str], config: dict[str, Any]) -> bool:
    """Whether `ViTForImageClassification` can compute a timm checkpoint: class token pooling, no other tensors.

    Arguments of the architecture other than `SHAPES`, such as `num_heads` or `act_layer`, may make another network of
    the same tensors: with them it stays timm's.
    """
    if config.get("global_pool", "token") != "token" or not names.issuperset(PLAIN_TENSORS):
        return False
    if not SHAPES.issuperset(config.get("model_args") or {}):
        return False
    stems = {name.rpartition(".")[0].split(".", 2)[2] for name in names if name.startswith("blocks.")}
    outer = {name for name in names if not name.startswith("blocks.")}
    return stems <= {*TIMM_BLOCK_TO_VIT, "attn.qkv"} and all(
        name in TIMM_TO_VIT or name.rpartition(".")[0] in TIMM_TO_VIT for name in outer
    )


def timm_to_vit(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of timm's plain ViT under the names of `ViTForImageClassification`; values are unchanged."""
    converted = {}
    for name, tensor in state.items():
        stem, _, kind = name.rpartition(".")
        if name.startswith("blocks."):
            _, layer, part = stem.split(".", 2)
            block = f"vit.encoder.layer.{layer}"
            if part == "attn.qkv":
                for projection, chunk in zip(QKV, tensor.chunk(3), strict=True):
                    converted[f"{block}.attention.attention.{projection}.{kind}"] = chunk.contiguous()
            else:
                converted[f"{block}.{TIMM_BLOCK_TO_VIT[part]}.{kind}"] = tensor
        elif name in TIMM_TO_VIT:
            converted[TIMM_TO_VIT[name]] = tensor
        else:
            converted[f"{TIMM_TO_VIT[stem]}.{kind}"] = tensor
    return converted


def vit_config_of_timm(state: dict[str, torch.Tensor], config: dict[str, Any]) -> ViTConfig:
    """The ViTConfig whose model computes what timm's does: shapes of the weights, heads and epsilon of timm."""
    hidden, _, patch, _ = state["patch_embed.proj.weight"].shape
    vit = ViTConfig(
        hidden_size=hidden,
        num_hidden_layers=sum(name.endswith("attn.qkv.weight") for name in state),
        num_attention_heads=hidden // 64 if hidden <= 1024 else 16,  # in every plain ViT of timm
        intermediate_size=state["blocks.0.mlp.fc1.weight"].shape[0],
        patch_size=patch,
        image_size=_image_size(state, config),
        layer_norm_eps=1e-6,
        qkv_bias="blocks.0.attn.qkv.bias" in state,
    )
    if names := config.get("label_names"):
        vit.id2label = dict(enumerate(names))
    return vit


def _image_size(state: dict[str, torch.Tensor], config: dict[str, Any]) -> int:
    """In px: what timm's config says (older files do not), or a square of as many patches as there are positions."""
    size = config.get("pretrained_cfg", config).get("input_size")
    if size:
        return int(size[-1])
    return math.isqrt(state["pos_embed"].shape[1] - 1) * int(state["patch_embed.proj.weight"].shape[-1])


def vit_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of transformers' ViT under the names of `ViTForImageClassification`.

    `ViTModel` saves its own without the prefix `vit.`, and with a pooler that a classifier does not have.
    """
    if POSITIONS not in state and POSITIONS.removeprefix("vit.") in state:
        state = {f"vit.{name}": tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in state.items() if not name.startswith("vit.pooler.")}


def lora_for_timm(tensors: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """An adapter of `ViTForImageClassification` for timm's plain ViT, exactly, and the rank of each adapted layer.

    The ranks of query, key and value add up in timm's one layer for them: their products stand in a block diagonal.

    Args:
        tensors: of peft's file: `lora_A.weight` (r, inputs) and `lora_B.weight` (outputs, r) of each adapted layer, and
            the classifier.
    """
    layers: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        stem, _, kind = name.removeprefix(PEFT).partition(".lora_")
        layers[stem][kind] = tensor
    converted = {f"{PEFT}timm_model.head.{kind}": layers.pop(f"classifier.{kind}")[""] for kind in ("weight", "bias")}
    adapted = {}
    for stem in list(layers):
        _, _, inside = stem.rpartition("vit.layers.")
        number, _, part = inside.partition(".")
        if part in LORA_QKV:
            block = stem.removesuffix(part)
            parts = [layers.pop(block + each, {}) for each in LORA_QKV]
            if any(parts):
                adapted[f"timm_model.blocks.{number}.attn.qkv"] = _side_by_side(parts)
        else:
            place = f"blocks.{number}.{LORA_BLOCK_TO_TIMM[part]}" if inside != stem else TIMM_PATCHES
            adapted[f"timm_model.{place}"] = layers[stem]
    converted |= {f"{PEFT}{name}.lora_{kind}": t for name, pair in adapted.items() for kind, t in pair.items()}
    return converted, {name: len(pair["A.weight"]) for name, pair in adapted.items()}


def _side_by_side(parts: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The adapters of query, key and value, of which some may be empty, as one."""
    outputs = next(len(part["B.weight"]) for part in parts if part)
    empty = torch.zeros(outputs, 0)
    return {
        "A.weight": torch.cat([part["A.weight"].cpu() for part in parts if part]),
        "B.weight": torch.block_diag(*(part["B.weight"].cpu() if part else empty for part in parts)),
    }
