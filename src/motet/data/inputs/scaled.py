"""A column of numbers as a network receives it: perhaps its logarithm, then scaled."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.inputs.logarithm import log_scale, spans_decades, to_log
from motet.data.inputs.moments import Moments, Values
from motet.data.inputs.scaling import SCALINGS, Fitted
from motet.data.inputs.shapes import Expansion

BINS = 64
AUTO = "auto"
_VALUES_A_BIN = 32
"""Values that a bin should hold."""
_FEWEST_BINS = 16
"""Bins below which a column is better a line than a curve."""
_FEW_VALUES = 32
"""Different values up to which a bin is a value, however few rows there are."""


def needs_sample(scaling: str, transform: str | None) -> bool:
    """Return whether values are needed to learn it, or else their `Moments`."""
    if scaling == AUTO or transform in ("log", "auto"):
        return True
    return SCALINGS[scaling].learns_from == "sample"


def fitting_scaling(values: Values) -> tuple[str, int]:
    """Choose the scaling of a column by its values (n,), none missing.

    Bins are worth their weights where each holds many rows. On few rows of a continuous number they
    follow the noise, and a single column that is a line to begin with serves better.

    Returns:
        "piecewise" and its bins, one for 32 values, for 512 values or more, or for at most 32
        different ones; else "standard".
    """
    if len(np.unique(values)) <= _FEW_VALUES:
        return "piecewise", BINS
    bins = min(len(values) // _VALUES_A_BIN, BINS)
    return "piecewise" if bins >= _FEWEST_BINS else "standard", bins


@dataclass(frozen=True)
class Scaled:
    """What was learned of one column; plain numbers only, so that JSON can hold it."""

    scaling: str
    fitted: Fitted
    log: float | None = None
    """Scale of the logarithm (`motet.data.inputs.logarithm`); None if the numbers stay as they
    are."""

    @staticmethod
    def learn(
        seen: Values | Moments, scaling: str, transform: str | None, bins: int | None
    ) -> "tuple[Scaled, str]":
        """Learn from the values (n,) of a column, none missing, or from their moments.

        With ``auto``, the values choose the scaling; where they choose standard and no transform is
        given, numbers over decades become logarithms.

        Returns:
            What was learned, and why the numbers become logarithms if that was decided here.
        """
        reason, log = "", None
        if scaling == AUTO:
            assert isinstance(seen, np.ndarray)  # `needs_sample` is true
            scaling, bins = fitting_scaling(seen) if bins is None else ("piecewise", bins)
            transform = transform or ("auto" if scaling == "standard" else "none")
        if isinstance(seen, np.ndarray):
            reason = spans_decades(seen) if transform == "auto" else ""
            log = log_scale(seen) if transform == "log" or reason else None
            seen = seen if log is None else to_log(seen, log)
            if SCALINGS[scaling].learns_from == "moments":
                seen = Moments.of(seen)
        return Scaled(scaling, SCALINGS[scaling].fit(seen, bins or BINS), log), reason

    def apply(self, values: Values) -> NDArray[Any]:
        """Return numbers (N,) scaled, (N, 1); NaN where missing."""
        if self.log is not None:
            values = to_log(values, self.log)
        return SCALINGS[self.scaling].transform(values, self.fitted)

    def expansion(self) -> Expansion | None:
        """Return the bins over which an encoder can spread the column, if it has some."""
        if self.scaling != "piecewise" or not self.fitted["bin_means"]:  # a constant has none
            return None
        mean, std = self.fitted["mean"], self.fitted["std"]
        starts = [(start - mean) / std for start in range(len(self.fitted["bin_means"]))]
        return Expansion(starts, std, self.fitted["bin_means"], self.fitted["bin_stds"])

    def state(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        found = {"scaling": self.scaling, "fitted": self.fitted}
        return found if self.log is None else {**found, "log": self.log}

    @staticmethod
    def load(state: dict[str, Any]) -> "Scaled":
        """Return what `state` was made of."""
        return Scaled(state["scaling"], state["fitted"], state.get("log"))
