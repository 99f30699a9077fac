"""Deterministic algorithms: the same numbers, bit for bit, each time on one machine.

Without them a CPU mostly repeats itself with the same number of threads, and a GPU does not: sums
whose order depends on timing round differently.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from motet.training.errors import TrainingError

_NONE = re.compile(r"(.*?) does not have a deterministic implementation")


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Let torch choose deterministic algorithms inside, and restore its settings at the end.

    Raises:
        RuntimeError: What else is raised inside.
        TrainingError: If an operation has none.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the next product
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # would choose by time
    try:
        yield
    except RuntimeError as error:
        if (found := _NONE.match(str(error))) is None:
            raise
        raise TrainingError(
            f"deterministic: {found[1]} has no deterministic algorithm on this device; remove "
            "deterministic, give device: cpu, or replace it in the model"
        ) from None
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)
        torch.backends.cudnn.benchmark = benchmark
