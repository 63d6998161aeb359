"""timm's plain vision transformer as transformers' ViT: names change, values do not."""

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
PLAIN_TENSORS = ("cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight")


def is_plain_vit(names: set[str], config: dict[str, Any]) -> bool:
    """Whether `ViTForImageClassification` can compute a timm checkpoint: class token pooling, no other tensors."""
    if config.get("global_pool", "token") != "token" or not names.issuperset(PLAIN_TENSORS):
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
    return ViTConfig(
        hidden_size=hidden,
        num_hidden_layers=sum(name.endswith("attn.qkv.weight") for name in state),
        num_attention_heads=hidden // 64 if hidden <= 1024 else 16,  # in every plain ViT of timm
        intermediate_size=state["blocks.0.mlp.fc1.weight"].shape[0],
        patch_size=patch,
        image_size=config.get("pretrained_cfg", config)["input_size"][-1],
        layer_norm_eps=1e-6,
        qkv_bias="blocks.0.attn.qkv.bias" in state,
    )


def vit_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of transformers' ViT under the names of `ViTForImageClassification`.

    `ViTModel` saves its own without the prefix `vit.`, and with a pooler that a classifier does not have.
    """
    if POSITIONS not in state and POSITIONS.removeprefix("vit.") in state:
        state = {f"vit.{name}": tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in state.items() if not name.startswith("vit.pooler.")}
