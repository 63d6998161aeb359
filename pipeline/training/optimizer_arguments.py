"""`optim_args`, a text such as `momentum=0.9,nesterov=true`: every name in it must reach the optimizer.

Each optimizer of Trainer takes some names out of it and passes over all others without a word.
"""

import copy
from typing import Any

from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.training_args import OptimizerNames

from pipeline.errors import InputError

NOT_FINITE = ("nan", "inf", "infinity")
SWITCH = ("true", "false", "yes", "no", "1", "0")


def optimizer_class(args: TrainingArguments, model: PreTrainedModel) -> tuple[Any, dict[str, Any]]:
    """The optimizer of `args.optim` and its keywords, among them all that `args.optim_args` names.

    Raises:
        InputError: a name of `optim_args` changes nothing, is there twice, stands for a setting of the recipe, or has a
            number that is not finite.
    """
    given = _pairs(args.optim_args)
    kind, keywords = Trainer.get_optimizer_cls_and_kwargs(args, model)
    for name, value in given.items():
        if name in ("lr", "weight_decay"):
            raise InputError(f"optim_args: {name} is not read: use --{name.replace('lr', 'learning_rate')}")
        if value.lower().lstrip("+-") in NOT_FINITE:  # torch compares it with limits, and every comparison is false
            raise InputError(f"optim_args: {name} is {value}; it must be a finite number")
        if isinstance(keywords.get(name), bool) and value.lower() not in SWITCH:
            raise InputError(f"optim_args: {name} is {value!r}; it must be true or false")
        without = copy.copy(args)
        without.optim_args = ",".join(f"{other}={given[other]}" for other in given if other != name)
        if Trainer.get_optimizer_cls_and_kwargs(without, model) == (kind, keywords):
            raise InputError(
                f"optim_args: {name}={value} changes nothing of optim {OptimizerNames(args.optim).value}; leave it out"
            )
    return kind, keywords


def _pairs(text: str | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in (text or "").replace(" ", "").split(",") if text else ():
        name, equals, value = word.partition("=")
        if not (name and equals and value) or "=" in value:
            raise InputError(f"optim_args is {text!r}; write NAME=VALUE,NAME=VALUE")
        if name in pairs:
            raise InputError(f"optim_args names {name} twice; leave one out")
        pairs[name] = value
    return pairs
