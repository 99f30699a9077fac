"""Priorities among tasks: lower ones never harm higher ones."""

from collections.abc import Iterable
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor

from motet.balancing.families import GramianBalancer, GramianOptions, KnownTask, by_task
from motet.balancing.solvers import project_on_dual_cone
from motet.balancing.solvers.solution import OK
from motet.options import Any, Mapping, Sequence, Unpack, checked
from motet.problems import InputError

_LEVELS = ("low", "normal", "high", "critical")


@final
class PCD(GramianBalancer):
    """Let tasks of lower priority move the shared parameters only where no higher one is harmed.

    Tasks of one priority form a level. The sum s of a level's gradients is projected on the
    directions that harm no task of a higher level, and the projections are added up::

        d = Σ_levels argmin ‖d_l - s_l‖    over d_l with g_j·d_l ≥ 0 for every j of a higher level

    So to first order a task improves at least as fast as without all tasks of lower levels; the
    tasks of one level are added up as they are. With two tasks, it is `PCGrad` for the lower one
    alone.

    After priority-constrained descent (TMLR 2026, arXiv:2606.29521), which follows one primary
    gradient as closely as a minimum progress τ of every other task allows, so that these may harm
    it. We differ: there is no such minimum, any number of levels, and no rescaling.

    Args:
        tasks: Names of the tasks.
        priorities: "low", "normal", "high" or "critical" by task, "normal" where a task is left
            out; or the tasks from highest to lowest, in lists where several have the same. If left
            out, the ``priority`` of the tasks, or else which are ``main``; where these do not
            differ, the order of the tasks, the first highest.
        scale: "sum" and "paper": T equal gradients g give T g; "mean": they give g.
        **common: Options of every Gramian balancer; see `GramianOptions`.

    Raises:
        InputError: If priorities are all the same, or do not fit the tasks.

    Example:
        >>> balancer = PCD(["safety", "comfort"], priorities={"safety": "high"})
        >>> rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
        >>> balancer(rows @ rows.T) @ rows.double()
        tensor([1., 1.], dtype=torch.float64)
    """

    reads_priorities = True

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        priorities: Mapping[str, Literal["low", "normal", "high", "critical"]]
        | Sequence[str | Sequence[str]]
        | None = None,
        **common: Unpack[GramianOptions],
    ) -> None:
        super().__init__(tasks, **common)
        self.levels = _levels(self.tasks if priorities is None else priorities, self.tasks)
        """Priority of each task as a number, (T,): higher ones come first."""
        if len(tasks) > 1 and len(set(self.levels)) == 1:
            raise InputError(
                "found one priority for all tasks, with which pcd is the plain sum; expected at "
                "least two, or choose `equal`",
                option="priorities",
            )

    @classmethod
    def filled_in(cls, options: Mapping[str, Any], tasks: Iterable[KnownTask]) -> Mapping[str, Any]:
        """Add the priorities of the tasks, or which are main, if ``priorities`` gives none."""
        options, tasks = super().filled_in(options, tasks), list(tasks)
        set_there = {task.name: task.priority for task in tasks}
        if options.get("priorities") is not None:
            differing = [name for name, each in set_there.items() if each != "normal"]
            if differing:
                raise InputError(
                    f"found some here and a priority of task {differing[0]!r}; give them in one "
                    "place",
                    option="priorities",
                )
            return options
        main = {task.name: "high" if task.main else "normal" for task in tasks}
        for found in (set_there, main):
            if len(set(found.values())) > 1:
                return {**options, "priorities": found}
        return options

    def priority_of(self, task: str) -> str:
        level = self.levels[self.tasks.index(task)]
        return _LEVELS[level] if level < len(_LEVELS) else ""

    def forward(self, gramian: Tensor, losses: Tensor | None, present: Tensor) -> Tensor:
        levels = np.array(self.levels)[present.numpy()]
        weights = torch.zeros(len(present), dtype=torch.float64)
        statuses = []
        for level in set(levels.tolist()):
            mine, higher = (levels == level).astype(np.float64), levels > level
            if higher.any():
                solution = project_on_dual_cone(
                    gramian.numpy(), mine[None], self.resolution, bounds=higher
                )
                statuses.append(solution.status)
                weights += self.accept(solution)[0]
            else:
                weights += torch.from_numpy(mine)
        self.status = next((status for status in statuses if status != OK), OK)
        return weights


def _levels(given: object, tasks: Sequence[str]) -> list[int]:
    """Return the level of each task, the highest number for the highest priority."""
    if isinstance(given, Mapping):
        levels = [_LEVELS.index("normal")] * len(tasks)
        for place, priority in by_task(given, tasks, "priorities", complete=False):
            levels[place] = _LEVELS.index(priority)
        return levels
    assert isinstance(given, Sequence)
    found: dict[str, int] = {}
    for level, entry in enumerate(reversed(given)):
        for task in [entry] if isinstance(entry, str) else entry:
            if task in found:
                raise InputError(
                    f"found {task!r} twice, expected each task once", option="priorities"
                )
            found[task] = level
    return [level for _, level in by_task(found, tasks, "priorities", complete=True)]
