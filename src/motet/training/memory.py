"""Errors about memory, explained: which options need less, apply, and are not used yet."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import nn

from motet.balancing.engine import check_pass
from motet.problems import InputError
from motet.training.errors import OutOfMemory, TrainingError
from motet.training.options import TrainingOptions
from motet.training.passes import (
    check_compiling,
    check_micro_batches,
    check_precision,
    check_processes,
    check_representation,
)
from motet.training.setup import Setup
from motet.training.stages import BalancerStages

_SIGNS = ("out of memory", "DefaultCPUAllocator", "std::bad_alloc", "ALLOC_FAILED")
"""What RuntimeErrors of torch about memory contain."""


class explaining_memory:  # reads as a statement
    """Explain an error about memory with `OutOfMemory`, and free what was computed up to there.

    Args:
        doing: What is done inside, such as "step 3".
        advice: Returns what needs less memory, the first to try first.
    """

    def __init__(self, doing: str, advice: Callable[[], Sequence[str]]) -> None:
        self._doing, self._advice = doing, advice

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: object, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        del frames  # they hold the tensors
        if error is not None:
            explain_memory(error, self._doing, self._advice)


def explain_memory(error: BaseException, doing: str, advice: Callable[[], Sequence[str]]) -> None:
    """Raise `OutOfMemory` in place of an error about memory, and do nothing after another one."""
    if not _is_about_memory(error):
        return
    error.__traceback__ = error.__context__ = None  # they hold the tensors
    reason = (str(error) or type(error).__name__).splitlines()[0]
    what = "; ".join(advice())
    raise OutOfMemory(
        f"out of memory in {doing} ({reason}); {f'try {what}' if what else 'free some'}"
    ) from None


def _is_about_memory(error: BaseException) -> bool:
    if isinstance(error, TrainingError):  # explained before
        return False
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def smaller_batches(batch_size: int) -> list[str]:
    """Return what needs less memory without a backward pass."""
    return [f"training.batch_size: {batch_size // 2}"] if batch_size > 1 else []


def less_memory(setup: Setup, options: TrainingOptions, size: int) -> list[str]:
    """Return what needs less memory in a step, the first to try first, by keys of a config.

    Args:
        setup: What is trained.
        options: All options, none left out.
        size: Rows per batch.

    Returns:
        Keys and values, each valid beside the other options.
    """
    model, stages = setup.model, setup.stages
    pieces = options["accumulate"]
    found = smaller_batches(size)
    if 2 * pieces <= size and _fits(lambda: check_micro_batches(stages, model)):
        found.append(f"training.accumulate: {2 * pieces} (the same steps)")
    if options["precision"] == "float32" and _fits(
        lambda: check_precision(stages, model, "bfloat16")
    ):
        found.append("training.precision: bfloat16")
    if pieces == 1 and _fits(lambda: _with(stages, {"memory": "low"})):
        found.append("balancing.memory: low (the same steps, for about twice the time)")
    if pieces == 1 and _fits(lambda: _check_at_representation(setup, options)):
        found.append("balancing.at: representation (another method)")
    for encoder in _unchecked(model):
        found.append(
            f"checkpointing: true in the encoder {type(encoder).__name__} (the same steps)"
        )
    if options["keep"] == "each":
        found.append("training.keep: best")
    count = 0 if options["compile"] else _gpus(setup.device)
    if count > setup.processes.count and _fits(lambda: check_processes(stages, model)):
        found.append(f"--processes {count} (the same steps, a share of the rows on each GPU)")
    return found


def _check_at_representation(setup: Setup, options: TrainingOptions) -> None:
    model, processes = setup.model, setup.processes
    stages = _with(setup.stages, {"at": "representation"})
    check_representation(stages, model, several=setup.planner.choices.several)
    if options["compile"]:
        check_compiling(stages, model, setup.device, processes)
    if processes.several:
        check_processes(stages, model)


def _gpus(device: torch.device) -> int:
    return torch.cuda.device_count() if device.type == "cuda" else 0


def _fits(check: Callable[[], object]) -> bool:
    try:
        check()
    except InputError:
        return False
    return True


def _with(stages: BalancerStages, more: Mapping[str, Any]) -> BalancerStages:
    """Return the stages with more options of the backward pass, which no stage has yet."""
    passes = [{**options, **more} for options in stages.passes]
    for balancer, before, options in zip(stages, stages.passes, passes, strict=True):
        check_pass(balancer, **options)
        if before == options:
            raise InputError("it is in use")
    return BalancerStages(list(stages), stages.ends, passes)


def _unchecked(model: nn.Module) -> list[nn.Module]:
    """Return an encoder of each type that could recompute its layers and does not."""
    off = [each for each in model.modules() if getattr(each, "checkpointing", None) is False]
    return list({type(each): each for each in off}.values())
