"""Tasks in turn."""

from random import Random as Generator
from typing import final

import torch
from torch import nn

from motet.options import PositiveInt, Sequence, StrictBool, checked
from motet.scheduling.base import Scheduler, checked_count
from motet.seeds import derive


@final
class RoundRobin(Scheduler):
    """Train tasks in turn, step s the task s mod T, so each once in T steps.

    Args:
        tasks: Names of the tasks.
        shuffle: Whether every cycle has a new order. If a step takes the last tasks of one cycle
            and the first of the next, it takes different ones.
        tasks_per_step: Number of tasks that train at each step: the next ones.
    """

    @checked
    def __init__(
        self, tasks: Sequence[str], *, shuffle: StrictBool = False, tasks_per_step: PositiveInt = 1
    ) -> None:
        super().__init__(tasks)
        self.shuffle = shuffle
        self.tasks_per_step = checked_count(tasks_per_step, self.tasks)
        if shuffle:
            self.cycles = nn.Buffer(torch.tensor(0))
            self.left = nn.Buffer(torch.full((len(self.tasks),), -1))  # places of tasks, then -1

    def tasks_for(self, step: int, tasks: Sequence[str]) -> Sequence[str]:
        count = min(self.tasks_per_step, len(tasks))
        if self.shuffle:
            return self._shuffled(tasks, count)
        first = step * self.tasks_per_step
        return [tasks[(first + place) % len(tasks)] for place in range(count)]

    def probabilities(self, tasks: Sequence[str]) -> Sequence[float]:
        return [1 / len(tasks)] * len(tasks)

    def _shuffled(self, tasks: Sequence[str], count: int) -> list[str]:
        names = [self.tasks[place] for place in self.left.tolist() if place >= 0]
        left = [name for name in names if name in tasks]
        chosen, left = left[:count], left[count:]
        if len(chosen) < count:
            following = list(tasks)
            seed = derive(self.facts.seed, "schedule/cycle", int(self.cycles))
            Generator(seed).shuffle(following)
            self.cycles.add_(1)
            more = [name for name in following if name not in chosen][: count - len(chosen)]
            chosen, left = [*chosen, *more], [name for name in following if name not in more]
        places = [self.tasks.index(name) for name in left]
        self.left.copy_(torch.tensor(places + [-1] * (len(self.tasks) - len(places))))
        return chosen
