"""The public names of a module, each documented at one place: the module nearest to `motet`."""

import collections.abc
import inspect
import typing
from importlib import import_module
from typing import Any

import typing_extensions

from motet.options import Default, read_typed_dict

DOCUMENTED: list[str] = []
"""The modules that have a page."""


def markdown(module: str) -> str:
    """Return the documentation of what a module exports, from docstrings."""
    found = import_module(module)
    own = [name for name in found.__all__ if not _is_foreign(name, getattr(found, name))]
    entries = [_entry(module, name) for name in own]
    return "\n\n".join([_rest(inspect.cleandoc(found.__doc__ or "")), *entries])


def without_page() -> list[str]:
    """Return the public modules that have no page."""
    motet = import_module("motet")
    modules = [f"motet.{name}" for name in motet.__all__ if inspect.ismodule(getattr(motet, name))]
    return [module for module in ("motet", *modules) if module not in DOCUMENTED]


def _entry(module: str, name: str) -> str:
    member = getattr(import_module(module), name)
    if inspect.ismodule(member):
        page = f"{name}.md"
        return f"- [`{module}.{name}`]({page}): {_first_line(member)}"
    home = _home(name, member)
    if home != module:
        return f"- `{name}`: see {{py:obj}}`{home}.{name}`"
    if _has_defaults(member):
        return _keys(module, name, member)
    if not (inspect.isclass(member) or inspect.isroutine(member)):
        return f"- `{name}`: `{member!r}`"
    text = _rest(f".. {_directive(member)}:: {module}.{name}\n{_options(member)}")
    keys = "\n\nIts keys are those of [a config](config_options.md)."
    return text + keys if name == "Config" else text


def _has_defaults(member: Any) -> bool:
    """Return whether it is a mapping of options, each with a default."""
    if not typing_extensions.is_typeddict(member):
        return False
    hints = typing.get_type_hints(member, include_extras=True).values()
    marks = [getattr(each, "__metadata__", ()) for each in hints]
    return all(any(isinstance(mark, Default) for mark in each) for each in marks)


def _keys(module: str, name: str, member: Any) -> str:
    """Return the keys of a mapping of options."""
    keys = read_typed_dict(f"{member.__module__}:{member.__qualname__}")
    about = inspect.cleandoc(member.__doc__ or "")
    lines = [f"- `{each.name}`, by default `{each.default!r}`: {each.description}" for each in keys]
    return "\n".join([f"**{module}.{name}**. {about}\n", *lines])


def _is_foreign(name: str, member: Any) -> bool:
    places = (typing, typing_extensions, collections.abc)
    return any(getattr(place, name, None) is member for place in places)


def _home(name: str, member: Any) -> str:
    """Return the module with the fewest dots that exports a name and has a page."""
    modules = [import_module(module) for module in DOCUMENTED]
    having = [each.__name__ for each in modules if name in each.__all__]
    same = [each for each in having if getattr(import_module(each), name) is member]
    return min(same, key=lambda each: each.count("."))


def _directive(member: Any) -> str:
    if inspect.isclass(member):
        return "autoexception" if issubclass(member, Exception) else "autoclass"
    return "autofunction"


def _options(member: Any) -> str:
    if not inspect.isclass(member):
        return ""
    members = "" if hasattr(member, "model_fields") else f"   :members:\n{_inherited(member)}"
    return f"{members}   :show-inheritance:\n"


def _inherited(member: type) -> str:
    """Let members of bases without an entry of their own be documented with the class."""
    _, *bases = member.__mro__
    elsewhere = [
        base.__name__
        for base in bases
        if not base.__module__.startswith("motet.") or _is_public(base)
    ]
    if len(elsewhere) == len(bases):
        return ""
    return f"   :inherited-members: {','.join(elsewhere)}\n"


def _is_public(member: type) -> bool:
    modules = [import_module(module) for module in DOCUMENTED]
    return any(getattr(each, member.__name__, None) is member for each in modules)


def _first_line(module: Any) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def _rest(text: str) -> str:
    return f"```{{eval-rst}}\n{text}\n```"
