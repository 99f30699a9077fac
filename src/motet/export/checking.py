"""An exported model is compared with the model itself, on real rows, before it is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from motet.export.formats import Compute
from motet.export.graph import PROBABILITY, Graph, first_line
from motet.states import MISSING

LARGEST = 1e-4
"""Largest difference of a probability, and of a number as a share of the range of the numbers."""
_ROUNDING = 1e-6
"""The same as a share of the largest number, as float32 rounds it."""
_RARELY = 1e-3
"""Share of classes that may differ: where two are equally probable, rounding decides."""


class ExportError(RuntimeError):
    """An exported model does not predict what the model predicts."""


@dataclass
class Difference:
    """How far one output of an exported model is from that of the model."""

    probability: bool
    largest: float = 0.0
    """The greatest absolute difference of a number or probability."""
    scale: float = 0.0
    """The greatest absolute number."""
    low: float = inf
    """The least number."""
    high: float = -inf
    """The greatest number."""
    differing: int = 0
    """Values that are not the same class, or missing in one of both."""
    compared: int = 0
    """Number of values."""
    whole: bool = False
    """Whether values are whole numbers, such as classes."""

    def add(self, expected: Tensor, found: Tensor) -> None:
        """Compare the values of some rows."""
        self.compared += expected.numel()
        if not expected.is_floating_point():
            self.whole = True
            self.compared -= int((expected == MISSING).sum())  # padding is no value
            self.differing += int((expected != found).sum())
            return
        known = ~expected.isnan()
        self.differing += int((known == found.isnan()).sum())
        known &= ~found.isnan() & (expected != found)  # also infinite ones are the same
        if bool(known.any()):
            apart = (expected[known].double() - found[known].double()).abs()
            self.largest = max(self.largest, float(apart.max()))
        finite = expected[expected.isfinite()].double()
        if len(finite):
            self.low, self.high = (
                min(self.low, float(finite.min())),
                max(self.high, float(finite.max())),
            )
            self.scale = max(-self.low, self.high)

    @property
    def acceptable(self) -> bool:
        """Whether it may be due to rounding."""
        if self.whole:
            return self.differing <= _RARELY * self.compared
        if self.probability:
            return not self.differing and self.largest <= LARGEST
        room = LARGEST * max(self.high - self.low, 0.0) + _ROUNDING * self.scale
        return not self.differing and self.largest <= room

    def __str__(self) -> str:
        if self.whole:
            return f"{self.differing:,} of {self.compared:,} values differ"
        missing = f", {self.differing:,} missing in one of both" if self.differing else ""
        scale = "" if self.probability else f", of numbers up to {self.scale:.3g}"
        return f"greatest difference {self.largest:.2g}{scale}{missing}"


def compared(
    graph: Graph, exported: Compute, batches: Iterable[Mapping[str, Tensor]]
) -> dict[str, Difference]:
    """Compute rows with a model and with what was exported of it.

    Args:
        graph: The model.
        exported: What was exported.
        batches: Tensors of rows by name, batch by batch.

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
            own = found.setdefault(name, Difference(name.endswith(PROBABILITY)))
            own.add(values, given[name])
    wrong = {name: each for name, each in found.items() if not each.acceptable}
    if wrong:
        lines = "; ".join(f"{name}: {each}" for name, each in wrong.items())
        raise ExportError(
            f"the exported model does not predict what the run predicts: {lines}; nothing was "
            "written; export other tasks, or serve the run as it is"
        )
    return found
