"""Candidates of a method, and which of them are trained for how long: successive halving."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from motet.seeds import derive

KEPT = 3
"""One candidate in so many is kept after a rung, which has so many times the epochs of the last."""
_RUNGS = 3


def task_weights(tasks: Sequence[str], count: int, seed: int) -> list[dict[str, float]]:
    """Return weights of tasks, mean 1, from near equal ones on.

    The first are equal. The others of two tasks are evenly spaced; those of more tasks are drawn
    from the flat Dirichlet distribution.

    Args:
        tasks: Names of the tasks.
        count: Number of weights.
        seed: Seed of the draws.

    Returns:
        Weights by task. A smaller ``count`` gives the first of them for more than two tasks.

    Example:
        >>> task_weights(["a", "b"], 3, seed=0)
        [{'a': 1.0, 'b': 1.0}, {'a': 0.5, 'b': 1.5}, {'a': 1.5, 'b': 0.5}]
    """
    size = len(tasks)
    if size == 2:
        places = np.arange(1, count + 1 + (count % 2 == 0)) / (count + 1 + (count % 2 == 0))
        points = np.stack([places, 1 - places], axis=1)
        points = points[np.argsort(abs(places - 0.5).round(9), kind="stable")][:count]
    else:
        random = np.random.default_rng(derive(seed, "weights of scalarisation"))
        drawn = random.dirichlet(np.ones(size), size=max(count - 1, 0))
        points = np.concatenate([np.full((1, size), 1 / size), drawn])
    return [
        {task: float(f"{size * share:.3g}") for task, share in zip(tasks, point, strict=True)}
        for point in points
    ]


@dataclass(frozen=True)
class Rung:
    """One round of the search."""

    count: int
    """How many candidates are trained."""
    epochs: int


def rungs(count: int, epochs: int, shortest: int = 1) -> list[Rung]:
    """Return the rounds of successive halving.

    After Jamieson and Talwalkar, AISTATS 2016, arXiv:1502.07943. Each round keeps a third of the
    candidates and triples their epochs; the last trains as long as the final model. Learning rates
    follow their schedule to its end in every round.

    Args:
        count: Number of candidates.
        epochs: Epochs of the final model.
        shortest: The fewest epochs that the config takes.

    Returns:
        The rounds; none where there is nothing to choose.

    Example:
        >>> [(rung.count, rung.epochs) for rung in rungs(27, 20)]
        [(27, 2), (9, 7), (3, 20)]
    """
    return list(_rungs(count, epochs, shortest)) if count > 1 else []


def lengths(epochs: int, rounds: int = _RUNGS) -> list[int]:
    """Return the epochs of so many rounds, growing."""
    return [max(1, round(epochs / KEPT**place)) for place in reversed(range(rounds))]


def _rungs(count: int, epochs: int, shortest: int) -> Iterator[Rung]:
    counts = [count]
    while counts[-1] > KEPT and len(counts) < _RUNGS:
        counts.append(-(-counts[-1] // KEPT))
    known = [max(min(shortest, epochs), each) for each in lengths(epochs, len(counts))]
    for place, (each, length) in enumerate(zip(counts, known, strict=True)):
        if length not in known[:place]:  # of few epochs, where rounds would be equally long
            yield Rung(each, length)
