"""Progressive networks: a column per task, each reading those before it and never changing them."""

from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.options import Annotated, OnlyWith, PositiveInt, Sequence, StrictBool, checked
from motet.problems import InputError, hint
from motet.sharing.base import SharedModule, Sharing
from motet.sharing.by_task import ByTask
from motet.sharing.features import Features
from motet.sharing.stages import Stages


@final
class Progressive(Sharing):
    """Give each task a column that reads the columns before (Rusu et al. 2016, arXiv:1606.04671).

    Columns are copies of the encoder. From the second stage on, a column of a later task adds to
    the state h that its stage is given what lateral connections make of the states h₁, ... of the
    columns before: V relu(U [α₁ h₁; α₂ h₂; ...]) with adapters, Σ Vⱼ hⱼ without. We add to what a
    stage is given, where the paper adds inside of the layer; for a linear layer W that is the same
    with W V for V. Laterals begin at zero, so that a column begins as a network by itself. No
    gradient flows into the columns before, which are read as in evaluation unless their own task
    is computed too. So tasks share no parameter, and there is nothing to balance.

    Cost: a network per task; a task needs its own column and, with laterals, those before.

    Args:
        order: The tasks, first to last; as they are listed if left out.
        lateral: Whether columns read those before; otherwise they are separate networks.
        adapters: Whether laterals have a hidden layer, as wide as the stage; true if left out.
        epochs: How many epochs a column trains before the next one takes its turn; the last trains
            to the end, and columns before stay as they are, bit for bit, with their heads. All
            train at once if left out. Choose ``lr_schedule: constant`` with it: other schedules
            count the epochs of all columns together.
    """

    carries = ("rows", "map")

    @checked
    def __init__(
        self,
        *,
        order: Sequence[str] | None = None,
        lateral: StrictBool = True,
        adapters: Annotated[StrictBool | None, OnlyWith("lateral", (True,))] = None,
        epochs: PositiveInt | None = None,
    ) -> None:
        self.order, self.lateral, self.epochs = order, lateral, epochs
        self.adapters = adapters is not False

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        stages = Stages.of(stages)
        order = self._order(tasks)
        features: dict[int, Features] = {}
        if self.lateral and len(tasks) > 1:
            _require_two(stages)
        if self.lateral:
            features = {place: stages.features(place - 1) for place in range(1, len(stages))}
        columns = [
            _Column(copy, features, number, adapters=self.adapters)
            for number, copy in enumerate(stages.copies(len(order)))
        ]
        return _ProgressiveModule(self, dict(zip(order, columns, strict=True)), features, width)

    def _order(self, tasks: Sequence[str]) -> list[str]:
        order = list(tasks if self.order is None else self.order)
        for task in order:
            if task not in tasks:
                raise InputError(
                    f"found {task!r}, which is not a task here; {hint(task, tasks)} (the order "
                    "within a group is that in which groups lists its tasks)",
                    option="order",
                )
        if sorted(order) != sorted(tasks):
            raise InputError(
                f"found {', '.join(order)}, expected each task once: {', '.join(tasks)}",
                option="order",
            )
        return order


def _require_two(stages: Stages) -> None:
    stages.require(
        2,
        "lateral connections are made between stages",
        "set lateral: false, for a network per task by itself",
    )


class _Column(nn.Module):
    """The stages of a task, and lateral connections by the place of the stage they lead to."""

    def __init__(
        self, stages: Stages, features: dict[int, Features], before: int, *, adapters: bool
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        read = features if before else {}
        self.laterals = nn.ModuleDict(
            {str(place): _Lateral(each, before, adapters) for place, each in read.items()}
        )

    def forward(self, inputs: Any, before: Sequence[Sequence[Tensor]]) -> list[Any]:
        """Return what each stage gives; ``before`` has the same of the columns before."""
        states = [inputs]
        for place, stage in enumerate(self.stages):
            state = states[-1]
            if str(place) in self.laterals:
                state = state + self.laterals[str(place)]([each[place - 1] for each in before])
            states.append(stage(state))
        return states[1:]


class _Lateral(nn.Module):
    """From the states of the columns before to what is added to a state."""

    def __init__(self, features: Features, before: int, adapters: bool) -> None:
        super().__init__()
        self._features = features
        self.scale = nn.Parameter(torch.ones(before)) if adapters else None
        self.adapter = nn.Linear(before * features.width, features.width) if adapters else None
        inner = features.width * (1 if adapters else before)
        self.out = nn.Linear(inner, features.width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        for state in states:
            self._features.check(state)
        first = self._features.channels_first
        given = [state.movedim(1, -1) if first else state for state in states]
        if self.adapter is None or self.scale is None:
            hidden = torch.cat(given, dim=-1)
        else:
            scaled = [scale * state for scale, state in zip(self.scale, given, strict=True)]
            hidden = functional.relu(self.adapter(torch.cat(scaled, dim=-1)))
        added: Tensor = self.out(hidden)
        return added.movedim(-1, 1) if first else added


class _ProgressiveModule(SharedModule):
    def __init__(
        self,
        scheme: Progressive,
        columns: dict[str, _Column],
        features: dict[int, Features],
        width: int,
    ) -> None:
        super().__init__()
        self.columns, self.width = ByTask(columns), width
        self._scheme, self._features = scheme, features

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        known: list[list[Tensor]] = []
        states = {}
        reads = any(self.columns[task].laterals for task in tasks)
        for task in self._needed(tasks) if reads else tasks:
            column = self.columns[task]
            if task in tasks:
                found = column(inputs, known)
                states[task] = found[-1]
            else:
                found = _undisturbed(column, inputs, known)
            known.append([state.detach() for state in found] if reads else [])
        return {task: states[task] for task in tasks}

    def _needed(self, tasks: Sequence[str]) -> Sequence[str]:
        """Return, in order, the tasks and those whose columns they read."""
        names = self.columns.names
        return names[: 1 + max(names.index(task) for task in tasks)]

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        yield from self.columns[task].parameters()

    def add_task(self, task: str) -> None:
        """Add a column after all others."""
        names = self.columns.names
        stages = Stages.of(self.columns[names[-1]].stages)
        if self._scheme.lateral:
            _require_two(stages)
        column = _Column(stages.fresh(), self._features, len(names), adapters=self._scheme.adapters)
        like = next(self.parameters())
        self.columns.add(task, column.to(like.device, like.dtype))

    def trained_at(self, epoch: float, tasks: Sequence[str]) -> list[str]:
        if self._scheme.epochs is None:
            return list(tasks)
        order = [task for task in self.columns.names if task in tasks]
        turn = int(min((epoch - 1) / self._scheme.epochs, len(order) - 1))
        return order[turn : turn + 1]

    @torch.no_grad()
    def describe(self) -> dict[str, Any]:
        """Return the order, and the norms of the laterals to each stage; 0 where none is used."""
        laterals: dict[str, dict[str, float]] = {}
        for task in self.columns.names:
            pairs = self.columns[task].laterals.items()
            norms = {
                f"stage {int(place) + 1}": float(torch.linalg.vector_norm(lateral.out.weight))
                for place, lateral in pairs
                if isinstance(lateral, _Lateral)
            }
            laterals |= {task: norms} if norms else {}
        return {"order": list(self.columns.names)} | ({"laterals": laterals} if laterals else {})


@torch.no_grad()
def _undisturbed(column: _Column, inputs: Any, before: Sequence[Sequence[Tensor]]) -> list[Any]:
    """Run a column as in evaluation: no dropout, and the averages of its norms stay."""
    training = column.training
    column.eval()
    try:
        found: list[Any] = column(inputs, before)
    finally:
        column.train(training)
    return found
