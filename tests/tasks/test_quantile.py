"""Quantiles: the pinball loss, quantiles that never cross, metrics, and what ignores the inputs."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss
from torch.testing import assert_close

import motet
from motet.problems import InputError, RowError
from motet.tasks import Quantile, TaskMetrics, trivial_metrics
from motet.tasks.losses.elements import pinball
from motet.tasks.quantile import in_order

f64 = torch.float64
SEEDS = st.integers(0, 2**32)
THREE = (0.1, 0.5, 0.9)


def test_pinball_has_the_known_values():
    found = pinball(
        torch.zeros(2, 1, dtype=f64), torch.tensor([1.0, -1.0], dtype=f64), quantiles=[0.9]
    )
    assert_close(found, torch.tensor([0.9, 0.1], dtype=f64))
    labels = torch.arange(11, dtype=f64)
    losses = [
        float(pinball(torch.full((11, 1), c), labels, quantiles=[0.9]).sum())
        for c in labels.tolist()
    ]
    assert int(np.argmin(losses)) == 9


@given(seed=SEEDS)
def test_the_loss_and_the_metric_agree_with_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(20, 3, generator=generator, dtype=f64)
    truth = torch.randn(20, generator=generator, dtype=f64)
    task = Quantile("a", quantiles=THREE)
    found = task.decode(raw).value
    expected = np.mean(
        [mean_pinball_loss(truth, found[:, i], alpha=q) for i, q in enumerate(THREE)]
    )
    total, count = task.loss(raw, truth)
    assert float(total / count) == pytest.approx(expected, abs=1e-9)
    metrics = TaskMetrics([task])
    for rows in (slice(0, 6), slice(6, 20)):
        metrics.update({"a": raw[rows]}, {"a": truth[rows]})
    values = metrics.compute("a")
    assert values["pinball"] == pytest.approx(expected, abs=1e-9)
    assert values["mae"] == pytest.approx(float((found[:, 1] - truth).abs().mean()))
    inside = (found[:, 0] <= truth) & (truth <= found[:, 2])
    assert values["coverage"] == pytest.approx(float(inside.double().mean()))


@given(seed=SEEDS, size=st.floats(0.01, 1000))
def test_quantiles_never_cross(seed, size):
    raw = size * torch.randn(50, 5, generator=torch.Generator().manual_seed(seed))
    assert bool((in_order(raw).diff(dim=1) >= 0).all())


def test_predictions_and_labels_are_in_original_units():
    task = Quantile("a", quantiles=[0.2, 0.8], scaling=(100.0, 20.0))
    assert_close(
        task.decode(torch.tensor([[-1.0, -50.0]])).value, torch.tensor([[80.0, 80.0]], dtype=f64)
    )
    assert_close(task.restore(torch.tensor([1.5])), torch.tensor([130.0], dtype=f64))


def test_a_row_without_a_label_leaves_no_trace():
    raw = torch.tensor([[0.0, 1.0, 1.0], [torch.nan] * 3], requires_grad=True)
    total, count = Quantile("a").loss(raw, torch.tensor([2.0, torch.nan]))
    total.backward()
    assert count == 1
    assert raw.grad[0].isfinite().all()
    assert (raw.grad[1] == 0).all()


def test_what_ignores_the_inputs_are_the_quantiles_of_the_training_labels():
    task, labels = Quantile("a", quantiles=THREE), torch.arange(11.0)
    found = task.trivial(task.statistics(labels), "pinball").value
    assert_close(found, torch.tensor([[1.0, 5.0, 9.0]], dtype=f64))
    scores = trivial_metrics([task], {"a": labels}, {"a": labels})["a"]
    assert scores["coverage"] == pytest.approx(9 / 11)
    assert scores["mae"] == pytest.approx(30 / 11)


def test_metrics_follow_from_the_quantiles():
    assert Quantile("a").default_metrics == ("pinball", "coverage", "mae")
    assert Quantile("a", quantiles=[0.2, 0.8]).default_metrics == ("pinball", "coverage")
    assert Quantile("a", quantiles=[0.9]).default_metrics == ("pinball",)
    metrics = TaskMetrics([Quantile("a", quantiles=[0.9], metrics=["coverage"])])
    metrics.update({"a": torch.zeros(3, 1)}, {"a": torch.zeros(3)})
    assert math.isnan(metrics.compute("a")["coverage"])
    assert metrics.notes["a.coverage"] == "one quantile has no interval"


def test_a_constant_prediction_is_named():
    metrics = TaskMetrics([Quantile("a", quantiles=[0.2, 0.8])])
    metrics.update({"a": torch.zeros(3, 2)}, {"a": torch.arange(3.0)})
    metrics.compute("a")
    assert "for '0.2'" in metrics.notes["a.prediction"]


def test_known_quantiles_are_recovered_where_the_spread_grows():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (6000, 1)).astype(np.float32)
    y = 2 * x[:, 0] + (0.5 + x[:, 0]) * rng.normal(size=6000)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh())
    model = motet.MultiTaskModel(net, [Quantile("a", scaling=(1.0, 1.2))])
    target = ((y - 1.0) / 1.2).astype(np.float32)
    trainer = motet.Trainer(model, learning_rate=0.01, batch_size=300)
    trainer.fit((x, {"a": target}), epochs=25)
    found = trainer.predict(np.array([[0.2], [0.8]], np.float32))["a"]
    for row, at in zip(found, (0.2, 0.8), strict=True):
        expected = 2 * at + (0.5 + at) * np.array([-1.2816, 0, 1.2816])
        assert row == pytest.approx(expected, abs=0.12)
    assert trainer.evaluate((x, {"a": target}))["a"]["coverage"] == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("quantiles", [[0.9, 0.1], [0.5, 0.5], []])
def test_quantiles_out_of_order_are_refused(quantiles):
    with pytest.raises(InputError, match="in increasing order"):
        Quantile("a", quantiles=quantiles)


def test_a_quantile_beyond_0_and_1_is_refused():
    with pytest.raises(InputError, match="quantiles"):
        Quantile("a", quantiles=[0.5, 1.0])


def test_wrong_labels_are_refused():
    with pytest.raises(RowError, match="an infinite label in row 1"):
        Quantile("a").check(torch.tensor([0.0, torch.inf]))
    with pytest.raises(InputError, match="one number per row"):
        Quantile("a").check(torch.zeros(2, 3))


def test_a_weighted_mae_is_of_the_median():
    task = Quantile("a", metrics=["mae"], weighted_metrics=True)
    raw = torch.tensor([[-9.0, 8.0, 1.0], [-9.0, 8.0, 1.0]])
    truth, weights = task.decode(raw).value[:, 1] + torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1])
    metrics = TaskMetrics([task])
    metrics.update({"a": raw}, {"a": truth}, weights={"a": weights})
    assert metrics.compute("a")["mae"] == pytest.approx(2)
