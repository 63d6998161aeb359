"""Load safetensors weights by transformers: every tensor of the model comes from the files, or it is not loaded."""

import math
from pathlib import Path
from typing import Any

from pipeline.errors import InputError, first_line
from pipeline.model_folder import CONFIG, ONNX, plain_folder, read_object, weight_files

FLOATS = ("F64", "F32", "F16", "BF16")  # as safetensors names them


def load_weights(folder: Path, name: str) -> Any:
    """The model of a folder without ONNX, in float32, ready to answer.

    Raises:
        InputError: torch is not installed; or the weights are quantised, damaged, of another model, or far smaller than
            the model of its config.json.
    """
    try:
        import torch
        from transformers import AutoModelForImageClassification

        from pipeline.described_size import no_larger_than

        if "quantization_config" in read_object(folder, CONFIG):
            raise InputError("its weights are quantised, and this server computes in float32: give it those in full")
        with plain_folder(folder) as place, no_larger_than(_sizes(folder)):
            model, report = AutoModelForImageClassification.from_pretrained(
                place,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        _refuse_other_weights(folder, model, report, name)
    except InputError as error:
        raise InputError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from None
    except ImportError as error:
        raise InputError(
            f"{name} has no {ONNX}, so it needs torch, torchvision and transformers ({first_line(error)}): install "
            "them, or name a folder that push_to_hub.py made"
        ) from None
    except Exception as error:
        raise InputError(f"{name}: the weights cannot be loaded: {first_line(error)}") from None
    return model.eval()


def _sizes(folder: Path) -> list[int]:
    """How many numbers each tensor has, from the heads of the files."""
    from safetensors import safe_open

    sizes = []
    for file in weight_files(folder):
        with safe_open(folder / file, "pt") as tensors:
            sizes += [math.prod(tensors.get_slice(key).get_shape()) for key in tensors.keys()]  # noqa: SIM118
    return sizes


def _refuse_other_weights(folder: Path, model: Any, report: dict[str, Any], name: str) -> None:
    """Every tensor of the model must come from the files: transformers fills what is missing with random numbers."""
    from safetensors import safe_open

    lacking = sorted(report["missing_keys"]) + [key for key, *_ in report["mismatched_keys"]]
    if lacking:
        raise InputError(
            f"{name}: {len(lacking)} tensors of the model are not in its weights, or have another shape, first "
            f"{lacking[0]}: this is not a whole image classifier"
        )
    counters = tuple(key for key, value in model.state_dict().items() if not value.is_floating_point())
    unused = set(report["unexpected_keys"])
    for file in weight_files(folder):
        with safe_open(folder / file, "pt") as tensors:
            kinds = {key: tensors.get_slice(key).get_dtype() for key in set(tensors.keys()) - unused}
        # A wrapper, such as that of timm, puts a prefix before the names in the file.
        others = {key: kind for key, kind in kinds.items() if not any(name.endswith(key) for name in counters)}
        whole = sorted(key for key, kind in others.items() if kind not in FLOATS)
        if whole:
            raise InputError(f"{name}: the weights hold {kinds[whole[0]]} for {whole[0]}, not floating-point numbers")
