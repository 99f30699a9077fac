"""Parts of a model by name, and the layers of its encoder from the inputs upwards."""

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from torch import nn

from motet.problems import InputError, hint

if TYPE_CHECKING:
    from motet.model.multi_task_model import MultiTaskModel

Layers = list[list[nn.Parameter]]
"""Parameters of each layer, the layer next to the inputs first."""


def find(model: "MultiTaskModel", parts: Iterable[str]) -> list[str]:
    """Find the parameters of parts of a model.

    Args:
        model: The model.
        parts: "encoder" (all that tasks share), "pretrained" (encoders that were trained before),
            a task (its own parameters), the name of a parameter or module, or a pattern of such
            names in which ``*`` stands for anything.

    Returns:
        Names of parameters, in the model's order, each once.

    Raises:
        InputError: If a part is no name or has no parameter; the message tells names that are near.
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


def summarised(model: "MultiTaskModel", chosen: Iterable[str]) -> list[str]:
    """Name parameters briefly: a module in place of all that it has.

    Returns:
        Names of modules and parameters, in the model's order.
    """
    return list(_summarised(model, "", set(chosen)))


def layers_of(model: "MultiTaskModel") -> Layers:
    """Find the layers of the encoder.

    They are the parts of its longest chain of modules: the layers of an ``nn.Sequential``, the
    blocks in an ``nn.ModuleList``, the layers of a recurrent network. What lies before them is a
    layer, too, with all embeddings; what lies after them belongs to the last. Encoders side by side
    have their last layers in common. A block that serves as every layer counts once.

    Returns:
        The layers.

    Raises:
        InputError: If the tasks do not share one encoder as a whole.
    """
    chain = model.sharing.chain()
    if not chain:
        raise InputError(
            "layers of the encoder can be counted only where all tasks share it as a whole "
            "(sharing: hard); name parts in place of counting layers"
        )
    return [layer for module in chain for layer in _layers(module)]


def require_known_owners(model: "MultiTaskModel", what: str) -> None:
    """Refuse to speak of what tasks share where shared and own parameters look alike.

    Raises:
        InputError: If the model is a wrapped module whose heads are not named.
    """
    if not model.ownership.known:
        raise InputError(
            f"{what} is unknown: a wrapped module does not show which of its parameters are heads; "
            "name each task's part with MultiTaskModel.wrap(module, tasks, heads={task: "
            "module.part}), nn.Identity() for a task without one, or name parts of the module"
        )


# Names -----------------------------------------------------------------------------------------


def _named(model: "MultiTaskModel", part: str) -> list[nn.Parameter]:
    if part == "encoder":
        require_known_owners(model, "'encoder'")
        return model.shared_parameters()
    if part == "pretrained":
        modules = (m for m in model.modules() if getattr(m, "is_pretrained", False))
        return [parameter for module in modules for parameter in module.parameters()]
    return model.task_parameters(part) if part in model.tasks.names else []


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _unknown(model: "MultiTaskModel", part: str) -> str:
    if part == "encoder":
        return "the tasks share no parameter; name tasks in place of 'encoder'"
    if part == "pretrained":
        return "no encoder was trained before; name other parts in place of 'pretrained'"
    if part in model.tasks.names:
        return f"task {part!r} has no parameter of its own"
    known = ["encoder", "pretrained", *model.tasks.names]
    known += [name for name, module in model.named_modules() if name and _has_parameters(module)]
    known += [name for name, _ in model.named_parameters()]
    near = get_close_matches(part, known, n=6, cutoff=0.4)
    more = f"; also near: {', '.join(near[1:])}" if near[1:] else ""
    return (
        f"the model has no part {part!r}; {hint(part, near or known[:6])}{more}. Expected encoder, "
        "pretrained, a task, or a name or pattern of parameters or modules"
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


Parted = tuple[list[nn.Parameter], Layers, list[nn.Parameter]]
"""What lies before a chain of layers, the chain, and what comes after it."""


# Layers ----------------------------------------------------------------------------------------


def _layers(module: nn.Module) -> Layers:
    if isinstance(module, nn.RNNBase):
        return _recurrent(module)
    if isinstance(module, (nn.Sequential, nn.ModuleList)):
        children = [child for child in module.children() if _has_parameters(child)]
        return [layer for child in children for layer in _inside(child)]
    branches = getattr(module, "branches", None)
    if branches is not None:
        return _side_by_side([_layers(branch) for branch in branches()])
    if not (_is_deep(module) or _is_deep(module, least=1)):
        return [list(module.parameters())]
    before, layers, after = _parted(module)
    layers[-1] = [*layers[-1], *after]
    return [layer for layer in (before, *layers) if layer]


def _inside(module: nn.Module) -> Layers:
    return _layers(module) if _is_deep(module) else [list(module.parameters())]


def _is_deep(module: nn.Module, least: int = 2) -> bool:
    """Tell whether a module has a chain of layers, which are modules with parts themselves."""
    for each in module.modules():
        if isinstance(each, nn.RNNBase) and each.num_layers >= least:
            return True
        if hasattr(each, "branches"):
            return True
        if isinstance(each, (nn.Sequential, nn.ModuleList)):
            kinds = [type(child) for child in each if any(True for _ in child.children())]
            if len(kinds) > len(set(kinds)):
                return True
            if least == 1 and len(kinds) == len(each) == 1 and isinstance(each, nn.ModuleList):
                return True  # a list of one block: of a model with one layer, or the same for all
    return False


def _parted(module: nn.Module) -> "Parted":
    # embeddings are next to the inputs wherever they are listed: those of relative positions serve
    # every layer
    if isinstance(module, (nn.RNNBase, nn.Sequential, nn.ModuleList)) or hasattr(
        module, "branches"
    ):
        return [], _layers(module), []
    least = 2 if _is_deep(module) else 1
    layers: Layers = []
    before, after = list(module.parameters(recurse=False)), list[nn.Parameter]()
    for name, child in module.named_children():
        if _is_deep(child, least):
            first, chain, last = _parted(child)
            if layers:
                layers.append([*after, *first])
            else:
                before += first
            layers += chain
            layers[-1] = [*layers[-1], *last]
            after = []
        else:
            whole = "embed" in name and "norm" in name  # BART lists its norm of embeddings last
            embeddings = _embeddings(child)
            for parameter in child.parameters():
                early = whole or not layers or id(parameter) in embeddings
                (before if early else after).append(parameter)
    return before, layers, after


def _embeddings(module: nn.Module) -> set[int]:
    found = (m for m in module.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag)))
    return {id(parameter) for each in found for parameter in each.parameters()}


def _recurrent(module: nn.RNNBase) -> Layers:
    layers: Layers = [[] for _ in range(module.num_layers)]
    for name, parameter in module.named_parameters():
        found = re.search(r"_l(\d+)", name)
        layers[int(found[1]) if found else 0].append(parameter)
    return layers


def _side_by_side(branches: Sequence[Layers]) -> Layers:
    """Join layers that are equally far from the end."""
    most = max(map(len, branches))
    return [
        [p for each in branches if len(each) >= place for p in each[len(each) - place]]
        for place in range(most, 0, -1)
    ]
