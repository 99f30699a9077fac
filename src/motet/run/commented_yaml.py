"""YAML with a comment beside each line, as `motet init` writes it."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Line = tuple[str, str]
"""YAML, and the comment beside it."""

_WIDEST = 44
"""Column at which comments begin, unless the line itself is longer."""
_PLAIN = re.compile(r"(motet://)?[A-Za-z_]([\w ./-]*\w)?", re.ASCII)
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
"""Texts that some YAML parsers read as another type."""


def aligned(section: Iterable[Line]) -> str:
    """Write lines with their comments below each other."""
    lines = list(section)
    width = min(_WIDEST, max(len(line) for line, comment in lines if comment))
    return "".join(
        f"{line:<{width}}  # {comment}\n" if comment else f"{line}\n" for line, comment in lines
    )


def on_one_line(value: Any) -> str:
    """Write a value on one line, so that every YAML parser reads the same value."""
    if isinstance(value, Mapping):
        entries = (f"{on_one_line(key)}: {on_one_line(each)}" for key, each in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(on_one_line, value)) + "]"
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        quoted = json.dumps(value, ensure_ascii=False)
        return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
    text = json.dumps(value)
    return text.replace("e", ".0e") if isinstance(value, float) and "." not in text else text
