"""The one reader of YAML: plain values, of a bounded size, and one kind of error for all that is wrong.

PyYAML's safe loader runs no code. But aliases of aliases make a few lines into gigabytes as soon as somebody walks or
prints the value, and tags such as `!!bool x` or dates that do not exist raise whatever Python raises.
"""

from typing import Any

import yaml

LARGEST = 1_000_000
"""Values in one file, counted as often as aliases (`*name`) repeat them."""

LONGEST = 4_000
"""Characters of a number."""


def read_yaml(text: str, safe_loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The value of one YAML document; None for an empty one. A `safe_loader` may refuse more.

    Raises:
        yaml.YAMLError: it is not YAML, a value is not of the type that its tag or form says, an alias contains itself,
            or there are more than `LARGEST` values.
    """
    loader = safe_loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > LARGEST:
            raise yaml.YAMLError(f"more than {LARGEST:,} values, counted as often as aliases (*name) repeat them")
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("nested too deep") from None
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise yaml.YAMLError(f"a value is not of the type that it says ({type(error).__name__})") from None
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node holds; each node is visited once. `known`: the sizes so far, 0 for a node in progress."""
    if id(node) in known:
        if not known[id(node)]:
            raise yaml.YAMLError("an alias (*name) contains itself")
        return known[id(node)]
    known[id(node)] = 0
    if node.tag.endswith((":int", ":float")) and len(node.value) > LONGEST:
        raise yaml.YAMLError(f"a number of more than {LONGEST:,} characters")  # reading takes their square in time
    parts: list[Any] = node.value if isinstance(node, yaml.CollectionNode) else []
    inner = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
    known[id(node)] = 1 + sum(_size(part, known) for part in inner)
    return known[id(node)]
