"""The tests of a suggestion where the metric has no value, or rows have weights."""

import numpy as np
import pytest

from motet.comparing import margins
from motet.comparing.margins import Levels
from motet.comparing.summary import TaskMetric

METRICS = {"a": TaskMetric("auroc", True, 1.0), "b": TaskMetric("accuracy", True, 1.0)}
LEVELS = Levels(0.02, 0.05)


class Rows:
    """Scores of rows, in place of `motet.run.scoring.Scored`."""

    def __init__(self, scores, weights=None):
        self.scores, self.weights, self.units = np.asarray(scores, dtype=float), weights, None

    def __len__(self):
        return len(self.scores)

    def on(self, rows):
        weights = None if self.weights is None else self.weights[rows]
        return float(np.average(self.scores[rows], weights=weights))

    def right(self):
        return self.scores


class OnePositive(Rows):
    """A metric that has no value without the first row, as AUROC without the only positive one."""

    def on(self, rows):
        return super().on(rows) if 0 in rows else np.nan


def test_a_metric_without_a_value_gives_no_verdict():
    ours, alone = {"a": OnePositive(np.ones(100))}, {"a": OnePositive(np.ones(100))}
    found = margins.tested(ours, alone, METRICS, LEVELS)["a"]
    assert (found.verdict, found.p, found.rows) == ("cannot tell", 1.0, 100)
    assert found.difference == 0


def test_an_accuracy_of_weighted_rows_is_tested_as_such():
    """The shared model is wrong only where rows count: the unweighted difference is small."""
    right, weights = np.ones(1000), np.r_[np.full(10, 100.0), np.ones(990)]
    wrong = right.copy()
    wrong[:10] = 0
    found = margins.tested(
        {"b": Rows(wrong, weights)}, {"b": Rows(right, weights)}, METRICS, LEVELS
    )
    assert found["b"].difference == pytest.approx(-1000 / 1990)
    assert found["b"].verdict == "cannot tell"
