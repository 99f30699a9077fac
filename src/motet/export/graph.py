"""The graph of a model: from inputs by name to predictions in original units, traced by torch."""

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from motet.export.layout import leaves, nested, traceable
from motet.model import MultiTaskModel
from motet.problems import InputError, reason
from motet.sharing import ByTask

PROBABILITY = "_probability"
_REFUSED = {
    "generation": "it searches for a text token by token, which is no graph of fixed steps",
}
"""Kinds of tasks that are not exported, and why."""


class Graph(nn.Module):
    """What is exported: a copy of a model on the CPU, in evaluation mode.

    Args:
        model: The model.
        tasks: The tasks to predict.
        template: The tree of a batch.
    """

    def __init__(
        self, model: MultiTaskModel, tasks: Sequence[str], template: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
        for parent in list(self.model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, ByTask):
                    parent._modules[name] = _ByPlace(child)
        self.tasks, self.template = tuple(tasks), dict(template)

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Predict.

        Args:
            inputs: Tensors by name.

        Returns:
            ``<task>``, and ``<task>_probability`` of tasks that have probabilities.
        """
        raw = self.model(nested(self.template, inputs), self.tasks)
        found = {}
        for task, each in self.model.decode(raw).items():
            found[task] = each.value
            if each.probabilities is not None:
                found[f"{task}{PROBABILITY}"] = each.probabilities
        return found


class _ByPlace(ByTask[nn.Module]):
    """Modules by task name, which is not the name of an attribute.

    Graphs refer to modules by attributes, and a task may be called "add" or "a.b".
    """

    def __init__(self, given: ByTask[nn.Module]) -> None:
        self._places = {task: f"task_{place}" for place, task in enumerate(given.names)}
        super().__init__({place: given[task] for task, place in self._places.items()})

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._places)

    def __getitem__(self, task: str) -> nn.Module:
        return super().__getitem__(self._places[task])


def require_exportable(model: MultiTaskModel, tasks: Sequence[str]) -> None:
    """Check that tasks can be exported, as far as that is known before.

    Raises:
        InputError: If one cannot.
    """
    refused = {t: why for t in tasks if (why := _REFUSED.get(model.tasks[t].kind)) is not None}
    left = [task for task in tasks if task not in refused]
    for task, why in refused.items():
        advice = f"export the others: tasks={','.join(left)}" if left else "use motet predict"
        raise InputError(
            f"task {task!r} of kind {model.tasks[task].kind!r} cannot be exported: {why}; {advice}"
        )
    for task in tasks:
        if f"{task}{PROBABILITY}" in tasks:
            raise InputError(
                f"the probabilities of task {task!r} and the task {task + PROBABILITY!r} would "
                "have one name; export them one by one"
            )


def traced(graph: Graph, given: Mapping[str, Tensor]) -> ExportedProgram:
    """Trace a graph with some rows, so that it takes any number of rows of any length.

    Args:
        graph: The graph.
        given: Tensors of rows by name.

    Returns:
        The program.

    Raises:
        InputError: If the model has a part that torch.export cannot follow.
    """
    all_leaves = leaves(graph.template)
    example = traceable(given, all_leaves)
    shapes = {
        leaf.name: {
            place: Dim.DYNAMIC
            for place, axis in enumerate(leaf.axes)
            if axis != "" and isinstance(axis, str)
        }
        for leaf in all_leaves
    }
    with quiet(), torch.no_grad(), _plain_attention():
        try:
            return torch.export.export(graph, (example,), dynamic_shapes=(shapes,), strict=False)
        except Exception as error:  # whatever a model raises while it is traced
            raise InputError(
                f"torch.export cannot follow the model: {first_line(error)}; a part of it reads "
                "values or sizes in Python; export other tasks, or serve the run as it is"
            ) from error


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let transformers compute step by step, without a function that no format has."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def first_line(error: Exception) -> str:
    """Return what an error of many lines begins with."""
    lines = [line.strip() for line in reason(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out warnings for those who develop exporters."""
    loggers = [
        logging.getLogger(name)
        for name in ("torch.onnx", "torch.export", "torch._export", "onnxscript")
    ]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)
