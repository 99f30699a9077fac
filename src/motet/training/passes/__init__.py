"""The forward and backward passes of a step: from its plan to gradients in ``.grad``."""

from motet.training.passes.checks import (
    check_compiling,
    check_micro_batches,
    check_precision,
    check_processes,
    check_representation,
    check_whole,
)
from motet.training.passes.compiled import Compiled, parts_to_compile
from motet.training.passes.passed import Passed
from motet.training.passes.step import Passes

__all__ = [
    "Compiled",
    "Passed",
    "Passes",
    "check_compiling",
    "check_micro_batches",
    "check_precision",
    "check_processes",
    "check_representation",
    "check_whole",
    "parts_to_compile",
]
