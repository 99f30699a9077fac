"""One count per row."""

from typing import ClassVar, final

from motet.tasks.kinds.base import Likelihood
from motet.tasks.kinds.numbers import NumberLabels


@final
class CountLabels(NumberLabels):
    """Whole numbers from 0, (B,)."""

    name: ClassVar[str] = "count"
    default_metrics: ClassVar[tuple[str, ...]] = ("d2", "mae", "rmse")
    uncertainty_kind: ClassVar[Likelihood] = "likelihood"
