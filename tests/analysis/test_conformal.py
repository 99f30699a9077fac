"""Intervals and sets hold the truth as often as stated, over many simulated sets of rows."""

import numpy as np
import pytest
from scipy import stats

from motet.analysis.conformal import (
    class_scores,
    class_sets,
    fewest,
    quantile_scores,
    require,
    residual_scores,
    threshold,
)
from motet.problems import InputError

SETS = 2000


def held(covered):
    """Whether a share over sets of one new row each is as stated, in the binomial error."""
    return stats.binomtest(int(np.sum(covered)), len(covered), 0.8).pvalue


@pytest.mark.parametrize("rows", [4, 9, 24, 99])
def test_a_new_score_is_up_to_the_threshold_as_often_as_stated(rows):
    # at these numbers of rows the probability is exactly the level: (n + 1) * 0.8 is whole
    scores = np.random.default_rng(rows).exponential(size=(SETS, rows + 1))
    covered = [each[-1] <= threshold(each[:-1], 0.8) for each in scores]
    assert held(covered) > 0.001


def test_intervals_of_numbers_cover_whatever_the_model_is():
    rng, covered, widths = np.random.default_rng(0), [], []
    for _ in range(SETS):
        x = rng.uniform(1, 3, 25)
        y = x**2 + rng.normal(size=25) * x  # of which a wrong model predicts 2 x
        limit = threshold(residual_scores(2 * x[:-1], y[:-1], x[:-1]), 0.8)
        covered.append(abs(y[-1] - 2 * x[-1]) <= limit * x[-1])
        widths.append(limit)
    assert held(covered) > 0.001
    assert np.isfinite(widths).all()


def test_quantiles_are_widened_where_they_are_too_narrow_and_narrowed_where_too_wide():
    rng = np.random.default_rng(1)
    for ends, sign in (((-0.1, 0.1), 1), ((-9.0, 9.0), -1)):
        y = rng.normal(size=(SETS, 25))
        limits = np.array([threshold(quantile_scores(*ends, own[:-1]), 0.8) for own in y])
        assert (np.sign(limits) == sign).all()
        inside = (ends[0] - limits <= y[:, -1]) & (y[:, -1] <= ends[1] + limits)
        assert held(inside) > 0.001


def test_sets_of_classes_cover_and_are_never_empty():
    rng, covered = np.random.default_rng(2), []
    for _ in range(SETS):
        p = rng.dirichlet([0.5] * 4, 25)
        labels = np.array(
            [rng.choice(4, p=each) for each in p**0.5 / (p**0.5).sum(1, keepdims=True)]
        )
        limit = threshold(class_scores(p[:-1], labels[:-1]), 0.8)
        sets = class_sets(p[-1:], limit)
        assert sets.any()
        covered.append(1 - p[-1, labels[-1]] <= limit)
        assert not covered[-1] or sets[0, labels[-1]]
    assert held(covered) > 0.001


def test_sets_of_a_sure_model_hold_one_class():
    sure = np.array([[0.98, 0.01, 0.01]] * 30)
    limit = threshold(class_scores(sure, np.zeros(30, dtype=int)), 0.9)
    assert class_sets(sure, limit).sum(axis=1).tolist() == [1] * 30
    assert class_sets(np.array([[0.4, 0.3, 0.3]]), limit).tolist() == [[True, False, False]]


@pytest.mark.parametrize(("level", "rows"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_too_few_rows_for_a_level_are_refused(level, rows):
    assert fewest(level) == rows
    assert threshold(range(rows), level) == rows - 1
    with pytest.raises(InputError, match=f"found {rows - 1} .* at least {rows};"):
        require(rows - 1, level)


def test_a_level_is_a_share():
    with pytest.raises(InputError, match="level: found 90; expected a number between 0 and 1"):
        threshold([1.0], 90)
