"""YAML as settings are written in it: what PyYAML would decide silently is refused.

PyYAML keeps the last of two equal names, and reads `010` as 8 and `1:30` as 90, as YAML 1.1 says.
"""

import re
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.yaml_text import read_yaml

OTHER_BASE = re.compile(r"[-+]?0[0-7_]+|[-+]?\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?")
"""Numbers of base 8 and 60, which people write for something else."""


class Ambiguous(InputError):  # noqa: N818 (what is true of the text)
    """YAML that says something else than its writer means: `words` say what, in `line`."""

    def __init__(self, words: str, line: int) -> None:
        super().__init__(f"line {line}: {words}")
        self.words = words


def read_strictly(text: str) -> Any:
    """The value of a YAML document, of plain types only.

    Raises:
        Ambiguous: a name stands there twice, or a number has base 8 or 60.
        yaml.YAMLError: as `read_yaml`.
    """
    return read_yaml(text, _Loader)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without its silent decisions."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in first:
                raise Ambiguous(f"{key.value} stands there twice (first in line {first[name]}); keep one", line)
            first[name] = line
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        """A whole number or a float, of base 2, 10 or 16."""
        is_float = node.tag.endswith("float")
        number = self.construct_yaml_float(node) if is_float else self.construct_yaml_int(node)
        if OTHER_BASE.fullmatch(node.value):
            raise Ambiguous(
                f"YAML reads {node.value} as {number}; write a number without a leading 0 and without a colon, or text "
                "in quotes",
                node.start_mark.line + 1,
            )
        return number


for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_number)
