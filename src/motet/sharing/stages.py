"""A backbone, cut into stages that are called one after the other.

Schemes that split a network, or need several of a kind, work on `Stages`. They come from a module
that lists them, an ``nn.Sequential``, a list, or a function that builds any of these anew.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Union, final, overload

from torch import Tensor, nn

from motet.figures import counted
from motet.problems import InputError
from motet.sharing.features import Features, features_between, unsized_layers
from motet.sharing.first_weights import draw_first_weights
from motet.states import Gives, record_of

Backbone = Union[nn.Module, Sequence[nn.Module], Callable[[], Any]]  # noqa: UP007  # at run time
"""What a user may give for an encoder."""

_HOW = (
    "give for the encoder an nn.Sequential, a list of modules that are called one after the other, "
    "a module that lists them in an attribute `stages`, or a function that makes one of these"
)


@final
class Stages(Sequence[nn.Module]):
    """Stages of a backbone; the first takes the inputs, the last returns (B, D)."""

    def __init__(
        self,
        modules: Sequence[nn.Module],
        features: Sequence[Features | None],
        whole: nn.Module | None = None,
        make: Callable[[], Sequence[nn.Module]] | None = None,
        more: str | None = None,
    ) -> None:
        self._modules, self._features = list(modules), list(features)
        self._more = more
        self.whole = whole
        """The module that was cut, if it was one; calling it is calling the stages in turn."""
        self._make = make

    @staticmethod
    def of(backbone: Backbone) -> "Stages":
        """Cut a backbone into its stages.

        Args:
            backbone: A module: its ``stages`` if these are all of it, the layers of an
                ``nn.Sequential`` (each with what follows it and has no weight matrix: activation,
                norm, dropout), else the module as one stage. Or a list of stages. Or a function
                without arguments that makes one of these, called again for each copy.

        Returns:
            The stages.

        Raises:
            InputError: If it is none of these, or has lazy layers that have not seen a batch.
        """
        if isinstance(backbone, Stages):
            return backbone
        if isinstance(backbone, nn.Module) and not isinstance(backbone, nn.ModuleList):
            _require_sizes(backbone)
            return _staged(_cut(backbone), backbone)
        if isinstance(backbone, (Sequence, nn.ModuleList)) and not isinstance(backbone, str):
            modules = list(backbone)
            if modules and all(isinstance(module, nn.Module) for module in modules):
                _require_sizes(nn.ModuleList(modules))
                return _staged(modules)
        elif callable(backbone):
            made = backbone()
            if isinstance(made, (nn.Module, Sequence)):
                first = Stages.of(made)
                features, whole, more = first._features, first.whole, first._more
                return Stages(first, features, whole, lambda: Stages.of(backbone()), more)
        raise InputError(f"the encoder is {backbone!r}; {_HOW}")

    @overload
    def __getitem__(self, place: int) -> nn.Module: ...
    @overload
    def __getitem__(self, place: slice) -> "Stages": ...
    def __getitem__(self, place: int | slice) -> "nn.Module | Stages":
        if isinstance(place, int):
            return self._modules[place]
        make = self._make
        remake = None if make is None else lambda: list(make())[place]
        return Stages(self._modules[place], self._features[place], None, remake, self._more)

    def __len__(self) -> int:
        return len(self._modules)

    def __str__(self) -> str:
        return ", ".join(map(_name, self._modules))

    def features(self, place: int) -> Features:
        """Return what the stage at a place gives.

        Raises:
            InputError: If no layer has a width.
        """
        found = self._features[place]
        if found is None:
            raise InputError(
                f"the width of the features of {_name(self._modules[place])} cannot be read from "
                "its layers; give it an attribute `width`"
            )
        return found

    @property
    def last(self) -> Features | None:
        """What the last stage gives, None if no layer has a width."""
        return self._features[-1]

    def counted(self) -> str:
        """Return how many stages there are, in words, and their names."""
        return f"{counted(len(self), 'stage')} ({self})"

    def advice(self) -> str:
        """Return how to give the encoder more stages, as the end of a message; or an empty text."""
        if self._more is None:
            return f", or add layers to the encoder; if it has some that were not found, {_HOW}"
        return f", or give the encoder more layers: {self._more}" if self._more else ""

    def require(self, least: int, why: str, instead: str) -> None:
        """Refuse a backbone with too few stages.

        Args:
            least: How many there must be.
            why: The reason, as a clause.
            instead: An option of the scheme that needs no more stages, as a clause.

        Raises:
            InputError: If there are fewer.
        """
        if len(self) < least:
            raise InputError(
                f"{why}, so the encoder must have at least {counted(least, 'stage')}; found "
                f"{self.counted()}; {instead}{self.advice()}"
            )

    def places(self, numbers: Sequence[int] | None, option: str) -> list[int]:
        """Return the places of stages given by number, counted from 1.

        Args:
            numbers: The numbers; every stage that `learns` if None.
            option: The option that has the numbers, for the error.

        Returns:
            Places counted from 0, in order.

        Raises:
            InputError: If there is no such stage.
        """
        if numbers is None:
            return [place for place, stage in enumerate(self) if learns(stage)]
        wrong = sorted(set(numbers) - set(range(1, len(self) + 1)))
        if wrong or not numbers:
            fitting = f"numbers from 1 to {len(self)}" if len(self) > 1 else "[1]"
            raise InputError(
                f"found {list(numbers)}, but the encoder has {self.counted()}; expected {fitting}, "
                f"or remove {option}",
                option=option,
            )
        return [number - 1 for number in sorted(set(numbers))]

    def wrapped(self, wrap: Callable[[int, nn.Module], nn.Module]) -> "Stages":
        """Return the stages, each wrapped into a module that gives features of the same width."""
        make = self._make

        def remake() -> list[nn.Module]:
            assert make is not None
            return [wrap(place, module) for place, module in enumerate(make())]

        modules = [wrap(place, module) for place, module in enumerate(self)]
        return Stages(modules, self._features, None, None if make is None else remake, self._more)

    @property
    def gives(self) -> Gives:
        """What the last stage declares to give, as `motet.states` names it."""
        found: Gives = getattr(self.whole or self[-1], "gives", None)
        return found

    def ending(self, last: Features) -> "Stages":
        """Return the stages, the last of which gives certain features."""
        features = [*self._features[:-1], last]
        return Stages(self._modules, features, self.whole, self._make, self._more)

    def output(self, width: int) -> Features:
        """Return what the last stage gives, whose width is known."""
        last = self.last
        return last if last is not None and last.width == width else Features(width)

    def read_at(self, places: Iterable[int], width: int) -> dict[int, Features]:
        """Return what the stages at some places give; that of the last has a known width."""
        last = len(self) - 1
        return {p: self.output(width) if p == last else self.features(p) for p in places}

    def of_rows(self) -> "Stages":
        """Return the stages, the last of which gives one state per row, whatever it declares."""
        if self.gives in (None, "rows", "members"):
            return self
        end = len(self) - 1
        return self.wrapped(lambda place, stage: _Pooled(stage) if place == end else stage)

    def fresh(self) -> "Stages":
        """Copy the stages, with newly drawn weights.

        Returns:
            The copy.

        Raises:
            InputError: If a part cannot draw its weights anew.
        """
        if self._make is not None:
            modules = list(self._make())
        else:
            copies = deepcopy(nn.ModuleList(self))
            draw_first_weights(copies)
            modules = list(copies)
        return Stages(modules, self._features, None, self._make, self._more)

    def copies(self, count: int) -> "list[Stages]":
        """Return these stages themselves, and as many fresh copies as make ``count`` in all."""
        return [self, *(self.fresh() for _ in range(count - 1))]

    def chain(self) -> nn.Module:
        """Return a module that calls the stages in turn."""
        return self._modules[0] if len(self) == 1 else nn.Sequential(*self)


class Wrapped(nn.Module):
    """A stage whose output is changed."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.stage = stage


class _Pooled(Wrapped):
    def forward(self, inputs: Any) -> Tensor:
        state = self.stage(inputs)
        record = record_of(state["rows"] if isinstance(state, Mapping) else state)
        assert record is not None
        return record.pooled


def learns(stage: nn.Module) -> bool:
    """Whether a stage has weights other than embeddings and scalings: it computes features."""
    return any(
        parameter.dim() > 1 and name not in getattr(layer, "undecayed", ())
        for layer in stage.modules()
        if not isinstance(layer, (nn.Embedding, nn.EmbeddingBag))
        for name, parameter in layer.named_parameters(recurse=False)
    )


def _staged(modules: Sequence[nn.Module], whole: nn.Module | None = None) -> Stages:
    after = [*modules[1:], None]
    features = [features_between(one, other) for one, other in zip(modules, after, strict=True)]
    if whole is not None and isinstance(getattr(whole, "width", None), int):
        features[-1] = Features(whole.width)  # type: ignore[arg-type]  # checked above
    return Stages(modules, features, whole, more=getattr(whole, "more_stages", None))


def _require_sizes(module: nn.Module) -> None:
    if unsized := unsized_layers(module):
        raise InputError(
            f"the size of {', '.join(unsized)} of the encoder is not known yet; call the encoder "
            "on one batch first, encoder(inputs), or give the layer its size, as in nn.Linear"
        )


def _cut(module: nn.Module) -> list[nn.Module]:
    stages = getattr(module, "stages", None)
    if isinstance(stages, (nn.ModuleList, nn.Sequential)) and len(stages):
        inside = {id(parameter) for parameter in stages.parameters()}
        if all(id(parameter) in inside for parameter in module.parameters()):
            return list(stages)
    if type(module).forward is nn.Sequential.forward and len(module):  # type: ignore[arg-type]
        return _layers(list(module.children()))
    return [module]


def _layers(children: Sequence[nn.Module]) -> list[nn.Module]:
    """Group each child without a weight matrix with the one before."""
    groups: list[list[nn.Module]] = []
    heavy = False  # whether the last group has a weight matrix
    for child in children:
        weighs = any(parameter.dim() > 1 for parameter in child.parameters())
        if not groups or (weighs and heavy):
            groups.append([])
            heavy = False
        groups[-1].append(child)
        heavy = heavy or weighs
    return [group[0] if len(group) == 1 else nn.Sequential(*group) for group in groups]


def _name(stage: nn.Module) -> str:
    if isinstance(stage, Wrapped):
        return _name(stage.stage)
    parts = stage.children() if isinstance(stage, nn.Sequential) else [stage]
    return "+".join(type(part).__name__.lstrip("_") for part in parts) or type(stage).__name__
