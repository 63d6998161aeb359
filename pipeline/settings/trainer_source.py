"""The fields of `transformers.TrainingArguments`, read from its source: importing it would import torch (seconds)."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union

from pipeline.settings.kinds import OF_TRAINER, Free, Number, Text, Whole, YamlNo

# The words of an annotation that YAML can hold. A field whose annotation has other words is passed on as it is.
KINDS: dict[str, Any] = {
    "int": Whole,
    "float": Number,
    "bool": bool,
    "str": Text,
    "None": None,
    "dict": dict[Text, Free],
    "dict[str, Any]": dict[Text, Free],
    "dict[str, bool]": dict[Text, bool],
    "list[str]": list[Text],
}


class TrainerField(NamedTuple):
    """One field of TrainingArguments: the kind of its values by its annotation, and Trainer's own default."""

    kind: Any
    default: Any


@cache
def trainer_fields() -> dict[str, TrainerField]:
    """Name to field, for every field that TrainingArguments can be given."""
    arguments = _classes("training_args.py")["TrainingArguments"]
    choices = {name: _choices(body) for file in ("training_args.py", "trainer_utils.py") for name, body in _enums(file)}
    return {name: TrainerField(_kind(annotation, choices), default) for name, annotation, default in _fields(arguments)}


def _classes(file: str) -> dict[str, ast.ClassDef]:
    spec = find_spec("transformers")  # finds the package without importing it
    assert spec is not None and spec.origin is not None
    module = ast.parse(Path(spec.origin).with_name(file).read_text(encoding="utf-8"))
    return {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}


def _enums(file: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for name, node in _classes(file).items():
        if [ast.unparse(base) for base in node.bases] == ["ExplicitEnum"]:
            yield name, node


def _choices(enum: ast.ClassDef) -> Any:
    values = [ast.literal_eval(node.value) for node in enum.body if isinstance(node, ast.Assign)]
    return Annotated[Literal[tuple(values)], YamlNo, OF_TRAINER]


def _fields(arguments: ast.ClassDef) -> Iterator[tuple[str, str, Any]]:
    """Name, annotation and default of each field; a default that the source computes is None."""
    for node in arguments.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call):
            options = {option.arg: option.value for option in node.value.keywords}
            if "init" in options and not ast.literal_eval(options["init"]):
                continue
            yield node.target.id, ast.unparse(node.annotation), _default(options.get("default"))


def _default(node: ast.expr | None) -> Any:
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def _kind(annotation: str, choices: dict[str, Any]) -> Any:
    words = annotation.split(" | ")
    named = [choices[word] for word in words if word in choices]
    if named:  # `SchedulerType | str`: its values are the only texts that Trainer takes
        return named[0]
    if any(word.startswith("dict") for word in words):  # Trainer also takes JSON in a text; YAML has the mapping itself
        words = [word for word in words if word != "str"]
    return Union[tuple(KINDS[word] for word in words)] if KINDS.keys() >= set(words) else Free  # noqa: UP007
