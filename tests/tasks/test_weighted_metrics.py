"""Metrics that count rows by their weights, against scikit-learn's sample_weight."""

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from hypothesis import given
from hypothesis import strategies as st

from motet.problems import InputError
from motet.tasks import (
    Classification,
    MultiLabel,
    Ordinal,
    Quantile,
    Regression,
    SequenceLabelling,
    TaskMetrics,
    WordRegression,
)
from motet.tasks.scores import fit_trivial

N, C = 60, 3
NUMBERS = ["mae", "rmse", "r2"]
CLASSES = ["accuracy", "macro_f1", "auroc", "average_precision", "log_loss"]


def rows(seed):
    rng = np.random.default_rng(seed)
    return rng, rng.random(N) * 3 * (rng.random(N) > 0.2)


def found_by(task, raw, target, weights, **more):
    metrics = TaskMetrics([task], **more)
    for part in (slice(0, 20), slice(20, N)):
        arrays = ({"t": torch.as_tensor(each[part])} for each in (raw, target))
        metrics.update(*arrays, weights={"t": torch.as_tensor(weights[part])})
    return metrics.compute("t")


@given(seed=st.integers(0, 200))
def test_metrics_of_numbers_are_those_of_scikit_learn(seed):
    rng, w = rows(seed)
    value, target = rng.normal(size=N), rng.normal(size=N)
    found = found_by(Regression("t", metrics=NUMBERS, weighted_metrics=True), value, target, w)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(target, value, sample_weight=w))
    mse = sk.mean_squared_error(target, value, sample_weight=w)
    assert found["rmse"] == pytest.approx(mse**0.5)
    assert found["r2"] == pytest.approx(sk.r2_score(target, value, sample_weight=w))
    assert found["count"] == (w > 0).sum()


@given(seed=st.integers(0, 200))
def test_metrics_of_two_classes_are_those_of_scikit_learn(seed):
    rng, w = rows(seed)
    raw = rng.normal(size=(N, 2)).round(1)  # with ties
    target = rng.integers(2, size=N)
    task = Classification("t", classes=2, metrics=CLASSES, weighted_metrics=True)
    found = found_by(task, raw, target, w)
    p = torch.tensor(raw).softmax(-1).numpy()
    value = p.argmax(1)
    known = {"sample_weight": w}
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(target, value, **known))
    kept = w > 0
    f1 = sk.f1_score(target[kept], value[kept], average="macro", sample_weight=w[kept])
    assert found["macro_f1"] == pytest.approx(f1)
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(target, p[:, 1], **known))
    precision = sk.average_precision_score(target, p[:, 1], **known)
    assert found["average_precision"] == pytest.approx(precision)
    assert found["log_loss"] == pytest.approx(sk.log_loss(target, p, labels=[0, 1], **known))


@given(seed=st.integers(0, 100))
def test_metrics_of_labels_leave_out_cells_without_one(seed):
    rng, w = rows(seed)
    raw, target = rng.normal(size=(N, C)), (rng.random((N, C)) < 0.5).astype(float)
    target[rng.random((N, C)) < 0.3] = np.nan
    task = MultiLabel(
        "t", classes=C, metrics=["accuracy", "auroc", "log_loss"], weighted_metrics=True
    )
    found = found_by(task, raw, target, w)
    there = ~np.isnan(target) & (w > 0)[:, None]
    wide = np.broadcast_to(w[:, None], target.shape)[there]
    right = (raw > 0)[there] == (target == 1)[there]
    assert found["accuracy"] == pytest.approx((wide * right).sum() / wide.sum())
    areas = [
        sk.roc_auc_score(target[k, c], raw[k, c], sample_weight=w[k]) for c, k in enumerate(there.T)
    ]
    assert found["auroc"] == pytest.approx(np.mean(areas))


def test_equal_weights_change_nothing():
    rng, _ = rows(1)
    raw, target = rng.normal(size=(N, C)), rng.integers(C, size=N)
    options = {"classes": C, "metrics": CLASSES}
    plain = found_by(Classification("t", **options), raw, target, np.full(N, 2.0))
    weighted = Classification("t", **options, weighted_metrics=True)
    assert found_by(weighted, raw, target, np.full(N, 2.0)) == pytest.approx(plain)


def test_words_count_by_the_weight_of_their_row():
    raw = torch.zeros(2, 2, 2)
    raw[..., 1] = 1.0  # always tag 1
    task = SequenceLabelling("t", classes=2, metrics=["token_accuracy"], weighted_metrics=True)
    metrics = TaskMetrics([task])
    target = torch.tensor([[1, 1], [0, -100]])
    metrics.update({"t": raw}, {"t": target}, weights={"t": torch.tensor([1.0, 6.0])})
    assert metrics.compute("t")["token_accuracy"] == pytest.approx(2 / 8)


def test_constants_are_the_best_ones_by_weight():
    target, weights = torch.tensor([0.0, 1.0, 5.0]), torch.tensor([1.0, 1.0, 4.0])
    for weigh, mean, median in ((True, 3.5, 5.0), (False, 2.0, 1.0)):
        task = Regression("t", metrics=["rmse", "mae"], weighted_metrics=weigh)
        known = task.statistics(target[:1], weights[:1]).merged(
            task.statistics(target[1:], weights[1:])
        )
        found = fit_trivial([task], {"t": known})["t"]
        assert float(found["rmse"].value) == pytest.approx(mean)
        assert float(found["mae"].value) == median
    task = Classification("t", classes=2, weighted_metrics=True)
    known = task.statistics(torch.tensor([0, 0, 1]), torch.tensor([1.0, 1.0, 6.0]))
    (share,) = fit_trivial([task], {"t": known})["t"]["log_loss"].probabilities
    assert share.tolist() == pytest.approx([0.25, 0.75])


WEIGHTED = {"metrics": ["mae"], "weighted_metrics": True}


@pytest.mark.parametrize(
    ("task", "target", "expected"),
    [
        (Ordinal("t", classes=3, **WEIGHTED), torch.tensor([0, 1, 2]), [2]),
        (Quantile("t", quantiles=[0.1, 0.5], **WEIGHTED), torch.tensor([0.0, 1.0, 5.0]), [0, 5]),
        (
            WordRegression("t", **WEIGHTED),
            torch.tensor([[0.0, torch.nan], [1.0, 2.0], [5.0, torch.nan]]),
            [5],
        ),
    ],
)
def test_constants_of_other_numbers_are_the_best_by_weight_too(task, target, expected):
    known = task.statistics(target, torch.tensor([1.0, 1.0, 4.0]))
    found = fit_trivial([task], {"t": known})["t"]["mae"].value
    assert found.flatten().tolist() == expected


@given(seed=st.integers(0, 100))
def test_the_weighted_error_of_quantiles_is_that_of_the_middle_one(seed):
    rng, w = rows(seed)
    task = Quantile("t", quantiles=[0.1, 0.5, 0.9], **WEIGHTED)
    raw, target = rng.normal(size=(N, 3)), rng.normal(size=N)
    middle = task.decode(torch.tensor(raw)).value[:, 1]
    expected = sk.mean_absolute_error(target, middle, sample_weight=w)
    assert found_by(task, raw, target, w)["mae"] == pytest.approx(expected)


def own(predictions, targets, weights):
    return float((weights * (predictions == targets)).sum() / weights.sum())


def other(predictions, targets):
    return 0.0


def test_a_function_of_users_gets_the_weights_or_is_refused():
    raw, target = np.eye(2)[[0] * 30 + [1] * 30], np.zeros(N, int)
    task = Classification("t", classes=2, metrics=[own], weighted_metrics=True)
    weights = np.where(np.arange(N) < 30, 3.0, 1.0)
    assert found_by(task, raw, target, weights)["own"] == pytest.approx(0.75)
    task = Classification("t", classes=2, metrics=[own])
    assert found_by(task, raw, target, weights)["own"] == pytest.approx(0.5)
    task = Classification("t", classes=2, metrics=[other], weighted_metrics=True)
    with pytest.raises(InputError, match="'other' does not count rows by their weights; expected"):
        TaskMetrics([task])
    with pytest.raises(InputError, match="'kappa' does not count rows by their weights"):
        TaskMetrics([Ordinal("t", classes=3, weighted_metrics=True)])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_row_of_a_batch_without_weights_counts_1(order):
    metrics = TaskMetrics([Regression("t", **WEIGHTED)])
    batches = [([1.0, 2.0], {"t": torch.tensor([3.0, 1.0])}), ([5.0], None)]
    for raw, weights in (batches[place] for place in order):
        metrics.update({"t": raw}, {"t": [0.0] * len(raw)}, weights=weights)
    assert metrics.compute("t")["mae"] == pytest.approx((3 * 1 + 2 + 5) / 5)


def test_an_output_without_any_label_has_no_constant():
    task = Regression("t", outputs=2, **WEIGHTED)
    known = task.statistics(torch.tensor([[1.0, torch.nan]] * 2), torch.tensor([1.0, 2.0]))
    (found,) = fit_trivial([task], {"t": known})["t"]["mae"].value
    assert found[0] == 1
    assert found[1].isnan()
