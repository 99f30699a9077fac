"""An exported model is compared with the model itself, on real rows, before it is kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor

from motet.export.formats import Compute
from motet.export.graph import PROBABILITY, Graph, first_line
from motet.states import MISSING
from motet.tasks import Task

LARGEST = 1e-4
"""Largest difference of a probability, and of a number as a share of the range of the numbers."""
_ROUNDING = 1e-6
"""The same as a share of the largest number, and of the standard deviation of the labels that the
network's numbers are multiplied by, as float32 rounds both."""
_RARELY = 1e-3
"""Share of classes that may differ: where two are equally probable, rounding decides."""


class ExportError(RuntimeError):
    """An exported model does not predict what the model predicts."""


@dataclass
class Difference:
    """How far one output of an exported model is from that of the model."""

    probability: bool
    units: tuple[float, ...] = (0.0,)
    """Of numbers: how far one that the network computes moves them. Several of numbers that have
    each a unit of their own, (..., n), which are then compared one by one."""
    differing: int = 0
    """Values that are not the same class, or missing in one of both."""
    compared: int = 0
    """Number of values."""
    whole: bool = False
    """Whether values are whole numbers, such as classes."""

    def __post_init__(self) -> None:
        zero = torch.zeros(len(self.units), dtype=torch.float64)
        self._apart, self._low, self._high = zero, zero + inf, zero - inf

    def add(self, expected: Tensor, found: Tensor) -> None:
        """Compare the values of some rows."""
        self.compared += expected.numel()
        if not expected.is_floating_point():
            self.whole = True
            self.compared -= int((expected == MISSING).sum())  # padding is no value
            self.differing += int((expected != found).sum())
            return
        if not expected.numel():
            return
        expected, found = (each.double().reshape(-1, len(self.units)) for each in (expected, found))
        missing = expected.isnan()
        self.differing += int((missing != found.isnan()).sum())
        same = missing | found.isnan() | (expected == found)  # also infinite ones
        apart = torch.where(same, 0.0, (expected - found).abs())
        self._apart = torch.maximum(self._apart, apart.amax(0))
        finite = expected.isfinite()
        self._low = torch.minimum(self._low, torch.where(finite, expected, inf).amin(0))
        self._high = torch.maximum(self._high, torch.where(finite, expected, -inf).amax(0))

    @property
    def largest(self) -> float:
        """The greatest absolute difference of a number or probability."""
        return float(self._apart.max())

    @property
    def _scale(self) -> Tensor:
        """The greatest absolute number (n,)."""
        return torch.maximum(-self._low, self._high).clamp(min=0.0)

    @property
    def _room(self) -> Tensor:
        """How far numbers may be apart (n,)."""
        unit = torch.maximum(self._scale, torch.tensor(self.units, dtype=torch.float64))
        return LARGEST * (self._high - self._low).clamp(min=0.0) + _ROUNDING * unit

    @property
    def acceptable(self) -> bool:
        """Whether it may be due to rounding."""
        if self.whole:
            return self.differing <= _RARELY * self.compared
        if self.probability:
            return not self.differing and self.largest <= LARGEST
        return not self.differing and bool((self._apart <= self._room).all())

    def __str__(self) -> str:
        if self.whole:
            return f"{self.differing:,} of {self.compared:,} values differ"
        missing = f", {self.differing:,} missing in one of both" if self.differing else ""
        if self.probability:
            return f"greatest difference {self.largest:.2g}{missing}"
        worst = int((self._apart / self._room).nan_to_num(0.0).argmax())
        apart, scale = float(self._apart[worst]), float(self._scale[worst])
        return f"greatest difference {apart:.2g}, of numbers up to {scale:.3g}{missing}"


def units_of(task: Task) -> tuple[float, ...]:
    """Return how far the numbers of a task move where the network's moves by 1; 0 if unknown."""
    if task.scaling is None:
        return (0.0,)
    stds = _each(task.scaling[1])
    logs = _each(getattr(task, "log_scale", None))
    if len(logs) < len(stds):
        logs = logs * len(stds)
    return tuple(std * (log or 1.0) for std, log in zip(stds, logs, strict=True))


def _each(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, Sequence) else (given,)


def compared(
    graph: Graph,
    exported: Compute,
    batches: Iterable[Mapping[str, Tensor]],
    units: Mapping[str, tuple[float, ...]],
) -> dict[str, Difference]:
    """Compute rows with a model and with what was exported of it.

    Args:
        graph: The model.
        exported: What was exported.
        batches: Tensors of rows by name, batch by batch.
        units: Of tasks that are numbers, see `Difference.units`.

    Returns:
        For each output, how far it is apart.

    Raises:
        ExportError: If it is too far, has another form, or cannot be computed.
    """
    found: dict[str, Difference] = {}
    for batch in batches:
        with torch.no_grad():
            expected = graph(dict(batch))
        try:
            given = exported(batch)
        except Exception as error:  # whatever another program raises
            shapes = ", ".join(f"{name} {tuple(each.shape)}" for name, each in batch.items())
            raise ExportError(
                f"the exported model fails for rows that the run predicts ({shapes}): "
                f"{first_line(error)}; nothing was written"
            ) from error
        for name, values in expected.items():
            if name not in given or given[name].shape != values.shape:
                there = tuple(given[name].shape) if name in given else "nothing"
                raise ExportError(
                    f"the exported model gives {there} for {name}, expected "
                    f"{tuple(values.shape)}; nothing was written"
                )
            if name not in found:
                found[name] = Difference(name.endswith(PROBABILITY), units.get(name, (0.0,)))
            found[name].add(values, given[name])
    wrong = {name: each for name, each in found.items() if not each.acceptable}
    if wrong:
        lines = "; ".join(f"{name}: {each}" for name, each in wrong.items())
        raise ExportError(
            f"the exported model does not predict what the run predicts: {lines}; nothing was "
            "written; export other tasks, or serve the run as it is"
        )
    return found
