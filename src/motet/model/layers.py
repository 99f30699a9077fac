"""The layers of an encoder, from the inputs upwards."""

import re
from collections.abc import Sequence

from torch import nn

from motet.problems import InputError

Layers = list[list[nn.Parameter]]
"""Parameters of each layer, the layer next to the inputs first."""

Sections = tuple[list[nn.Parameter], Layers, list[nn.Parameter]]
"""The modules before a chain of layers, the chain, and the modules after it."""


def layers_of(chain: Sequence[nn.Module]) -> Layers:
    """Find the layers of the encoder.

    They are the modules of its longest chain of modules: the layers of an ``nn.Sequential``, the
    blocks in an ``nn.ModuleList``, the layers of a recurrent network. What lies before them is a
    layer, too, with all embeddings; what lies after them belongs to the last. Encoders side by side
    have their last layers in common. A block that serves as every layer counts once.

    Args:
        chain: What ``model.sharing.chain()`` returns.

    Returns:
        The layers.

    Raises:
        InputError: If the tasks do not share one encoder as a whole.
    """
    if not chain:
        raise InputError(
            "layers of the encoder can be counted only where all tasks share it as a whole "
            "(sharing: hard); name parts of the model instead"
        )
    return [layer for module in chain for layer in _layers(module)]


def _layers(module: nn.Module) -> Layers:
    if isinstance(module, nn.RNNBase):
        return _recurrent(module)
    if isinstance(module, (nn.Sequential, nn.ModuleList)):
        children = [child for child in module.children() if any(True for _ in child.parameters())]
        return [layer for child in children for layer in _inside(child)]
    branches = getattr(module, "branches", None)
    if branches is not None:
        return _side_by_side([_layers(branch) for branch in branches()])
    if not (_is_deep(module) or _is_deep(module, least=1)):
        return [list(module.parameters())]
    before, layers, after = _sections(module)
    layers[-1] = [*layers[-1], *after]
    return [layer for layer in (before, *layers) if layer]


def _inside(module: nn.Module) -> Layers:
    return _layers(module) if _is_deep(module) else [list(module.parameters())]


def _is_deep(module: nn.Module, least: int = 2) -> bool:
    """Return whether a module has a chain of layers, which are modules with submodules."""
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


def _sections(module: nn.Module) -> Sections:
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
            first, chain, last = _sections(child)
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
