"""Errors about names that a module does not have, as other libraries call things otherwise.

Each folder of the package raises `missing` in its ``__getattr__``, so that
``from motet.balancing import UncertaintyWeighting`` names what does the same here.
"""

import re
import sys

from motet.other_classes import CLASSES, METHODS
from motet.other_names import MEMBERS, plain
from motet.problems import nearest
from motet.registry import KINDS

_CREATED = {
    "balancer": "motet.balancing.create({name!r}, tasks)",
    "sharing": "motet.sharing.create({name!r})",
    "task": "motet.tasks.create({name!r}, name)",
    "fusion": "fusion={name!r} of motet.MultiTaskModel",
    "encoder": "motet.encoders.create({name!r}, ...)",
    "scheduler": "motet.scheduling.create({name!r}, tasks)",
    "loss": "loss={name!r} of a task",
}
"""How a member of a kind is made."""
_FOLDERS = {
    "motet.balancing": "balancer",
    "motet.sharing": "sharing",
    "motet.tasks": "task",
    "motet.encoders": "encoder",
    "motet.scheduling": "scheduler",
}
_ENDS = re.compile(
    r"(Balancer|Weighting|Loss|Sharing|Network|Networks|Head|Task|Encoder|Fusion|Scheduler)$"
)
_ALIKE = 0.8
"""How much a name is like the one that it may be a slip of, at least; see `difflib`."""
_IMPORTS = "<frozen importlib._bootstrap>"


def missing(module: str, name: str) -> Exception:
    """Return the error for a name that a module does not have.

    Args:
        module: The module's name.
        name: What it was asked for.

    Returns:
        An AttributeError. In ``from module import name``, which replaces the text of those, an
        ImportError where there is something to say.
    """
    message = f"module {module!r} has no attribute {name!r}"
    here = instead_of(name, _FOLDERS.get(module))
    importing = sys._getframe(2).f_code.co_filename == _IMPORTS
    near = None
    if here is None and not (name.startswith("_") or (importing and name.islower())):  # a module
        near = nearest(name, getattr(sys.modules.get(module), "__all__", ()), alike=_ALIKE)
    if here is None and near is None:
        return AttributeError(message, name=name, obj=sys.modules.get(module))
    message = f"{message}; use {here}" if here else f"{message}; did you mean {near!r}?"
    if importing:
        return ImportError(message, name=name)
    return AttributeError(message, name=name)


def no_method(owner: object, name: str) -> AttributeError:
    """Return the error for a method that an object does not have."""
    kind = type(owner).__name__
    here = METHODS.get(kind, {}).get(name)
    use = f"; use {here}" if here else ""
    message = f"{kind!r} object has no attribute {name!r}{use}"
    return AttributeError(message, name=name, obj=owner)


def instead_of(name: str, kind: str | None = None) -> str | None:
    """Return what does here what other libraries have a class or function for.

    Args:
        name: Its name.
        kind: The kind of member that it is likely to be.

    Returns:
        What to use, None if nothing is known.

    Example:
        >>> instead_of("DynamicWeightAverage")
        "motet.balancing.create('dwa', tasks)"
    """
    if name in CLASSES:
        return CLASSES[name]
    if not name[:1].isupper():  # a module, or what Python itself looks for
        return None
    for spelt in (plain(name), plain(_ENDS.sub("", name))):
        for each in sorted(_CREATED, key=lambda each: each != kind):
            member = _member(each, spelt)
            if member is not None:
                return _CREATED[each].format(name=member)
    return None


def _member(kind: str, spelt: str) -> str | None:
    own = {plain(member): member for member in KINDS[kind].at_hand()}
    others = MEMBERS.get(kind, {}).get(spelt, ())
    return own.get(spelt) or next((each for each in others if each in KINDS[kind]), None)
