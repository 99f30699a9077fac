"""Targets of tasks without labels: nothing to read, and no columns of predictions."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import pyarrow as pa
from numpy.typing import NDArray

from motet.data.inputs.base import Input
from motet.data.targets.base import NO_INPUTS, Target


@final
class NoTarget(Target):
    """The target of an auxiliary task, which makes its own from the inputs."""

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return ()

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        raise AssertionError(f"{self.name!r} has no labels")

    def predictions(
        self,
        value: NDArray[Any],
        probabilities: NDArray[Any] | None = None,
        table: pa.Table | None = None,
        inputs: Mapping[str, Input] = NO_INPUTS,
    ) -> dict[str, pa.Array]:
        return {}

    def prediction_names(self, available: Sequence[str]) -> list[str]:
        return []
