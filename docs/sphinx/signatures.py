"""How signatures and docstrings of attributes are shown."""

import inspect
import typing
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.inspect import stringify_signature


def shown(
    app: Sphinx, what: str, name: str, member: Any, options: Any, signature: str, returned: str
) -> tuple[str, str | None] | None:
    """Return a signature with types as a reader knows them, without what only checks them."""
    if hasattr(member, "model_fields"):
        return "(**sections)", None
    function = member.__init__ if inspect.isclass(member) else member
    try:
        hints = typing.get_type_hints(function)
        found = inspect.signature(member)
    except (NameError, TypeError, ValueError):  # types that only a checker imports
        return None
    parameters = list(found.parameters.values())
    if what == "method" and parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    plain = [
        each.replace(annotation=hints.get(each.name, each.empty), default=_default(each))
        for each in parameters
    ]
    result = found.replace(parameters=plain, return_annotation=inspect.Signature.empty)
    text = stringify_signature(result, unqualified_typehints=True, short_literals=True)
    return text, returned


def _default(parameter: inspect.Parameter) -> Any:
    """Return a default whose text is short."""
    default = parameter.default
    return default if default is parameter.empty or len(repr(default)) < 60 else _Dots()


class _Dots:
    def __repr__(self) -> str:
        return "..."


def keep_colons(
    app: Sphinx, what: str, name: str, member: Any, options: Any, lines: list[str]
) -> None:
    """Keep napoleon from reading a sentence with a colon as a type and a description."""
    if what in ("attribute", "data", "property"):
        lines.insert(0, "")
