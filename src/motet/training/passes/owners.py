"""The parameters that a gradient balancer works on: those that tasks share, and each task's own.

They are found in the graph of a step's outputs and kept for steps of the same kind, with the same
tasks and the same frozen parameters; `is_due` names the steps of each kind at which the graph is
walked again. The state that a balancer has for each shared parameter follows when others become
shared.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from motet.balancing import Balancer, JacobianBalancer
from motet.balancing.engine.looks import GraphLists, hold_all, is_due
from motet.model import MultiTaskModel
from motet.processes import ALONE, Processes
from motet.training.reached import reached_by_any

_Columns = tuple[list[nn.Parameter], list[nn.Parameter]]
"""The parameters that were shared when a balancer's columns were made, and the trained ones."""


class Owners:
    """Finds the lists of a model's parameters that `motet.backward` needs.

    Args:
        model: The model.
        processes: Each of them has a graph of its own rows, and all get the same lists.
    """

    def __init__(self, model: MultiTaskModel, processes: Processes = ALONE) -> None:
        self._model, self._processes = model, processes
        self._parameters = list(model.parameters())
        self._steps: dict[tuple[object, ...], int] = {}
        self._lists: dict[tuple[object, ...], dict[str, Any]] = {}
        self._columns: WeakKeyDictionary[Balancer, _Columns] = WeakKeyDictionary()

    def lists(
        self, balancer: Balancer, outputs: Mapping[str, Tensor], tasks: Sequence[str]
    ) -> dict[str, Any]:
        """Return the arguments ``shared`` and ``task_parameters`` of `motet.backward`.

        Args:
            balancer: The balancer.
            outputs: The loss of each task, or its raw output where it has no label, as far as this
                process has rows of it.
            tasks: The tasks of the step.
        """
        kind = (*tasks, bytes([p.requires_grad for p in self._parameters]))
        steps = self._steps.get(kind, 0)
        self._steps[kind] = steps + 1
        reached = None
        if is_due(steps):
            reached = self._look(outputs, tasks)
            self._lists.clear()
        if kind not in self._lists:
            self._lists[kind] = self._listed(reached)
        lists = self._lists[kind]
        if balancer.needs.columns_stay:
            assert isinstance(balancer, JacobianBalancer)
            self._move_columns(balancer, lists["shared"])
        return lists

    def _look(
        self, outputs: Mapping[str, Tensor], tasks: Sequence[str]
    ) -> dict[Tensor, frozenset[str]]:
        known = self._model.ownership.known
        reached = reached_by_any(outputs, tasks, self._parameters, self._processes)
        self._model.note_reached(reached)
        if not known and not self._model.ownership.known and not self._lists:
            warnings.warn(
                "the wrapped module is compiled as a whole, so its graph does not show which "
                "parameters belong to one task, and all are balanced as shared; name the heads: "
                "MultiTaskModel.wrap(module, tasks, heads={task: module.part})",
                stacklevel=2,
            )
        return reached

    def _listed(self, reached: Mapping[Tensor, frozenset[str]] | None) -> dict[str, Any]:
        model = self._model
        shared = model.shared_parameters()
        if not any(parameter.requires_grad for parameter in shared):  # every task by itself
            return {"shared": self._parameters, "task_parameters": {}}
        own = {t.name: model.task_parameters(t.name) for t in model.tasks if t.balanced}
        if reached is not None and hold_all(shared, own, reached):
            own = GraphLists(own)  # `motet.backward` need not walk the same graph
        return {"shared": shared, "task_parameters": own}

    def _move_columns(self, balancer: JacobianBalancer, shared: list[nn.Parameter]) -> None:
        before, columns = self._columns.get(balancer, (shared, []))
        trained = [parameter for parameter in shared if parameter.requires_grad]
        if list(map(id, before)) != list(map(id, shared)):
            balancer.move_columns(columns, trained)
        elif columns:
            return  # other parameters are frozen than before, which the balancer rejects
        self._columns[balancer] = shared, trained
