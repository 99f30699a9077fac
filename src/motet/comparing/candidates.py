"""Weights of tasks that a weighted sum of the losses is chosen from."""

from collections.abc import Sequence

import numpy as np

from motet.seeds import derive


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
