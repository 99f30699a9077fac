"""Task gradients of every kind that a solver has to live with."""

import numpy as np
from hypothesis import strategies as st


def gradients(kind, count, seed):
    """A Jacobian (T, P) in float64."""
    rng = np.random.default_rng(seed)
    width = {"dependent": max(1, count // 2), "one parameter": 1}.get(kind, 2 * count + 3)
    rows = rng.normal(size=(count, width))
    half = count // 2
    if kind == "uneven":
        rows *= 10.0 ** rng.uniform(-3, 3, size=(count, 1))
    if kind == "agreeing":
        rows += 3 * rng.normal(size=width)
    if kind == "conflicting":
        rows -= 1.05 * rows.mean(axis=0)
    if kind == "identical":
        rows[half:] = rows[: count - half]
    if kind == "opposed":
        rows[count - half :] = -rows[:half]
    if kind == "one zero":
        rows[seed % count] = 0.0
    if kind == "all zero":
        rows[:] = 0.0
    return rows


INDEPENDENT = ("plain", "uneven", "agreeing", "conflicting")
KINDS = (
    *INDEPENDENT,
    "dependent",
    "one parameter",
    "identical",
    "opposed",
    "one zero",
    "all zero",
)


def jacobians(kinds=KINDS, smallest=1, largest=9):
    counts, seeds = st.integers(smallest, largest), st.integers(0, 10**6)
    return st.builds(gradients, st.sampled_from(kinds), counts, seeds)
