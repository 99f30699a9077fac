"""Parts of a model by name: what can be frozen, or have its own learning rate."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Protocol

from torch import nn

from motet.encoders import Joined
from motet.model.ownership import Ownership
from motet.problems import InputError, hint
from motet.sharing import ByTask
from motet.tasks import Task

INPUTS = "inputs."
"""What a part begins with that is the encoder of an input."""


class Parts(Protocol):
    """What `find` needs of a model."""

    ownership: Ownership
    tasks: ByTask[Task]

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def named_modules(self) -> Iterator[tuple[str, nn.Module]]: ...
    def modules(self) -> Iterator[nn.Module]: ...
    def shared_parameters(self) -> list[nn.Parameter]: ...
    def task_parameters(self, task: str) -> list[nn.Parameter]: ...


def find(model: Parts, parts: Iterable[str]) -> list[str]:
    """Find the parameters of parts of a model.

    Args:
        model: The model.
        parts: "encoder" (all that tasks share), "pretrained" (pretrained encoders),
            "inputs.NAME" (the encoder of an input that has its own, or "inputs.table", that of
            numbers and categories), a task (its own parameters), the name of a parameter or module,
            or a pattern of such names in which ``*`` stands for anything.

    Returns:
        Names of parameters, in the model's order, each once.

    Raises:
        InputError: If a part is not a name or has no parameter; the message has similar names.
    """
    found: set[str] = set()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    known = set(names.values())
    for part in parts:
        if not isinstance(part, str):
            raise InputError(f"found {part!r} as a part of the model, expected names, one by one")
        if part in known:
            found.add(part)
            continue
        own = {names[id(parameter)] for parameter in _named(model, part)}
        own |= {name for name in known if _matches(name, part)}
        if not own:
            raise InputError(_unknown(model, part))
        found |= own
    return [name for name in names.values() if name in found]


def summarised(model: nn.Module, chosen: Iterable[str]) -> list[str]:
    """Name parameters briefly: a module in place of all that it has.

    Returns:
        Names of modules and parameters, in the model's order.
    """
    return list(_summarised(model, "", set(chosen)))


def _named(model: Parts, part: str) -> list[nn.Parameter]:
    if part == "encoder":
        model.ownership.require_known("'encoder'")
        return model.shared_parameters()
    if part == "pretrained":
        modules = (m for m in model.modules() if getattr(m, "is_pretrained", False))
        return [parameter for module in modules for parameter in module.parameters()]
    if part.startswith(INPUTS):
        found = [each for name, each in _of_inputs(model) if fnmatchcase(name, part)]
        return [parameter for encoder in found for parameter in encoder.parameters()]
    return model.task_parameters(part) if part in model.tasks.names else []


def _of_inputs(model: Parts) -> Iterator[tuple[str, nn.Module]]:
    """Yield the encoder of each input as a part; all of those that sharing has copied."""
    for joined in model.modules():
        if isinstance(joined, Joined):
            for name, encoder in zip(joined.fusion.names, joined.branches(), strict=True):
                yield INPUTS + name, encoder


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _unknown(model: Parts, part: str) -> str:
    if part == "encoder":
        return "the tasks share no parameter; name tasks instead of 'encoder'"
    if part == "pretrained":
        return "no encoder is pretrained; name other parts instead of 'pretrained'"
    if part in model.tasks.names:
        return f"task {part!r} has no parameter of its own"
    of_inputs = list(dict.fromkeys(name for name, _ in _of_inputs(model)))
    if part in of_inputs:
        return f"the encoder of {part} has no parameter, so there is nothing to freeze; remove it"
    if part.startswith(INPUTS):
        if not of_inputs:
            return f"found {part!r}, but one encoder reads all inputs; name 'encoder' instead"
        closest = hint(part, of_inputs)
        return f"found {part!r}, expected an input with its own encoder, or inputs.table; {closest}"
    known = ["encoder", "pretrained", *of_inputs, *model.tasks.names]
    known += [name for name, module in model.named_modules() if name and _has_parameters(module)]
    known += [name for name, _ in model.named_parameters()]
    near = get_close_matches(part, known, n=6, cutoff=0.4)
    more = f"; also near: {', '.join(near[1:])}" if near[1:] else ""
    return (
        f"the model has no part {part!r}; {hint(part, near or known[:6])}{more}; expected encoder, "
        "pretrained, inputs.NAME, a task, or a name or pattern of parameters or modules"
    )


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _summarised(module: nn.Module, name: str, chosen: set[str]) -> Iterator[str]:
    prefix = f"{name}." if name else ""
    own = [prefix + each for each, _ in module.named_parameters()]
    if own and name and chosen.issuperset(own):
        yield name
        return
    yield from (
        prefix + n for n, _ in module.named_parameters(recurse=False) if prefix + n in chosen
    )
    for child, each in module.named_children():
        if not chosen.isdisjoint(f"{prefix}{child}.{n}" for n, _ in each.named_parameters()):
            yield from _summarised(each, prefix + child, chosen)
