"""The shared parameters in groups by layer, on which task gradients are compared."""

from collections.abc import Sequence

from torch import nn

from motet.model import MultiTaskModel
from motet.model.layers import layers_of

MOST = 32
"""Most groups where they follow from the names of modules."""

Groups = dict[str, list[nn.Parameter]]


def layer_groups(model: MultiTaskModel, parameters: Sequence[nn.Parameter]) -> Groups:
    """Group parameters by layer.

    Args:
        model: The model.
        parameters: Some of its parameters.

    Returns:
        Parameters by name of the group: "layer 1", "layer 2", ... from the inputs upwards where all
        tasks share one encoder, and for other parameters the names of modules, as deep as they can
        be with at most `MOST` groups.
    """
    wanted = {id(parameter) for parameter in parameters}
    chain = model.sharing.chain()
    groups: Groups = {}
    for number, layer in enumerate(layers_of(chain) if chain else (), 1):
        own = [each for each in layer if id(each) in wanted]
        wanted -= set(map(id, own))
        if own:
            groups[f"layer {number}"] = own
    names = {id(each): name for name, each in model.named_parameters()}
    rest = {names[id(each)]: each for each in parameters if id(each) in wanted}
    return groups | _by_module(rest)


def _by_module(parameters: dict[str, nn.Parameter]) -> Groups:
    paths = {name: name.removeprefix("sharing.").split(".")[:-1] for name in parameters}
    deepest = max(map(len, paths.values()), default=0)
    for depth in range(deepest, -1, -1):
        groups: Groups = {}
        for name, parameter in parameters.items():
            groups.setdefault(".".join(paths[name][:depth]) or "sharing", []).append(parameter)
        if len(groups) <= MOST:
            break
    return groups
