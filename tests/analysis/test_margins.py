"""Tests that a model is not worse by a margin: known values, and error rates by simulation."""

import numpy as np
import pytest
from scipy import stats

from motet.analysis import not_worse, not_worse_by_groups
from motet.problems import InputError


def test_numbers_are_tested_by_the_one_sided_t_test_of_scipy():
    rng = np.random.default_rng(0)
    base = rng.normal(size=50)
    ours = base + rng.normal(-0.02, 0.3, 50)
    found = not_worse(ours, base, 0.1)
    expected = stats.ttest_1samp(ours - base, -0.1, alternative="greater")
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    low = stats.ttest_1samp(ours - base, 0, alternative="greater").confidence_interval(0.95).low
    assert (found.bound, found.count) == (pytest.approx(low), 50)


def test_without_margin_right_and_wrong_rows_are_tested_as_by_mcnemar():
    ours, base = np.repeat([1, 0, 1, 0], [12, 5, 50, 33]), np.repeat([0, 1, 1, 0], [12, 5, 50, 33])
    expected = stats.norm.sf((12 - 5) / np.sqrt(12 + 5))
    assert not_worse(ours, base, 0).p_value == pytest.approx(expected)


def test_without_a_row_that_differs_the_bound_of_right_and_wrong_rows_has_its_closed_form():
    base = np.repeat([1, 0], [43, 1])
    ours = np.repeat([1, 0], [43, 1])
    found = not_worse(ours, base, 0.1)
    n, z = 44, stats.norm.ppf(0.95)
    assert found.bound == pytest.approx(-(z**2) / (n + z**2))
    assert found.p_value == pytest.approx(stats.norm.sf(np.sqrt(n * 0.1 / 0.9)))


def test_the_same_predictions_are_not_worse_by_a_margin_that_the_rows_can_show_and_never_by_0():
    same = np.ones(1000)
    assert not_worse(same, same, 0.01).p_value < 0.01
    assert not_worse(same, same, 0).p_value > 0.49
    assert not_worse_by_groups(lambda rows: 0.0, 1000, 0.01).p_value < 0.01
    assert not_worse_by_groups(lambda rows: 0.0, 1000, 0).p_value > 0.49


def test_the_jackknife_of_a_mean_with_one_row_per_group_is_the_t_test():
    differences = np.random.default_rng(1).normal(size=40)
    found = not_worse_by_groups(lambda rows: differences[rows].mean(), 40, 0.2, groups=40)
    expected = not_worse(differences, np.zeros(40), 0.2)
    assert (found.p_value, found.bound) == pytest.approx((expected.p_value, expected.bound))


def test_rows_of_a_unit_are_left_out_together():
    unit, left_out = np.repeat(np.arange(10), 7), []

    def score(rows):
        left_out.append(set(unit[np.setdiff1d(np.arange(70), rows)]) & set(unit[rows]))
        return float(rows.sum())

    assert not_worse_by_groups(score, unit, 0.0).count == 10
    assert left_out == [set()] * 11


@pytest.mark.parametrize(("rate", "margin", "rows"), [(0.02, 0.02, 100), (0.1, 0.05, 200)])
def test_a_model_that_is_worse_by_the_margin_is_rarely_called_not_worse(rate, margin, rows):
    """The t test fails this: 100 rows without one that differs would prove anything."""
    rng = np.random.default_rng(3)
    worse, better = (rate + margin) / 2, (rate - margin) / 2
    differences = rng.choice([-1.0, 0.0, 1.0], (2000, rows), p=[worse, 1 - rate, better])
    claims = sum(not_worse(each, np.zeros(rows), margin).p_value < 0.05 for each in differences)
    assert claims <= stats.binom.ppf(0.999, 2000, 0.05)


def test_the_jackknife_keeps_its_error_rate_on_a_root_of_squares():
    rng = np.random.default_rng(4)
    claims, true = 0, np.sqrt(1.1) - 1
    for _ in range(400):
        ours, base = np.square(rng.normal(0, [[np.sqrt(1.1)], [1.0]], (2, 400)))
        score = not_worse_by_groups(
            lambda rows, a=ours, b=base: np.sqrt(b[rows].mean()) - np.sqrt(a[rows].mean()),
            400, true, groups=20,
        )  # fmt: skip
        claims += score.p_value < 0.05
    assert claims <= stats.binom.ppf(0.999, 400, 0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: not_worse([1, 2], [1], 0.1), "baseline_rows: found 2 rows and 1"),
        (lambda: not_worse([1, 2], [1, 2], -0.1), "margin: found -0.1"),
        (lambda: not_worse([1, 2], [1, 2], 0.1, error=5), "error: found 5"),
        (lambda: not_worse_by_groups(lambda rows: 0.0, 1, 0.1), "rows: found 1"),
        (lambda: not_worse_by_groups(lambda rows: np.nan, 9, 0.1), "metric: found nan"),
    ],
)
def test_wrong_numbers_are_reported_with_their_argument(call, message):
    with pytest.raises(InputError, match=message):
        call()
