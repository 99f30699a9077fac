"""Levels of shared experts and experts of tasks, mixed for each task by a gate of its own.

One level without experts of tasks is MMoE, one level CGC, several are PLE.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from motet.sharing.base import SharedModule
from motet.sharing.by_task import ByTask
from motet.sharing.experts import Gate, Layout, counting, mixed, together
from motet.sharing.features import Features
from motet.sharing.stages import Stages


class ExpertLevels(SharedModule):
    """Experts on what the first stages give.

    On every level the experts of a task read the stream of that task, the shared ones the shared
    stream. The gate of a task mixes its own and the shared experts, in this order. Between levels
    one more gate mixes all experts, those of tasks in order and then the shared ones, into the next
    shared stream. So below the last level the experts of a task serve all tasks.
    """

    def __init__(
        self,
        layout: Layout,
        tasks: Sequence[str],
        experts: int,
        task_experts: int = 0,
        top_k: int | None = None,
    ) -> None:
        super().__init__()
        self.tasks = list(tasks)
        self.bottom = layout.bottom.chain()
        count = len(layout.levels)
        self.levels = nn.ModuleList(
            _Level(part, features, tasks, experts, task_experts, top_k, last=place == count - 1)
            for place, (part, features) in enumerate(
                zip(layout.levels, layout.features, strict=True)
            )
        )
        self.width = layout.width
        self._has_own = task_experts > 0

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        shared: Tensor = self.bottom(inputs)
        streams = dict.fromkeys(self.tasks, shared)
        last = len(self.levels) - 1
        for place, level in enumerate(self.levels):
            # experts of all tasks work below the last level, and each reads the stream of its task
            all_next = self._has_own and place + 1 < last
            wanted = self.tasks if all_next else tasks
            streams, shared = level(streams, shared, wanted)
        return {task: streams[task] for task in tasks}

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        last = len(self.levels) - 1
        for place, level in enumerate(self.levels):
            assert isinstance(level, _Level)
            if place >= last - 1 or not self._has_own:
                yield from level.gates[task].parameters()
            if place == last and level.own is not None:
                yield from level.own[task].parameters()

    def describe(self) -> dict[str, Any]:
        """Return the mean weights of each gate in training, level by level if there are several."""
        levels = [level.describe() for level in self.levels if isinstance(level, _Level)]
        return levels[0] if len(levels) == 1 else {"levels": levels}


class _Level(nn.Module):
    def __init__(
        self,
        part: Stages,
        features: Features,
        tasks: Sequence[str],
        experts: int,
        task_experts: int,
        top_k: int | None,
        *,
        last: bool,
    ) -> None:
        super().__init__()
        self.features, self.picks = features, top_k is not None
        count = experts + task_experts * len(tasks)
        copies = part.copies(count)
        self.shared = together(copies[:experts])
        starts = range(experts, count, task_experts) if task_experts else ()
        own = [together(copies[start : start + task_experts]) for start in starts]
        self.own = ByTask(dict(zip(tasks, own, strict=True))) if own else None
        width = features.width
        gates = {task: Gate(width, task_experts + experts, top_k) for task in tasks}
        self.gates = ByTask(gates)
        self.shared_gate = None if last else Gate(width, count)

    def forward(
        self, streams: dict[str, Tensor], shared: Tensor, wanted: Sequence[str]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the next streams of ``wanted``, and the next shared one if there is one."""
        pooled = self.features.pooled
        weights = {task: self.gates[task](pooled(streams[task])) for task in wanted}
        # only one level without experts of tasks has top_k, so no other gate reads these experts
        picked = counting(weights.values()) if self.picks else None
        common = self.shared(shared, picked)
        own: dict[str, Tensor] = {}
        if self.own is not None:
            working = self.own.names if self.shared_gate is not None else wanted
            own = {task: self.own[task](streams[task]) for task in working}
        following = {
            task: mixed(weights[task], [own[task], common] if own else [common]) for task in wanted
        }
        if self.shared_gate is not None:
            shared = mixed(self.shared_gate(pooled(shared)), [*own.values(), common])
        return following, shared

    def describe(self) -> dict[str, Any]:
        gates = {task: self.gates[task].mean.tolist() for task in self.gates.names}
        shared = {} if self.shared_gate is None else {"shared_gate": self.shared_gate.mean.tolist()}
        return {"gates": gates, **shared}
