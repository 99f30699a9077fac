"""Easy tasks first, then more and more of them."""

import math
from typing import Literal, final

import torch
from torch import nn

from motet.options import Mapping, PositiveInt, PositiveShare, Sequence, checked
from motet.problems import InputError, hint
from motet.scheduling.base import Need
from motet.scheduling.by_odds import ByOdds


@final
class Curriculum(ByOdds):
    """Draw from the easiest tasks at first, and from more and more of them as training proceeds.

    When a share u of the training is done, the first ⌈T (s + (1 - s) min(1, u / a))⌉ tasks in
    ``order`` are drawn, all with equal probability; s is ``start`` and a ``all_from``. The best
    weights are chosen among those of epochs in which all tasks are drawn.

    Args:
        tasks: Names of the tasks.
        order: All tasks from the easiest to the most difficult; ``loss``: by the first loss of
            each, the lowest first; ``score``: by the first validation score, the highest first.
            Until these are known, all tasks are drawn. The order of the config if left out.
        start: Share of the tasks that train from the first step on.
        all_from: Share of the training after which all tasks train.
        tasks_per_step: Number of tasks that train at each step.

    Raises:
        InputError: If ``order`` has an unknown task, or lacks one.

    Example:
        >>> from motet.scheduling import Progress
        >>> scheduler = Curriculum(["a", "b", "c", "d"], order=["d", "c", "b", "a"])
        >>> scheduler.facts.progress = Progress(epoch=3, epochs=10)
        >>> scheduler.probabilities(["a", "b", "c", "d"])
        [0.0, 0.0, 0.5, 0.5]
    """

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        order: Sequence[str] | Literal["loss", "score"] | None = None,
        start: PositiveShare = 0.25,
        all_from: PositiveShare = 0.8,
        tasks_per_step: PositiveInt = 1,
    ) -> None:
        super().__init__(tasks, tasks_per_step)
        self.start, self.all_from = start, all_from
        self.needs = frozenset[Need]({"progress"})
        if order == "loss":
            self.needs |= {"losses"}
        elif order == "score":
            self.needs |= {"scores"}
        ranks = torch.full((len(self.tasks),), math.nan, dtype=torch.float64)
        if not isinstance(order, str):
            ranks = _ranks(self.tasks if order is None else order, self.tasks)
        self.difficulty = nn.Buffer(ranks)

    def odds(self, tasks: Sequence[str]) -> Sequence[float]:
        closed = set(self.waiting(tasks))
        return [float(task not in closed) for task in tasks]

    def waiting(self, tasks: Sequence[str]) -> Sequence[str]:
        difficulty = dict(zip(self.tasks, self.difficulty.tolist(), strict=True))
        if any(math.isnan(difficulty[task]) for task in tasks):
            return ()
        grown = min(1.0, self.progress.share / self.all_from)
        count = math.ceil(len(tasks) * (self.start + (1 - self.start) * grown) - 1e-9)
        return sorted(tasks, key=difficulty.__getitem__)[count:]

    def observe_losses(self, losses: Mapping[str, float]) -> None:
        self._learn(losses)

    def observe_scores(self, scores: Mapping[str, float]) -> None:
        self._learn({task: -score for task, score in scores.items()})

    def _learn(self, difficulty: Mapping[str, float]) -> None:
        """Keep the first value of each task."""
        for place, task in enumerate(self.tasks):
            if task in difficulty and self.difficulty[place].isnan():
                self.difficulty[place] = difficulty[task]


def _ranks(order: Sequence[str], tasks: Sequence[str]) -> torch.Tensor:
    for name in order:
        if name not in tasks:
            raise InputError(f"no task is named {name!r}; {hint(name, tasks)}", option="order")
    if sorted(order) != sorted(tasks):
        left = [task for task in tasks if task not in order]
        what = f"{', '.join(left)} left out" if left else "a task twice"
        raise InputError(
            f"found {', '.join(order)}, with {what}; expected each task once, the easiest first",
            option="order",
        )
    return torch.tensor([float(order.index(task)) for task in tasks], dtype=torch.float64)
