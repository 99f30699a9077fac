"""The forward and backward passes of a step: from its plan to gradients in ``.grad``."""

from motet.training.passes.checks import (
    check_micro_batches,
    check_precision,
    check_representation,
)
from motet.training.passes.passed import Passed
from motet.training.passes.step import Passes

__all__ = ["Passed", "Passes", "check_micro_batches", "check_precision", "check_representation"]
