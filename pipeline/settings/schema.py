"""What is known of a setting, in words: the same for errors, `--help` and the docs."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo

from pipeline.settings.kinds import OF_TRAINER

SHOWN = 80  # characters of a wrong value in an error
WORDS = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
    dict: "a mapping such as {name: value}",
}


class Setting(NamedTuple):
    """One setting as people read of it. `kind` may be annotated with its range."""

    name: str
    kind: Any
    default: Any
    group: str
    unit: str
    help: str
    task: str = ""  # the only task that it is a setting of; empty for every task

    @classmethod
    def of(cls, name: str, field: FieldInfo) -> "Setting":
        """The setting of a pydantic field that was declared with `about` or `setting`."""
        kind = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        extra: Any = field.json_schema_extra or {"group": "", "unit": ""}
        return cls(name, kind, field.get_default(call_default_factory=True), **extra, help=field.description or "")

    @property
    def is_switch(self) -> bool:
        """Whether `--name` without a value means true."""
        return bool in flat(self.kind)

    @property
    def is_text(self) -> bool:
        """Whether its value is text, or null."""
        return set(flat(self.kind)) <= {str, NoneType}

    @property
    def value(self) -> str:
        """What its value must be, in words."""
        return in_words(self.kind)

    @property
    def default_in_words(self) -> str:
        """The default as it is written in a recipe."""
        if self.default is None:
            return "null"
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)


def about(group: str, help: str, unit: str = "", **limits: Any) -> Any:
    """What pydantic keeps of a setting: its range (`ge`, `gt`, `le`, `lt`) and the words for `--help` and the docs."""
    return Field(description=help, json_schema_extra={"group": group, "unit": unit}, **limits)


def setting(default: Any, group: str, help: str, unit: str = "", task: str = "", **limits: Any) -> Any:
    """`about`, with a default: a field of a pydantic dataclass in one line; `task` is the only one that has it."""
    extra: Any = {"group": group, "unit": unit, "task": task}
    if isinstance(default, list | dict):  # each recipe has its own
        return Field(default_factory=default.copy, description=help, json_schema_extra=extra, **limits)
    return Field(default=default, description=help, json_schema_extra=extra, **limits)


def flat(kind: Any) -> Iterator[Any]:
    """The members of a union, without their annotations."""
    if get_origin(kind) is Annotated:
        yield from flat(kind.__origin__)
    elif get_origin(kind) in (Union, UnionType):
        for member in get_args(kind):
            yield from flat(member)
    else:
        yield kind


def in_words(kind: Any, limits: Sequence[Any] = ()) -> str:
    """What a value of this kind must be, such as "a number from 0 to 1 or null"."""
    origin = get_origin(kind)
    if origin is Annotated:
        return in_words(kind.__origin__, [*limits, *kind.__metadata__])
    if origin in (Union, UnionType):
        return " or ".join(in_words(member, limits) for member in get_args(kind))
    if origin is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        if OF_TRAINER in limits:
            choices[4:] = ["..."]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    if kind in (int, float):
        return " ".join(filter(None, [WORDS[kind], _range(limits)]))
    if origin is dict and {int, float} & set(flat(get_args(kind)[1])):
        return f"a mapping of names to {in_words(get_args(kind)[1])}"
    if origin is list:
        inside = set(flat(get_args(kind)[0]))
        return "a list of " + ("names" if str in inside else "finite numbers" if {int, float} & inside else "mappings")
    return WORDS.get(origin or kind, "a value")


def _range(limits: Sequence[Any]) -> str:
    """The range in words: from 0 to 1, above 0, of at least 0 and below 1."""
    found: dict[str, Any] = {}
    for limit in limits:
        for each in limit.metadata if isinstance(limit, FieldInfo) else [limit]:
            found |= {name: getattr(each, name) for name in ("ge", "gt", "le", "lt") if hasattr(each, name)}
    if {"ge", "le"} <= found.keys():
        return f"from {found['ge']} to {found['le']}"
    words = {"ge": "of at least", "gt": "above", "le": "at most", "lt": "below"}
    return " and ".join(f"{words[name]} {found[name]}" for name in words if name in found)


def one_line(error: ValidationError, kinds: Mapping[str, Any]) -> str:
    """The first mistake that pydantic found: which setting, its value, and what it must be.

    Args:
        error: what pydantic raised.
        kinds: name of a setting to its kind.
    """
    mistakes = error.errors(include_url=False)
    mistake = next((each for each in mistakes if each["type"] == "value_error"), mistakes[0])
    name, *inside = (str(part) for part in mistake["loc"])
    if name not in kinds:
        return f"unknown setting {name}"
    if mistake["type"] == "value_error":
        return f"{name} {mistake['ctx']['error']}"
    kind, *others = flat(kinds[name])
    if inside and not others and get_origin(kind) in (list, dict):
        element = get_args(kind)[-1]
        where = f"entry {int(inside[0]) + 1}" if get_origin(kind) is list else inside[0]
        hint = " (YAML reads yes, no, on and off so: write the word in quotes)"
        word = hint if isinstance(mistake["input"], bool) and str in flat(element) else ""
        return f"{name}: {where} is {_shown(mistake['input'])}; it must be {in_words(element)}{word}"
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    near = get_close_matches(str(mistake["input"]).lower(), [str(choice) for choice in choices], n=1)
    nearest = f"; the nearest is {near[0]}" if near else ""
    return f"{name} is {_shown(mistake['input'])}; it must be {in_words(kinds[name])}{nearest}"


def _shown(value: Any) -> str:
    """A value as it is written, or its beginning."""
    written = repr(value)
    return written if len(written) <= SHOWN else f"{written[:SHOWN]}..."
