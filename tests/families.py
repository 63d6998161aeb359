"""One small checkpoint of every family of image classifiers, with random weights, as its folder on the Hub looks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import transformers
from timm.models import save_for_hf

CLASSES_OF_CHECKPOINT = 5
HEAD = "ForImageClassification"
FOUR = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
PLAIN = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}
WITH_MLP = PLAIN | {"intermediate_size": 64}
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
        "vocab_size": 99, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
LEVIT = {"image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [1] * 3, "depths": [1] * 3,
         "key_dim": [8] * 3}  # fmt: skip
SWIN = {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "image_size": 64, "patch_size": 4, "window_size": 4}
PVT = FOUR | {"image_size": 64, "num_attention_heads": [1] * 4}


@dataclass(frozen=True)
class Family:
    """How to write a checkpoint of a family.

    Attributes:
        save: writes the folder.
        is_convolutional: whether convolutions do the main work, with batch norm or not.
        size: side of the pictures that it takes, in px.
    """

    save: Callable[[Path], torch.nn.Module]
    is_convolutional: bool
    size: int = 64


def _settle(model: torch.nn.Module, size: int) -> None:
    """Give a net the running statistics of noise: with those of a new one its activations fade, and answers stay."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # keep nothing of the old ones
    with torch.no_grad():
        model.train()(torch.randn(8, 3, size, size))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _transformers(model: str, config: str, processor: str, **settings: Any) -> Callable[[Path], torch.nn.Module]:
    def save(folder: Path) -> torch.nn.Module:
        torch.manual_seed(0)
        made = getattr(transformers, model)(getattr(transformers, config)(**settings, num_labels=CLASSES_OF_CHECKPOINT))
        for module in made.modules():
            if isinstance(module, torch.nn.Conv2d):  # transformers' own start is so small that deep nets answer 0
                torch.nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, torch.nn.modules.batchnorm._BatchNorm):  # about 0.02 in its EfficientNet
                torch.nn.init.ones_(module.weight)
        _settle(made, 64)
        made.save_pretrained(folder)
        getattr(transformers, processor)().save_pretrained(folder)
        return made.eval()

    return save


def _timm(name: str, size: int = 64, **arguments: Any) -> Callable[[Path], torch.nn.Module]:
    def save(folder: Path) -> torch.nn.Module:
        torch.manual_seed(0)
        made = timm.create_model(name, num_classes=CLASSES_OF_CHECKPOINT, **arguments)
        _settle(made, size)
        save_for_hf(made, folder, model_args=arguments, safe_serialization=True)
        return made.eval()

    return save


def _native(kind: str, processor: str, convolutional: bool, head: str = HEAD, **settings: Any) -> Family:
    return Family(_transformers(f"{kind}{head}", f"{kind}Config", processor, **settings), convolutional)


MOBILEVIT = {"image_size": 64, "hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 32],
             "num_attention_heads": 2}  # fmt: skip
FAMILIES: dict[str, Family] = {
    "beit": _native("Beit", "BeitImageProcessor", False, **WITH_MLP),
    "bit": _native("Bit", "BitImageProcessor", True, embedding_size=32, hidden_sizes=[128] * 4, depths=[1] * 4),
    "clip": _native("CLIP", "CLIPImageProcessor", False, head="Model", vision_config=WITH_MLP, text_config=TEXT,
                    projection_dim=16),
    "convnext": _native("ConvNext", "ConvNextImageProcessor", True, **FOUR),
    "convnextv2": _native("ConvNextV2", "ConvNextImageProcessor", True, **FOUR),
    "cvt": _native("Cvt", "ConvNextImageProcessor", False, embed_dim=[16, 24, 32], num_heads=[1, 1, 2],
                   depth=[1, 2, 3]),
    "data2vec-vision": _native("Data2VecVision", "BeitImageProcessor", False, **WITH_MLP),
    "deit": _native("DeiT", "DeiTImageProcessor", False, **WITH_MLP),
    "deit, distilled": _native("DeiT", "DeiTImageProcessor", False, head=f"{HEAD}WithTeacher", **WITH_MLP),
    "dinov2": _native("Dinov2", "BitImageProcessor", False, **PLAIN),
    "dinov2_with_registers": _native("Dinov2WithRegisters", "BitImageProcessor", False, **PLAIN),
    "efficientnet": _native("EfficientNet", "EfficientNetImageProcessor", True, width_coefficient=0.25,
                            depth_coefficient=0.3, hidden_dim=320),
    "focalnet": _native("FocalNet", "BitImageProcessor", True, image_size=64, embed_dim=16, depths=[1, 1],
                        hidden_sizes=[16, 32], focal_levels=[2, 2], focal_windows=[3, 3]),
    "hiera": _native("Hiera", "BitImageProcessor", False, image_size=[64, 64], embed_dim=16, depths=[1, 1],
                     num_heads=[1, 2], patch_stride=[4, 4], query_stride=[2, 2], num_query_pool=1),
    "levit": _native("Levit", "LevitImageProcessor", False, **LEVIT),
    "mobilenet_v1": _native("MobileNetV1", "MobileNetV1ImageProcessor", True, depth_multiplier=0.25),
    "mobilenet_v2": _native("MobileNetV2", "MobileNetV2ImageProcessor", True, depth_multiplier=0.35),
    "mobilevit": _native("MobileViT", "MobileViTImageProcessor", True, **MOBILEVIT),
    "mobilevitv2": _native("MobileViTV2", "MobileViTImageProcessor", True, image_size=64, width_multiplier=0.25),
    "poolformer": _native("PoolFormer", "PoolFormerImageProcessor", True, **FOUR),
    "pvt": _native("Pvt", "PvtImageProcessor", False, **PVT),
    "pvt_v2": _native("PvtV2", "PvtImageProcessor", False, **PVT),
    "regnet": _native("RegNet", "ConvNextImageProcessor", True, embedding_size=8, groups_width=8, **FOUR),
    "resnet": _native("ResNet", "ConvNextImageProcessor", True, embedding_size=8, layer_type="basic", **FOUR),
    "segformer": _native("Segformer", "SegformerImageProcessor", False, num_attention_heads=[1] * 4, **FOUR),
    "siglip": _native("Siglip", "SiglipImageProcessor", False, head="Model", vision_config=WITH_MLP, text_config=TEXT),
    "swiftformer": _native("SwiftFormer", "ViTImageProcessor", True, image_size=64, depths=[1] * 4,
                           embed_dims=[16, 24, 32, 40]),
    "swin": _native("Swin", "ViTImageProcessor", False, **SWIN),
    "swinv2": _native("Swinv2", "ViTImageProcessor", False, **SWIN),
    "vit": _native("ViT", "ViTImageProcessor", False, head="Model", **WITH_MLP),
    "vit_msn": _native("ViTMSN", "ViTImageProcessor", False, **WITH_MLP),
    **{f"timm/{name}": Family(_timm(name), True) for name in (
        "convnext_atto", "densenet121", "dla46_c", "edgenext_xx_small", "efficientnet_b0", "efficientvit_b0",
        "ghostnet_050", "lcnet_035", "mobilenetv1_100", "mobilenetv2_035", "mobilenetv3_small_050",
        "mobilenetv4_conv_small_035", "mobilevit_xxs", "regnetx_002", "resnet10t", "resnet18", "tinynet_e",
    )},
    "timm/inception_v3": Family(_timm("inception_v3", 96), True, 96),
    "timm/vgg11": Family(_timm("vgg11", 224, mlp_ratio=0.02), True, 224),  # with its 4,096 units it has 129 M numbers
    "timm/deit_tiny_distilled_patch16_224": Family(_timm("deit_tiny_distilled_patch16_224", 224), False, 224),
}  # fmt: skip
