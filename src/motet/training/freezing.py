"""Parts that are not trained, from the start or until some epoch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from motet.adapting import fixed_parameters
from motet.model import MultiTaskModel
from motet.model.layers import layers_of
from motet.model.parts import find, summarised
from motet.options.mappings import LayerByLayer, PartsAt
from motet.problems import InputError


class Freezing:
    """Freezes parts of a model, and unfreezes them when their epoch begins.

    Args:
        model: The model; its parts are frozen at once.
        parts: What to freeze; see `motet.model.parts.find`.
        unfreeze: When to train it again: never if left out.
        frozen: Whether frozen modules compute as in evaluation or as in training.

    Raises:
        InputError: If a part does not exist, nothing is left to train, or something is to be
            unfrozen that is not frozen.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        parts: Sequence[str],
        unfreeze: LayerByLayer | Sequence[PartsAt] | None,
        frozen: Literal["evaluation", "training"],
    ) -> None:
        self._model = model
        self._parts = tuple(parts)
        if not parts and (unfreeze is not None or frozen != "evaluation"):
            what = "unfreeze" if unfreeze is not None else "frozen"
            raise InputError(
                "has no effect without freeze; give for example freeze: [encoder]", option=what
            )
        names = find(model, parts)
        model.freeze(*names, evaluation=frozen == "evaluation")
        if names and not any(parameter.requires_grad for parameter in model.parameters()):
            raise InputError(
                f"{', '.join(parts)} leaves nothing to train; remove one, for example the heads",
                option="freeze",
            )
        fixed = {id(parameter) for parameter in fixed_parameters(model)}
        thawed = [name for name in names if id(model.get_parameter(name)) not in fixed]
        self.plan: dict[int, list[str]] = {}
        """Names of the parameters that are unfrozen when an epoch begins, counted from 1."""
        if isinstance(unfreeze, Mapping):
            self.plan = _layer_by_layer(model, thawed, unfreeze["every"], unfreeze.get("layers", 1))
        elif unfreeze is not None:
            self.plan = _at_epochs(model, thawed, unfreeze)
        planned = {name for parts in self.plan.values() for name in parts}
        self.never = tuple(name for name in names if name not in planned)
        """Names of the parameters that are frozen for good."""

    @property
    def active(self) -> bool:
        """Whether anything is frozen, or was when training began."""
        return bool(self._parts or self._model.frozen)

    def begin(self, epoch: int) -> None:
        """Unfreeze what an epoch begins with."""
        self._model.unfreeze(*self.plan.get(epoch, ()))

    def check(self, epochs: int) -> None:
        """Refuse a plan that begins after the last epoch, and a model that is frozen altogether.

        Raises:
            InputError: If nothing would be unfrozen, or nothing trained.
        """
        if self._model.frozen and not any(p.requires_grad for p in self._model.parameters()):
            raise InputError(
                "every parameter of the model is frozen, so there is nothing to train; train a "
                'part of it again, for example with model.unfreeze("encoder")'
            )
        if self.plan and min(self.plan) > epochs:
            raise InputError(
                f"begins with epoch {min(self.plan)}, but there are {epochs} epochs; unfreeze "
                "earlier, or train longer",
                option="unfreeze",
            )

    def trained(self) -> dict[str, Any]:
        """Return how many parameters are trained, and which parts of the model."""
        return trained_parts(self._model)


def trained_parts(model: MultiTaskModel) -> dict[str, Any]:
    """Return how many parameters of a model are trained, and which parts."""
    found = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    return {"parameters": sum(found.values()), "parts": summarised(model, found)}


def _at_epochs(
    model: MultiTaskModel, frozen: Iterable[str], unfreeze: Sequence[PartsAt]
) -> dict[int, list[str]]:
    plan: dict[int, list[str]] = {}
    left = set(frozen)
    for each in unfreeze:
        names = [name for name in find(model, each["parts"]) if name in left]
        if not names:
            raise InputError(
                f"found {', '.join(each['parts'])} at epoch {each['epoch']}, where nothing of that "
                "is frozen; freeze it first, or remove it (what an adapter is beside stays frozen)",
                option="unfreeze",
            )
        plan[each["epoch"]] = [*plan.get(each["epoch"], ()), *names]
        left -= set(names)
    return plan


def _layer_by_layer(
    model: MultiTaskModel, frozen: Sequence[str], every: int, count: int
) -> dict[int, list[str]]:
    """Plan the last layers first, together with what comes after all layers."""
    place = {id(p): k for k, layer in enumerate(layers_of(model.sharing.chain()), 1) for p in layer}
    above = len(set(place.values())) + 1
    layers: dict[int, list[str]] = {}
    for name in frozen:
        layers.setdefault(place.get(id(model.get_parameter(name)), above), []).append(name)
    top = layers.pop(above, [])
    steps = sorted(layers, reverse=True)
    groups = [steps[start : start + count] for start in range(0, len(steps), count)]
    found = [[name for layer in group for name in layers[layer]] for group in groups] or [[]]
    found[0] = [*top, *found[0]]
    return {1 + every * number: names for number, names in enumerate(found, 1)}


def check_unfreezing(
    plan: Mapping[int, Iterable[str]], model: MultiTaskModel, balancers: Iterable[Any]
) -> None:
    """Refuse to unfreeze shared parameters under a balancer that remembers a number for each.

    Raises:
        InputError: If that is planned.
    """
    shared = {id(parameter) for parameter in model.shared_parameters()}
    planned = (name for names in plan.values() for name in names)
    if not any(id(model.get_parameter(name)) in shared for name in planned):
        return
    for balancer in balancers:
        if getattr(balancer, "column_state", ()):
            raise InputError(
                f"{type(balancer).__name__} remembers a number for each shared parameter, so none "
                "can join while training; leave unfreeze out, or choose another balancer"
            )
