"""LoRA (Hu et al. 2021, arXiv:2106.09685): two small matrices beside each frozen layer are trained, and the whole head.

peft makes the matrices and merges them. Here is what it leaves open: which layers of this model a name means, whether
they are used as layers at all, what is saved, and that every saved tensor is read again.
"""

import copy
import json
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from pipeline.errors import InputError, first_line
from pipeline.model_folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from pipeline.settings.recipe import Recipe
from pipeline.training.batch_norm import keep_statistics
from pipeline.training.depthwise import kind
from pipeline.training.head import head_parameters
from pipeline.training.layers import order_of_calls

QUERY_AND_VALUE = (("q_proj", "v_proj"), ("query", "value"), ("qkv",))
"""What the projections of attention are called in transformers and in timm; the paper adapts query and value."""

NAME = "default"  # of the only adapter; peft leaves it out of the names in the file


@dataclass(frozen=True)
class Base:
    """What the frozen weights are for everybody else.

    Attributes:
        hub_id: their name on the Hub; None if they are not there.
        timm_config: config.json of timm's plain ViT, if they were converted from one; otherwise None.
    """

    hub_id: str | None = None
    timm_config: dict[str, Any] | None = None


def add_lora(model: PreTrainedModel, recipe: Recipe, base: Base) -> PreTrainedModel:
    """Freeze the model and put LoRA matrices beside the layers that `lora_targets` names; the head is trained in full.

    Args:
        model: a classifier, which is changed.
        recipe: its `lora_*` settings; an alpha of null is twice the rank.
        base: what the weights of `model` were, for the adapter's files.

    Returns:
        peft's wrapper, which is called like the model.

    Raises:
        InputError: a target names no layer, something else than a linear layer or a convolution, the head, or a layer
            whose weights are used without calling it; or the rank is above the smaller side of a layer.
    """
    head = {name.rpartition(".")[0] for name in head_parameters(model)}
    targets = _targets(model, head, recipe.lora_targets)
    adapted = [name for name, _ in model.named_modules() if _fits(name, targets)]
    _refuse_rank(model, adapted, recipe.lora_rank)
    keep_statistics(model)
    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha or 2 * recipe.lora_rank,  # type: ignore[arg-type]  # peft takes fractions too
        lora_dropout=recipe.lora_dropout,
        target_modules=targets,
        modules_to_save=sorted(head),
    )
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # peft asks transformers in an old way
            wrapped: Any = get_peft_model(model, config)
    except ValueError as error:  # for example a grouped convolution whose groups do not divide the rank
        raise InputError(f"lora_targets {', '.join(targets)}: {first_line(error)}") from None
    wrapped.peft_config[NAME].base_model_name_or_path = base.hub_id
    wrapped.timm_config = base.timm_config
    _refuse_unused(model, adapted, recipe.image_size)
    return wrapped


def _targets(model: nn.Module, head: set[str], asked: list[str] | None) -> list[str]:
    """The names of the layers to adapt: those asked for, or the projections of query and value."""
    modules = dict(model.named_modules())
    there = ", ".join(_offered(modules, head))
    usual = (list(names) for names in QUERY_AND_VALUE if all(_named(modules, name) for name in names))
    targets = next(usual, []) if asked is None else asked
    if not targets:
        raise InputError(f"lora_targets: name layers to adapt; this model has {there}")
    for target in targets:
        named = _named(modules, target)
        if not named:
            raise InputError(f"lora_targets: no layer of this model is called {target!r}; it has {there}")
        for name in named:
            if name in head:
                raise InputError(f"lora_targets: {target} is the classifier, which is trained in full: leave it out")
            if not _can_adapt(modules[name], name, head):
                what = kind(modules[name])
                raise InputError(f"lora_targets: {target} names {name} too, a {what}; name layers of {there}")
    return sorted(set(targets))


def _offered(modules: Mapping[str, nn.Module], head: set[str]) -> list[str]:
    """Names for `lora_targets`: the last part of a layer's name, or all of it where that part also names others."""
    able = [name for name in modules if _can_adapt(modules[name], name, head)]
    last = {name: name.rpartition(".")[2] for name in able}
    mixed = {part for part in set(last.values()) if not set(_named(modules, part)) <= set(able)}
    return sorted({name if part in mixed else part for name, part in last.items()})


def _can_adapt(module: nn.Module, name: str, head: set[str]) -> bool:
    """Whether it is a plain layer. Some subclasses change their weights on the way, so nothing can be merged in."""
    return type(module) in (nn.Linear, nn.Conv2d) and name not in head


def _named(modules: Iterable[str], target: str) -> list[str]:
    return [name for name in modules if _fits(name, [target])]


def _fits(name: str, targets: list[str]) -> bool:
    """As peft reads a list of targets: the whole name of a layer, or its end from a dot on."""
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _refuse_rank(model: nn.Module, adapted: list[str], rank: int) -> None:
    for name in adapted:
        weight: Any = model.get_submodule(name).weight
        most = min(len(weight), math.prod(weight.shape[1:]))
        if rank > most:
            raise InputError(f"lora_rank is {rank}, and {name} has rank {most} at most: lower it")


def _refuse_unused(model: nn.Module, adapted: list[str], size: int) -> None:
    """Some models use a layer's weights without calling it (`nn.MultiheadAttention`, BEiT in timm): nothing trains."""
    called = order_of_calls(model, size)
    unused = [name for name in adapted if name not in called]
    if unused:
        raise InputError(
            f"lora_targets: this model uses the weights of {unused[0]} without calling the layer, so an adapter has no "
            "effect there: leave it out"
        )


def is_adapted(model: nn.Module) -> bool:
    """Whether `add_lora` wrapped it."""
    return isinstance(model, PeftModel)


def merged(model: nn.Module) -> PreTrainedModel:
    """A copy with the adapters added into the weights, under the model's own names; a model without any as it is."""
    if not isinstance(model, PeftModel):
        return model  # type: ignore[return-value]
    whole: Any = copy.deepcopy(model)
    return whole.merge_and_unload()


def save_adapter(model: nn.Module, folder: Path) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`, as peft names them: adapters and head."""
    given: Any = model
    write_adapter_files(given.peft_config[NAME], adapter_tensors(model), folder)


def write_adapter_files(config: LoraConfig, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    """The two files of an adapter. Equal adapters give equal bytes: peft writes a set in any order."""
    save_file(
        {name: t.contiguous() for name, t in tensors.items()}, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"}
    )
    config.save_pretrained(str(folder))
    file = folder / ADAPTER_CONFIG
    written = json.loads(file.read_text(encoding="utf-8"))
    written |= {"target_modules": sorted(written["target_modules"]), "inference_mode": True}
    file.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_adapter(model: nn.Module, folder: Path) -> None:
    """Every tensor of a saved adapter, strictly.

    Raises:
        ValueError: it is of another model or other targets.
    """
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    if tensors.keys() != adapter_tensors(model).keys():
        raise ValueError(f"{folder / ADAPTER_WEIGHTS} is not the adapter of this model")
    set_peft_model_state_dict(model, tensors)


def adapter_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Adapters and head by their names in the file. Without the flag peft would ask the Hub about the base model."""
    return get_peft_model_state_dict(model, save_embedding_layers=False)


def in_words(model: nn.Module) -> str:
    """The console's line about the adapters of a model."""
    given: Any = model
    config = given.peft_config[NAME]
    beside = (".lora_", ".modules_to_save.")  # in the names of what a merged model does not have
    of = sum(p.numel() for name, p in model.named_parameters() if not any(part in name for part in beside))
    layers = sum(name.endswith("lora_A") for name, _ in model.named_modules())
    return (
        f"lora: rank {config.r} beside {layers} layers ({', '.join(sorted(config.target_modules))}), and the whole "
        f"head: {trained_parameters(model):,} of {of:,} parameters are trained"
    )


def trained_parameters(model: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
