"""Values of methods.md section 17.6."""

import math

import pytest
import torch

from motet.problems import InputError
from motet.tasks import (
    Classification,
    MultiLabel,
    Prediction,
    Regression,
    Task,
    fit_trivial,
    normalised_score,
    score_trivial,
    trivial_metrics,
)

NAN = torch.nan


def trivial(task, train, target):
    return trivial_metrics([task], {task.name: train}, {task.name: target})[task.name]


def test_the_score_is_0_for_trivial_1_for_perfect_and_not_clipped():
    assert normalised_score(0.8, 0.6, 1.0) == pytest.approx(0.5)
    assert normalised_score(0.6, 0.6, 1.0) == 0
    assert normalised_score(1.0, 0.6, 1.0) == 1
    assert normalised_score(0.2, 0.6, 1.0) == pytest.approx(-1)
    assert normalised_score(3.0, 4.0, 0.0) == 0.25


def test_the_score_is_nan_where_trivial_is_perfect_or_perfect_is_unknown():
    assert math.isnan(normalised_score(0.8, 1.0, 1.0))
    assert math.isnan(normalised_score(0.8, 0.6, None))


def test_a_constant_has_auroc_one_half_accuracy_of_the_majority_and_the_entropy_as_loss():
    task = Classification("a", classes=2)
    found = trivial(task, [0, 0, 0, 1, -100], torch.tensor([0, 0, 0, 1]))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found["auroc"] == 0.5
    assert found["accuracy"] == 0.75
    assert found["log_loss"] == pytest.approx(entropy)


def test_the_majority_is_that_of_the_training_split():
    found = trivial(Classification("a", classes=3), [2, 2, 0], [0, 0, 0, 2])
    assert found["accuracy"] == 0.25


def test_the_training_mean_explains_nothing_or_less():
    same = trivial(Regression("a"), [1.0, 2.0, 6.0, NAN], [1.0, 2.0, 6.0])
    assert same["r2"] == pytest.approx(0)
    assert same["mae"] == pytest.approx(5 / 3)  # the median
    other = trivial(Regression("a"), [1.0, 2.0, 6.0], [10.0, 20.0])
    assert other["r2"] < 0


def test_a_constant_has_the_prevalence_as_average_precision():
    target = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, -100, 0]])
    found = trivial(MultiLabel("a", classes=3), target, target)
    assert found["average_precision"] == pytest.approx((1 / 4 + 2 / 3) / 2)


def test_constants_are_fitted_once_and_scored_on_any_split():
    tasks = [Regression("a"), Regression("b")]
    fitted = fit_trivial(tasks, {"a": [1.0, 3.0], "b": None})
    assert fitted["a"]["r2"].value.tolist() == [2.0]
    found = score_trivial(tasks, fitted, {"a": [2.0, 4.0], "b": [1.0]})
    assert found["a"]["rmse"] == pytest.approx(math.sqrt(2))
    assert math.isnan(found["b"]["rmse"])
    assert math.isnan(score_trivial(tasks, fitted, {"a": [NAN]})["a"]["rmse"])


def test_trivial_predictions_are_in_original_units():
    task = Regression("a", scaling=(100.0, 10.0))
    assert trivial(task, [0.0], [1.0, -1.0])["mae"] == pytest.approx(10)


def test_own_metrics_are_fitted_and_scored_too():
    def own(predictions, targets):
        return float(len(predictions))

    task = Regression("a")
    found = trivial_metrics([task], {"a": [1.0]}, {"a": [1.0, NAN, 2.0]}, {"a": [own]})
    assert found == {"a": {"own": 2.0}}


def test_a_task_of_the_user_that_has_no_trivial_prediction_says_what_to_define():
    class Votes(Task):
        kind, labels, outputs = "votes", "class", 3

        def loss(self, raw, target):
            return raw.sum(), self.count(target)

        def decode(self, raw):
            return Prediction(raw.argmax(dim=-1))

    with pytest.raises(InputError, match="kind 'votes' has no trivial prediction"):
        fit_trivial([Votes("a")], {"a": [0, 1]})
