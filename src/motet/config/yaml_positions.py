"""YAML with the line and column of every key and value.

YAML 1.2's core rules for plain scalars: only ``true`` and ``false`` are booleans (a column may be
called ``no``), and ``1e-3`` is a number.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from motet.limits import ALIASED_VALUES

Path = tuple[str | int, ...]


class Position(NamedTuple):
    """A place in a file, counted from 1."""

    line: int
    column: int


class Document(NamedTuple):
    """A parsed file: plain data, the position of each key and value, and repeated keys."""

    data: Any
    keys: dict[Path, Position]
    values: dict[Path, Position]
    doubled: list[tuple[Path, Position]]


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # the name and type PyYAML asks for
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag.rpartition(":")[2] not in ("bool", "float", "int", "timestamp")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_NUMBER = r"[-+]?(\d[\d_]*)"
for tag, pattern, starts in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", rf"{_NUMBER}", "-+0123456789"),
    (
        "float",
        r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^({pattern})$"), starts)
_Loader.add_constructor(  # PyYAML reads 010 as octal; YAML 1.2 does not
    "tag:yaml.org,2002:int", lambda loader, node: int(node.value.replace("_", ""))
)


def parse(text: str) -> Document:
    """Parse one YAML document.

    Returns:
        Its data and positions; data are None if it is empty.

    Raises:
        yaml.MarkedYAMLError: If the text is not YAML.
        ValueError: If its aliases stand for too many values.
    """
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        document = Document(None, {}, {}, [])
        if root is None:
            return document
        _limit_aliases(root)
        for path, key, value in _walk(root, ()):
            if key is not None:
                if path in document.keys:
                    document.doubled.append((path, _position(key)))
                document.keys[path] = _position(key)
            document.values.setdefault(path, _position(value))
        return document._replace(data=loader.construct_document(root))
    finally:
        loader.dispose()


def parse_value(text: str) -> Any:
    """Parse a single value, such as the right side of ``key=value``."""
    return yaml.load(text, Loader=_Loader)  # a SafeLoader


def _limit_aliases(root: Any) -> None:
    sizes: dict[int, int] = {}

    def size(node: Any) -> int:
        """Count the values of a node, those of aliases each time."""
        if id(node) not in sizes:
            inner = 0
            if isinstance(node, yaml.MappingNode):
                inner = sum(size(key) + size(value) for key, value in node.value)
            elif isinstance(node, yaml.SequenceNode):
                inner = sum(map(size, node.value))
            sizes[id(node)] = 1 + inner
        return sizes[id(node)]

    aliased = size(root) - len(sizes)
    if aliased > ALIASED_VALUES:
        raise ValueError(f"its aliases stand for {aliased:.2g} values, at most {ALIASED_VALUES:,}")


def _walk(node: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    if not path:
        yield path, None, node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            child = (*path, str(key.value))
            yield child, key, value
            yield from _walk(value, child)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, index), None, value
            yield from _walk(value, (*path, index))


def _position(node: Any) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
