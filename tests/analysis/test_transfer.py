"""Delta_m: signs, averages, uncertainty of the baseline too."""

import math

import numpy as np
import pytest

from motet import register
from motet.analysis import interval, transfer
from motet.problems import InputError

SINGLE = {"a": {"accuracy": 0.80}, "b": {"mae": 1.0}}
MULTI = {"a": {"accuracy": 0.82}, "b": {"mae": 1.1}}


def test_the_known_case_is_minus_three_and_three_quarters():
    found = transfer(SINGLE, MULTI)
    assert found.delta_m.mean == pytest.approx(-3.75)
    assert [each.mean for each in found.tasks.values()] == pytest.approx([2.5, -10])
    assert "averaged over the metrics of a task, then over tasks" in found.convention
    assert "positive is better" in found.convention


def test_metrics_are_averaged_inside_a_task_first():
    single = {"a": {"accuracy": 1.0, "macro_f1": 1.0, "log_loss": 1.0}, "b": {"mae": 1.0}}
    multi = {"a": {"accuracy": 1.3, "macro_f1": 1.0, "log_loss": 1.0}, "b": {"mae": 0.6}}
    assert transfer(single, multi).delta_m.mean == pytest.approx((10 + 40) / 2)


def test_one_seed_decides_nothing():
    found = transfer(SINGLE, MULTI)
    assert math.isnan(found.delta_m.low)
    assert (found.positive, found.negative, found.unclear) == ((), (), ("a", "b"))


def test_seeds_in_pairs_give_the_interval_of_their_changes():
    base, ours = np.array([0.5, 0.6, 0.7, 0.8]), np.array([0.56, 0.65, 0.77, 0.88])
    found = transfer({"a": {"r2": base}}, {"a": {"r2": ours}})
    assert found.tasks["a"] == found.delta_m == interval(100 * (ours - base) / base)
    assert found.positive == ("a",)


def test_tasks_are_sorted_by_their_intervals():
    noise = np.array([0.0, 0.01, 0.02])
    single = {task: {"mae": 1 + noise} for task in "abc"}
    multi = {
        "a": {"mae": 0.9 + noise},
        "b": {"mae": 1.1 + noise},
        "c": {"mae": 1 - noise[::-1] + noise},
    }
    multi["c"] = {"mae": [1.01, 1.0, 1.03]}
    found = transfer(single, multi)
    assert (found.positive, found.negative, found.unclear) == (("a",), ("b",), ("c",))


def test_a_baseline_below_0_keeps_the_sign():
    found = transfer({"a": {"r2": -0.2}}, {"a": {"r2": 0.1}})
    assert found.delta_m.mean == pytest.approx(150)


def test_without_pairs_the_interval_covers_the_true_change_as_often_as_stated():
    rng, inside, times = np.random.default_rng(0), 0, 400
    for _ in range(times):
        base, ours = rng.normal(1.0, 0.05, (2, 5)), rng.normal(1.1, 0.05, (2, 4))
        found = transfer(
            {"a": {"mae": base[0]}, "b": {"r2": base[1]}},
            {"a": {"mae": ours[0]}, "b": {"r2": ours[1]}},
            paired=False,
        ).delta_m
        inside += found.low <= 0 <= found.high
    assert inside / times == pytest.approx(0.95, abs=0.03)


def test_without_pairs_the_spread_of_the_baseline_counts():
    steady = transfer({"a": {"r2": [0.5] * 5}}, {"a": {"r2": [0.6, 0.61, 0.62]}}, paired=False)
    varied = transfer(
        {"a": {"r2": [0.4, 0.6, 0.5, 0.45, 0.55]}}, {"a": {"r2": [0.6, 0.61, 0.62]}}, paired=False
    )
    assert varied.delta_m.mean == pytest.approx(steady.delta_m.mean)
    assert varied.delta_m.high - varied.delta_m.low > 3 * (steady.delta_m.high - steady.delta_m.low)


def test_directions_are_those_of_the_metrics_of_reports_and_of_users():
    metrics = {"ndcg@10": 1, "sentence_exact+b": 1, "score": 1, "loss": -1, "rmse": -1, "own": -1}
    for metric, sign in metrics.items():
        found = transfer({"a": {metric: 1.0}}, {"a": {metric: 1.5}}, {"own": False})
        assert found.delta_m.mean == pytest.approx(50 * sign), metric


def test_a_registered_metric_may_name_its_direction():
    def error_of_transfer(predictions, targets):
        return 0.0

    error_of_transfer.higher_is_better = False
    register("metric", "error_of_transfer", error_of_transfer)
    found = transfer({"a": {"error_of_transfer": 1.0}}, {"a": {"error_of_transfer": 2.0}})
    assert found.delta_m.mean == pytest.approx(-100)


@pytest.mark.parametrize(
    ("single", "multi", "message"),
    [
        ({}, {}, "single: found no scores"),
        ({"a": {"mae": 0.0}}, {"a": {"mae": 1.0}}, "found 0 as mae of 'a'"),
        ({"a": {"mae": 1.0}}, {"b": {"mae": 1.0}}, "found the tasks b; expected those of .*: a"),
        ({"a": {"mae": 1.0}}, {"a": {"rmse": 1.0}}, "found the metrics rmse of 'a'"),
        ({"a": {"mae": [1.0, 2]}}, {"a": {"mae": 1.0}}, "found 2 numbers .* 1 in multi.*paired=F"),
        ({"a": {"mae": math.nan}}, {"a": {"mae": 1.0}}, "single: mae of 'a': found nan"),
        ({"a": {"maee": 1.0}}, {"a": {"maee": 1.0}}, "no metric has this name; give higher="),
        ({"a": {"coverage": 1.0}}, {"a": {"coverage": 1.0}}, "direction is not known"),
    ],
)
def test_scores_that_cannot_be_compared_are_named(single, multi, message):
    with pytest.raises(InputError, match=message):
        transfer(single, multi)
