"""Intervals and tests agree with SciPy, and with what is known where SciPy has no answer."""

import math

import numpy as np
import pytest
from scipy import stats

from motet.analysis import holm, interval, mean_ranks, paired, unpaired
from motet.problems import InputError

RNG = np.random.default_rng(5)
OURS, BASE = RNG.normal(0.8, 0.1, 7), RNG.normal(0.7, 0.2, 7)


def test_the_interval_of_one_to_five_is_the_known_one():
    found = interval([1, 2, 3, 4, 5])
    assert (found.mean, found.count) == (3.0, 5)
    assert (3 - found.low, found.high - 3) == pytest.approx((1.963243, 1.963243), abs=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_intervals_are_those_of_scipy(level):
    found = interval(OURS, level)
    expected = stats.t.interval(level, len(OURS) - 1, OURS.mean(), stats.sem(OURS))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-10)


def test_one_number_has_a_mean_and_no_ends():
    found = interval(0.5)
    assert (found.mean, found.count) == (0.5, 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (paired(OURS, BASE), stats.ttest_rel(OURS, BASE)),
        (unpaired(OURS, BASE[:4]), stats.ttest_ind(OURS, BASE[:4], equal_var=False)),
    ],
    ids=["paired", "Welch"],
)
def test_t_tests_are_those_of_scipy(ours, theirs):
    expected = theirs.confidence_interval(0.95)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-10)
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_equal_numbers_differ_by_nothing_for_certain_and_a_constant_gap_is_one():
    assert paired([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]).p_value == 1
    assert paired([1.0, 2.0, 3.0], [0.5, 1.5, 2.5]).p_value == 0
    assert unpaired([0.1, 0.1, 0.1], [0.1, 0.1]).p_value == 1


def test_one_pair_has_a_difference_and_no_p_value():
    found = paired([0.7], [0.5])
    assert found.difference == pytest.approx(0.2)
    assert math.isnan(found.p_value)
    assert math.isnan(unpaired([0.7], [0.5, 0.6]).p_value)


@pytest.mark.parametrize("p", [[0.01, 0.04, 0.03], [0.5, 0.9, 0.5], [0.001], list(RNG.random(20))])
def test_holm_rejects_what_its_stepwise_procedure_rejects(p):
    adjusted = holm({str(i): each for i, each in enumerate(p)})
    for error in (0.01, 0.05, 0.3, 0.999):
        rejected = set()
        for step, place in enumerate(np.argsort(p, kind="stable")):
            if p[place] > error / (len(p) - step):
                break
            rejected.add(str(place))
        assert {name for name, each in adjusted.items() if each <= error} == rejected


def test_a_test_that_was_not_possible_does_not_count_in_holm():
    found = holm({"a": 0.02, "b": math.nan, "c": 0.5})
    assert found["a"] == pytest.approx(0.04)
    assert math.isnan(found["b"])


def test_ranks_are_shared_by_equal_scores_as_in_scipy():
    scores = {"a": [3.0, 1.0, 2.0, 0.5], "b": [1.0, 1.0, 2.0, 0.7], "c": [3.0, 1.0, 9.0, 0.1]}
    expected = stats.rankdata(-np.array(list(scores.values())), axis=0).mean(axis=1)
    assert list(mean_ranks(scores).values()) == pytest.approx(expected.tolist())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval([]), "values: found shape"),
        (lambda: interval([0.1, math.nan]), "values: found nan at place 1"),
        (lambda: interval(["a"]), "values: found .*expected numbers"),
        (lambda: interval([1, 2], 95), "level: found 95; expected a number between 0 and 1"),
        (lambda: paired([1, 2], [1]), "baseline: found 2 values and 1"),
        (lambda: holm({"a": 1.5}), "p_values: found 1.5 for 'a'"),
        (lambda: mean_ranks({"a": [1], "b": [1, 2]}), "scores: found 1 of 'a', 2 of 'b'"),
    ],
)
def test_wrong_numbers_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_p_values_without_names_are_refused():
    with pytest.raises(InputError, match=r"p_values: found .*; expected a mapping from names"):
        holm([0.1, 0.2])
