"""Costs of a model compared with one model per task: parameters, and multiply-adds per row."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from motet.config import Config
from motet.data.arrays import ArrayData
from motet.data.lacking import lacking, with_none
from motet.model import MultiTaskModel
from motet.model.sizes import learned_sizes
from motet.run.prepared import AnyPrepared

ROWS = 8
"""Rows in the batch that is counted."""


@dataclass(frozen=True)
class Costs:
    """Costs of a model, and of single-task models with the same encoder and heads together."""

    shared: int
    """Parameters that several tasks reach."""
    own: dict[str, int]
    """Parameters that one task alone reaches."""
    multiply_adds: float
    """For one row, all enabled tasks; for one row of each source, if there are several."""
    single_models: int
    """Number of tasks with labels."""
    single_parameters: int
    alone: dict[str, float]
    """Multiply-adds for one row of a single-task model, by enabled task with labels."""

    @property
    def single_multiply_adds(self) -> float:
        """Multiply-adds of all single-task models."""
        return sum(self.alone.values())

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.shared + sum(self.own.values())


def count_costs(prepared: AnyPrepared) -> Costs:
    """Count the costs of a config's model, on the first rows of each source of its data.

    Returns:
        The costs. Multiply-adds are those of matrix products, convolutions and attention.
    """
    sizes = learned_sizes(prepared.config, prepared.preprocessing)
    model = MultiTaskModel.from_sizes(prepared.config, sizes)
    plainest = _without_sharing(prepared.config)
    hard = model if plainest == prepared.config else MultiTaskModel.from_sizes(plainest, sizes)
    labelled = [task.name for task in hard.tasks if task.label_kind.given]
    alone = {task: hard.task_parameters(task) for task in labelled}
    trunk = sum(parameter.numel() for parameter in hard.shared_parameters())
    first = {source: part.first_inputs(ROWS) for source, part in prepared.parts.items()}
    without = lacking(first)
    active = model.labelled_tasks
    whole, singles = 0.0, dict.fromkeys(active, 0.0)
    for source, part in prepared.parts.items():
        own = [task for task in active if task in part.rows.tasks]
        rows = first[source]
        whole += _multiply_adds(model, rows, without[source], tuple(own))
        for task in own:
            singles[task] += _multiply_adds(hard, rows, without[source], (task,))
    return Costs(
        shared=sum(parameter.numel() for parameter in model.shared_parameters()),
        own={
            task: sum(parameter.numel() for parameter in model.task_parameters(task))
            for task in model.tasks.names
        },
        multiply_adds=whole,
        single_models=len(alone),
        single_parameters=sum(trunk + sum(p.numel() for p in own) for own in alone.values()),
        alone=singles,
    )


def _without_sharing(config: Config) -> Config:
    """Return the config with the same encoder and heads, and hard sharing."""
    model = {**config.model_dump(include={"model"})["model"], "sharing": {"type": "hard"}}
    return Config(**{**config.model_dump(), "model": model})


def _multiply_adds(
    model: MultiTaskModel,
    inputs: Mapping[str, Any],
    without: Mapping[str, Any],
    tasks: tuple[str, ...],
) -> float:
    """Count the multiply-adds of a forward pass, for one row; ``without`` marks what it lacks."""
    rows = ArrayData(inputs, {})
    (batch,) = rows.batches(ROWS)
    model.eval()
    with _nothing_fused(), FlopCounterMode(display=False) as counter:
        model(with_none(batch.inputs, without), tasks)
    count: int = counter.get_total_flops()
    return count / 2 / len(rows)


@contextmanager
def _nothing_fused() -> Iterator[None]:
    """Keep oneDNN from fusing a recurrent layer into one call, which is not counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other devices, as flags are put back
        with torch.backends.mkldnn.flags(enabled=False):
            yield
