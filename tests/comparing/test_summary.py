"""From planted scores to verdicts, and the rounds of a search."""

import json
import math

import numpy as np
import pytest

from motet.comparing.budget import Size, fitting
from motet.comparing.candidates import task_weights
from motet.comparing.methods import scalarisation
from motet.comparing.summary import TaskMetric, summarise
from motet.problems import InputError

METRICS = {"up": TaskMetric("accuracy", True), "down": TaskMetric("rmse", False)}


def summary(scores, **options):
    return summarise(scores, METRICS, "single", **options)


# Verdicts ----------------------------------------------------------------------------------------


def test_a_verdict_follows_the_direction_of_the_metric():
    single = {"up": [0.80, 0.81, 0.82, 0.80], "down": [1.0, 1.1, 1.0, 1.1]}
    found = summary(
        {
            "single": single,
            "better": {"up": [0.90, 0.91, 0.92, 0.901], "down": [0.5, 0.6, 0.51, 0.6]},
            "worse": {"up": [0.70, 0.71, 0.72, 0.701], "down": [1.5, 1.6, 1.51, 1.6]},
            "same": single,
        }
    )
    verdicts = {m: [t.verdict for t in found[m].tasks.values()] for m in found}
    assert verdicts == {
        "single": [None, None],
        "better": ["helps", "helps"],
        "worse": ["hurts", "hurts"],
        "same": ["no measurable difference"] * 2,
    }
    assert found["better"].tasks["down"].difference == pytest.approx(0.4975)
    assert found["better"].tasks["down"].delta > 0 > found["worse"].tasks["down"].delta
    assert [round(found[m].rank, 3) for m in found] == [2.5, 1.0, 4.0, 2.5]


def test_delta_m_is_that_of_methods_paired_by_seed():
    found = summary(
        {
            "single": {"up": [0.8, 0.8], "down": [1.0, 2.0]},
            "multi": {"up": [0.82, 0.82], "down": [1.1, 2.2]},
        }
    )
    assert found["multi"].delta_m.mean == pytest.approx(-3.75)  # +2.5 % and -10 %
    assert found["single"].delta_m is None


def test_p_values_are_adjusted_for_every_method_and_task():
    random = np.random.default_rng(0)
    scores = {
        name: {task: random.normal(5, size=4).tolist() for task in METRICS}
        for name in ("single", "one", "two", "equal")
    }
    together = summary(scores, equal_compute="equal")
    alone = summary({name: scores[name] for name in ("single", "one")})
    for task in METRICS:
        assert together["one"].tasks[task].p >= alone["one"].tasks[task].p
        assert math.isnan(together["equal"].tasks[task].p)  # a second baseline, not a method
    assert together["one"].delta_m_equal_compute is not None


def test_one_seed_gives_figures_and_no_verdict():
    found = summary({"single": {"up": [0.8], "down": [1.0]}, "multi": {"up": [0.9], "down": [0.5]}})
    result = found["multi"].tasks["up"]
    assert (result.mean, result.verdict) == (0.9, None)
    assert result.delta == pytest.approx(12.5)
    assert math.isnan(result.low)


def test_a_baseline_of_zero_has_verdicts_without_relative_changes():
    found = summary(
        {
            "single": {"up": [0.0, 0.0, 0.0], "down": [1.0, 1.1, 1.2]},
            "multi": {"up": [0.5, 0.5, 0.51], "down": [1.0, 1.1, 1.2]},
        }
    )
    assert found["multi"].delta_m is None
    assert found["multi"].tasks["up"].verdict == "helps"


def test_a_task_without_a_metric_is_left_out_of_ranks_and_means():
    found = summary(
        {
            "single": {"up": [0.8, 0.8], "down": [math.nan, 1.0]},
            "multi": {"up": [0.9, 0.9], "down": [1.0, 1.0]},
        }
    )
    assert found["multi"].tasks["down"].verdict is None
    assert found["multi"].delta_m.mean == pytest.approx(12.5)
    assert found["multi"].rank == 1.0


@pytest.mark.parametrize("repeats", [3, 5])
def test_false_verdicts_are_as_rare_as_promised(repeats):
    random, sets, wrong = np.random.default_rng(1), 150, 0
    for _ in range(sets):
        values = random.normal(10, size=(4, 2, repeats))
        names = ("single", "a", "b", "c")
        scores = {
            name: dict(zip(METRICS, own.tolist(), strict=True))
            for name, own in zip(names, values, strict=True)
        }
        verdicts = [t.verdict for m in summary(scores).values() for t in m.tasks.values()]
        wrong += any(verdict in ("helps", "hurts") for verdict in verdicts)
    assert wrong / sets < 0.05 + 3 * math.sqrt(0.05 * 0.95 / sets)


# Candidates --------------------------------------------------------------------------------------


def test_weights_begin_with_equal_ones_and_cover_the_simplex():
    for tasks, count in (("ab", 9), ("ab", 4), ("abc", 9), ("abcdef", 20)):
        found = task_weights(list(tasks), count, seed=0)
        assert len(found) == count
        assert found[0] == dict.fromkeys(tasks, 1.0)
        for weights in found:
            assert sum(weights.values()) == pytest.approx(len(tasks), abs=0.02)
            assert min(weights.values()) > 0
        largest = [max(w, key=w.__getitem__) for w in found[1:]]
        assert set(largest) == set(tasks)
    assert task_weights(["a", "b", "c"], 3, seed=0) == task_weights(["a", "b", "c"], 9, seed=0)[:3]


def test_candidates_are_weights_times_learning_rates_with_the_configs_first():
    method = scalarisation(["a", "b", "aux"], ["a", "b"], [1e-3, 3e-3], 5, seed=0)
    assert len(method.candidates) == 5
    balancing, rate = method.candidates[0]
    weights = json.loads(balancing.removeprefix("balancing="))["weights"]
    assert weights == {"a": 1.0, "b": 1.0, "aux": 1.0}
    assert rate == "training.optimizer.learning_rate=0.001"


# Budgets -----------------------------------------------------------------------------------------


def test_a_budget_gives_up_candidates_before_repeats():
    def seconds(size):
        return 10.0 * size.repeats + size.candidates

    asked = Size(5, 27)
    sizes = [fitting(asked, False, limit, seconds) for limit in (None, 77, 59, 53, 45)]
    assert sizes == [asked, asked, Size(5, 9), Size(5, 3), Size(4, 3)]
    assert fitting(Size(1, 0), False, 10, seconds) == Size(1, 0)
    with pytest.raises(InputError, match=r"minutes: found 0.2, but 2 folds and 3 candidates"):
        fitting(asked, True, 12, seconds)
