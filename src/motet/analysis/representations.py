"""Similarity of two representations of the same rows (Kornblith et al., ICML 2019)."""

from math import nan
from typing import Any

import numpy as np

from motet.analysis.numbers import Numbers, as_numbers
from motet.problems import InputError


def cka(a: Any, b: Any, *, debiased: bool = True) -> float:
    """Compute the linear centered kernel alignment (arXiv:1905.00414).

    It does not change when a representation is rotated, or multiplied by one number. With few rows
    independent representations appear similar (50 rows of 200 features: 0.80), so by default it is
    computed from the unbiased estimator of HSIC (Song et al., JMLR 2012; Nguyen et al., ICLR 2021).

    Args:
        a: (N, D) features.
        b: (N, E) features of the same rows.
        debiased: Whether to use the unbiased estimator, which needs four rows and is negative at
            times.

    Returns:
        1 for the same representation; near 0 for independent ones; NaN if one is constant.

    Raises:
        InputError: If they are not finite matrices with as many rows, or there are too few.
    """
    first, second = _matrix(a, "a"), _matrix(b, "b")
    if len(first) != len(second) or len(first) < (4 if debiased else 2):
        raise InputError(
            f"found {len(first)} and {len(second)} rows; expected the same rows of both, at least "
            f"{4 if debiased else 2}"
        )
    hsic = _unbiased if debiased else _biased
    scale = hsic(first, first) * hsic(second, second)
    return float(hsic(first, second) / np.sqrt(scale)) if scale > 0 else nan


def _biased(a: Numbers, b: Numbers) -> float:
    return float(np.square(b.T @ a).sum())


def _unbiased(a: Numbers, b: Numbers) -> float:
    """Return HSIC with the diagonals of both kernels set to 0, from features alone."""
    n = len(a)
    own_a, own_b = np.square(a).sum(axis=1), np.square(b).sum(axis=1)  # diagonals, (N,)
    rows_a, rows_b = a @ a.sum(axis=0) - own_a, b @ b.sum(axis=0) - own_b  # sums of rows, (N,)
    both = np.square(b.T @ a).sum() - own_a @ own_b
    corrected = rows_a.sum() * rows_b.sum() / ((n - 1) * (n - 2)) - 2 * (rows_a @ rows_b) / (n - 2)
    return float(both + corrected)


def _matrix(values: Any, name: str) -> Numbers:
    found = as_numbers(values, name)
    if found.ndim != 2 or not np.isfinite(found).all():
        raise InputError(
            f"found shape {found.shape}, all finite: {bool(np.isfinite(found).all())}; expected "
            "finite numbers, (rows, features)",
            option=name,
        )
    centred: Numbers = found - found.mean(axis=0)
    return centred
