"""Metrics of generated texts: compared token by token, without what ends them."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motet.tasks.labels import MISSING
from motet.tasks.metric import ScoredRows, Totals, gathering, of_loss, share


@gathering("text")
def exact_match(rows: ScoredRows) -> Totals:
    """Return the share of texts that are right in every token."""
    right = (rows.value == rows.target).all(dim=1)
    return Totals((right.sum(), torch.tensor(len(right))), share)


@gathering("text")
def token_f1(rows: ScoredRows) -> Totals:
    """Return the mean over rows of 2 common / (true + generated) tokens, in any order.

    A token counts as often as it occurs in both; two empty texts have 1 (Rajpurkar et al., EMNLP
    2016, arXiv:1606.05250).
    """
    scores = f1_of_rows(rows)
    return Totals((scores.sum(), torch.tensor(len(scores))), share)


def f1_of_rows(rows: ScoredRows) -> Tensor:
    """Return the token F1 of each row (N,), float64."""
    value, target = (each.cpu().numpy() for each in (rows.value, rows.target))
    common = _common(value, target)
    sizes = (value != MISSING).sum(axis=1) + (target != MISSING).sum(axis=1)
    return torch.tensor(np.where(sizes > 0, 2 * common / np.maximum(sizes, 1), 1.0))


def _common(value: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the tokens of each row that are in both, each as often as it is, (N,)."""
    most = 1 + int(max(value.max(initial=0), target.max(initial=0)))
    (own, often), (true, truly) = (_counted(each, most) for each in (value, target))
    shared, one, other = np.intersect1d(own, true, assume_unique=True, return_indices=True)
    least = np.minimum(often[one], truly[other])
    found: NDArray[np.int64] = np.bincount(shared // most, least, minlength=len(value))
    return found


def _counted(texts: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a number for each token of a row, and how often it occurs there."""
    row, place = np.nonzero(texts != MISSING)
    return np.unique(row * most + texts[row, place], return_counts=True)


@of_loss("text")
def perplexity(loss: float) -> float:
    """Return exp(sum of -log p / number of tokens): over all tokens, whatever the batches."""
    return math.exp(loss) if loss < 700 else math.inf
