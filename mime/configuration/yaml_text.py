"""YAML as its current version has it, 1.2, where the older one that PyYAML reads would give other numbers."""

import re
from typing import Any

import yaml

FLOAT = "tag:yaml.org,2002:float"


def parse_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        ValueError: If it is not YAML, gives a key twice, or holds what YAML 1.1 and 1.2 read as different numbers.
    """
    try:
        return yaml.load(text, _Loader)
    except _Ambiguous:
        raise
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {' '.join(str(error).split())}") from None
    except (ValueError, RecursionError) as error:  # Of a date or a number that cannot be; of lists without end.
        raise ValueError(f"is not YAML: {error}") from None


class _Ambiguous(ValueError):
    """YAML that means one thing to some readers, and another to others."""


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            line = _line(key)
            name = key.tag, str(key.value)
            if isinstance(key, yaml.ScalarNode) and name in lines:
                first = lines[name]
                raise _Ambiguous(f"{key.value} is given twice, in lines {first} and {line}; leave one of them out")
            lines[name] = line
        return node

    def unambiguous(self, node: yaml.ScalarNode) -> Any:
        """A number that is the same in both versions: no octal one with a leading 0, none to the base of 60."""
        if ":" in node.value or re.fullmatch(r"[-+]?0[0-9_]+", node.value):
            raise _Ambiguous(
                f"line {_line(node)}: {node.value} is one number in YAML 1.1 and another, or text, in 1.2;"
                f' write a decimal number, or "{node.value}" for text'
            )
        return self.construct_yaml_float(node) if node.tag == FLOAT else self.construct_yaml_int(node)


def _line(node: yaml.Node) -> int:
    return 0 if node.start_mark is None else node.start_mark.line + 1


for tag in (FLOAT, "tag:yaml.org,2002:int"):
    _Loader.add_constructor(tag, _Loader.unambiguous)
# YAML 1.1 takes 1e-3 for text.
_Loader.add_implicit_resolver(
    FLOAT, re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)
