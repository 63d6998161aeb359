"""The adapter of a LoRA run in a folder of its own: for the base as clients load it, with the names of the classes.

A run that starts from timm's plain ViT trains transformers' ViT of the same outputs (`conversion.py`). Clients load
that base with timm, where query, key and value are one layer. So its adapter is written for timm's layers.
"""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForImageClassification

from pipeline.expressions import id2label, label2id
from pipeline.model_folder import CONFIG, PROCESSOR, plain_folder
from pipeline.training.conversion import PEFT, lora_for_timm
from pipeline.training.head import head_parameters
from pipeline.training.library_words import quiet
from pipeline.training.lora import NAME, adapter_tensors, write_adapter_files


def write_adapter(model: nn.Module, run: Path) -> None:
    """Write `adapter/` beside the merged model in `run`, with its classifier, config.json and processor.

    The classifier is that of the saved model, into which more may be folded. The classes are in config.json, because
    peft's own files do not name them.
    """
    given: Any = model
    folder, config, tensors = run / "adapter", given.peft_config[NAME], adapter_tensors(model) | _head(run)
    folder.mkdir(exist_ok=True)
    shutil.copyfile(run / PROCESSOR, folder / PROCESSOR)
    if given.timm_config is None:
        shutil.copyfile(run / CONFIG, folder / CONFIG)
    else:
        classes = list(given.config.id2label.values())
        described = json.dumps(_with_classes(given.timm_config, classes), indent=2, sort_keys=True)
        (folder / CONFIG).write_text(described + "\n", encoding="utf-8")
        tensors, ranks = lora_for_timm(tensors)
        config = copy.copy(config)
        config.target_modules, config.modules_to_save = set(ranks), ["timm_model.head"]
        config.alpha_pattern = {name: config.lora_alpha * rank / config.r for name, rank in ranks.items()}
        config.rank_pattern = ranks
    write_adapter_files(config, tensors, folder)


def _head(run: Path) -> dict[str, torch.Tensor]:
    """The classifier of the model in `run`, under the names of an adapter."""
    with quiet(), plain_folder(run) as place:
        whole = AutoModelForImageClassification.from_pretrained(place, dtype=torch.float32, trust_remote_code=False)
    head = head_parameters(whole)
    return {f"{PEFT}{name}": p.detach() for name, p in whole.named_parameters() if name in head}


def _with_classes(config: dict[str, Any], classes: list[str]) -> dict[str, Any]:
    """timm's config.json with other classes; transformers would pass a number of classes in `model_args` twice."""
    arguments = {name: value for name, value in (config.get("model_args") or {}).items() if name != "num_classes"}
    labels = {"label_names": classes, "id2label": id2label(classes), "label2id": label2id(classes)}
    return config | {"model_args": arguments or None, "num_classes": len(classes)} | labels
