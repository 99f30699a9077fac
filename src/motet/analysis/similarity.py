"""Similarity of tasks, from what was measured of each: a matrix with entries of 1 at most.

Five kinds of measurement, one file each for those that need more than a few lines: gradients and
scores here, `representations` (CKA) and `label_information` (mutual information of labels).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import nan, sqrt
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from motet.analysis.label_information import adjusted_information, as_codes
from motet.analysis.numbers import Numbers, as_numbers, finite_numbers
from motet.analysis.representations import cka
from motet.problems import InputError, hint

By = Literal["gradients", "performance", "curves", "representations", "labels"]
"""What similarity is computed from."""

FEWEST_EVALUATIONS = 12
"""Below this, second differences of learning curves have too large a spread."""


@dataclass(frozen=True, eq=False)
class Similarity:
    """Similarity of every two tasks."""

    tasks: tuple[str, ...]
    """The tasks, in the order of rows and columns."""
    matrix: Numbers
    """(T, T), symmetric, 1 on the diagonal; NaN where it is not defined, as with a constant."""
    counts: NDArray[np.int64]
    """Rows, steps or evaluations that each entry is computed from, (T, T)."""
    spread: float | None = None
    """Standard deviation that entries of unrelated tasks have, where it is known; of scores, with
    the smallest count."""


def similarity(values: Mapping[str, Any], *, by: By, decay: float | None = None) -> Similarity:
    """Compute how similar tasks are.

    Args:
        values: For each task, with the same rows, steps or evaluations in the same order,

            - ``gradients``: its gradient on the shared parameters at each step, (S, P), or of one
              step, (P,); NaN at steps without the task. Mean cosine over steps; the gradient of 0
              has cosine 0 with all.
            - ``performance``: a score for each row, (N,), such as whether it is right or its
              residual; NaN where there is none. Pearson correlation over shared rows.
            - ``curves``: a learning curve, (E,). Pearson correlation of second differences: curves
              that improve are all correlated, whatever the tasks.
            - ``representations``: its own representation of the rows, (N, D). Linear CKA, without
              bias, see `cka`. If tasks share the representation all are 1.
            - ``labels``: labels, (N,), None or NaN where missing. Adjusted mutual information over
              shared rows, see `adjusted_information`; of more than 20 different numbers in ten bins
              of equal counts.
        by: Which of these.
        decay: For gradients, how much the mean forgets at a step: weights of 0.99 per step of age
            with 0.99. All steps count alike if left out.

    Returns:
        The similarities.

    Raises:
        InputError: If there are fewer than two tasks, shapes do not fit, ``by`` is unknown, or
            curves have fewer than 12 evaluations.

    Example:
        >>> right = {"a": [1, 1, 1, 1, 0, 0, 0, 0], "b": [1, 1, 1, 0, 0, 0, 0, 1]}
        >>> float(similarity(right, by="performance").matrix[0, 1])
        0.5
    """
    if by not in get_args(By):
        raise InputError(f"found {by!r}; {hint(str(by), get_args(By))}", option="by")
    if len(values) < 2:
        raise InputError(f"found {len(values)} tasks; expected at least two", option="values")
    if decay is not None and by != "gradients":
        raise InputError(f"it has no effect on {by}; leave it out", option="decay")
    tasks = tuple(values)
    if by == "gradients":
        return _of_gradients(_stacked(values, by, "(S, P) or (P,)", (1, 2)), tasks, decay)
    if by == "performance":
        scores = _stacked(values, by, "(N,)", (1,))
        found = _by_pair(tasks, list(scores), ~np.isnan(scores), correlation_or_nan)
        fewest = int(found.counts.min())
        return replace(found, spread=1 / sqrt(fewest - 1) if fewest > 1 else nan)
    if by == "curves":
        return _of_curves(_stacked(values, by, "(E,)", (1,)), tasks)
    if by == "representations":
        states = [as_numbers(each, f"values: {by} of {task!r}") for task, each in values.items()]
        _check_lengths(tasks, [each.shape[:1] for each in states])
        everywhere = np.ones((len(tasks), len(states[0])), dtype=bool)
        return _by_pair(tasks, states, everywhere, cka)
    codes = [as_codes(labels) for labels in values.values()]
    _check_lengths(tasks, [each.shape for each in codes])
    return _by_pair(tasks, codes, np.array(codes) >= 0, adjusted_information)


def correlation(a: Any, b: Any) -> float:
    """Compute Pearson's correlation.

    Args:
        a: Numbers, (N,).
        b: Numbers, (N,).

    Returns:
        Between -1 and 1; NaN if one is constant.

    Raises:
        InputError: If one is not finite, or the lengths differ.

    Example:
        >>> round(correlation([1, 2, 3], [1, 2, 4]), 4)
        0.982
    """
    first, second = finite_numbers(a, "a"), finite_numbers(b, "b")
    if len(first) != len(second):
        raise InputError(
            f"found {len(first)} numbers in a and {len(second)} in b; expected as many"
        )
    return correlation_or_nan(first, second)


def correlation_or_nan(a: Numbers, b: Numbers) -> float:
    """Compute Pearson's correlation of finite numbers, NaN of fewer than two or a constant."""
    if len(a) < 2 or (a == a[0]).all() or (b == b[0]).all():
        return nan
    first, second = a - a.mean(), b - b.mean()
    found = first @ second / np.sqrt((first @ first) * (second @ second))
    return float(np.clip(found, -1, 1))


def _of_gradients(gradients: Numbers, tasks: tuple[str, ...], decay: float | None) -> Similarity:
    steps = gradients[:, None] if gradients.ndim == 2 else gradients  # (T, S, P)
    present: NDArray[np.bool_] = np.asarray(np.isfinite(steps).all(axis=2))
    norms = np.linalg.norm(np.where(present[..., None], steps, 0), axis=2, keepdims=True)
    unit = np.where(present[..., None], steps, 0) / np.where(norms > 0, norms, 1)
    cosines = np.einsum("isp,jsp->ijs", unit, unit)
    both = present[:, None] & present[None]
    later = both[..., ::-1].cumsum(axis=2)[..., ::-1] - both
    if decay is not None and not 0 < decay < 1:
        raise InputError(f"found {decay}; expected a number between 0 and 1", option="decay")
    weights = both * (1.0 if decay is None else decay**later)
    totals = weights.sum(axis=2)
    matrix = np.where(
        totals > 0, (weights * cosines).sum(axis=2) / np.where(totals > 0, totals, 1), nan
    )
    np.fill_diagonal(matrix, 1)
    return Similarity(tasks, matrix, both.sum(axis=2))


def _of_curves(curves: Numbers, tasks: tuple[str, ...]) -> Similarity:
    count = curves.shape[1]
    if count < FEWEST_EVALUATIONS:
        raise InputError(
            f"found curves of {count} evaluations; expected at least {FEWEST_EVALUATIONS}, as the "
            "correlation of shorter ones is noise; evaluate more often, or use another measurement",
            option="values",
        )
    bent = np.diff(curves, n=2, axis=1)
    found = _by_pair(tasks, list(bent), np.ones(bent.shape, dtype=bool), correlation_or_nan)
    # Second differences of noise are correlated by -2/3 and 1/6 with the next two (Bartlett 1935).
    spread = sqrt((1 + 2 * ((2 / 3) ** 2 + (1 / 6) ** 2)) / (count - 2))
    return replace(found, spread=spread)


def _by_pair(
    tasks: tuple[str, ...],
    values: list[NDArray[Any]],
    known: NDArray[np.bool_],
    measure: Callable[[Any, Any], float],
) -> Similarity:
    """Measure every two tasks on the rows that both have, ``known`` (T, N)."""
    matrix = np.eye(len(tasks))
    for i in range(len(tasks)):
        for j in range(i):
            both = known[i] & known[j]
            matrix[i, j] = matrix[j, i] = measure(values[i][both], values[j][both])
    counts = known.astype(np.int64) @ known.T.astype(np.int64)
    return Similarity(tasks, matrix, counts)


def _stacked(values: Mapping[str, Any], by: str, shape: str, dims: tuple[int, ...]) -> Numbers:
    arrays = [as_numbers(each, f"values: {by} of {task!r}") for task, each in values.items()]
    for task, each in zip(values, arrays, strict=True):
        if each.ndim not in dims:
            raise InputError(
                f"found shape {each.shape} of {task!r}; expected {shape}", option="values"
            )
        if np.isinf(each).any():
            raise InputError(
                f"found an infinite number of {task!r}; leave out what overflowed, or give NaN",
                option="values",
            )
        if by == "curves" and not np.isfinite(each).all():
            raise InputError(
                f"found a curve of {task!r} that is not finite; expected a number for every "
                "evaluation, the same ones for all tasks",
                option="values",
            )
    _check_lengths(tuple(values), [each.shape for each in arrays])
    return np.stack(arrays)


def _check_lengths(tasks: tuple[str, ...], shapes: list[tuple[int, ...]]) -> None:
    for task, shape in zip(tasks, shapes, strict=True):
        if shape != shapes[0]:
            raise InputError(
                f"found shape {shape} of {task!r} and {shapes[0]} of {tasks[0]!r}; expected the "
                "same rows, steps or evaluations of every task, in the same order",
                option="values",
            )
