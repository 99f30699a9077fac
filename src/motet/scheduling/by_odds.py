"""Tasks drawn at random, each with its own probability: what most schedulers have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from random import Random as Generator

from motet.scheduling.base import Scheduler, checked_count
from motet.seeds import derive


class ByOdds(Scheduler):
    """Draws ``tasks_per_step`` different tasks at each step.

    The first is drawn with probability p_k, the odds of a task over the sum of all odds; each
    further one in the same way from those that are left. So with several tasks per step a task is
    part of fewer steps than ``tasks_per_step`` x p_k, if it is likely, or of more, if it is not.

    Args:
        tasks: Names of all tasks of the model.
        tasks_per_step: Number of tasks that train at each step.
    """

    def __init__(self, tasks: Sequence[str], tasks_per_step: int = 1) -> None:
        super().__init__(tasks)
        self.tasks_per_step = checked_count(tasks_per_step, self.tasks)

    @abstractmethod
    def odds(self, tasks: Sequence[str]) -> Sequence[float]:
        """Return how often each task is drawn in relation to the others; 0 for never."""

    def probabilities(self, tasks: Sequence[str]) -> Sequence[float]:
        odds = self.odds(tasks)
        total = sum(odds)
        return [each / total for each in odds]

    def tasks_for(self, step: int, tasks: Sequence[str]) -> Sequence[str]:
        drawn = draw(self.odds(tasks), self.tasks_per_step, self.facts.seed, step)
        return [tasks[place] for place in drawn]


def draw(odds: Sequence[float], count: int, seed: int, step: int) -> list[int]:
    """Draw without replacement.

    Args:
        odds: Relative probability of each place; those with 0 are never drawn.
        count: How many to draw; fewer if there are not so many.
        seed: With ``step`` determines the draw.
        step: Number of the step.

    Returns:
        Places in ``odds``, in the order of the draw.
    """
    generator = Generator(derive(seed, "schedule", step))
    left = {place: each for place, each in enumerate(odds) if each > 0}
    drawn: list[int] = []
    for _ in range(min(count, len(left))):
        drawn += generator.choices(list(left), list(left.values()))
        del left[drawn[-1]]
    return drawn
