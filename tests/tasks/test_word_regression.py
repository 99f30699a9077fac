"""A number for every word: losses over labelled words, metrics, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import motet
from motet.problems import InputError, RowError
from motet.states import TokenStates
from motet.tasks import TaskMetrics, WordRegression, fit_trivial, trivial_metrics

NAN = torch.nan
SEEDS = st.integers(0, 2**32)


def drawn(seed, rows=5, length=6):
    """Raw outputs with NaN at padding, and labels with gaps that reach no further."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.arange(length) < torch.randint(1, length + 1, (rows, 1), generator=generator)
    raw = torch.randn(rows, length, 1, generator=generator).masked_fill(~words[..., None], NAN)
    target = torch.randn(rows, length, generator=generator).where(words, NAN)
    gaps = torch.rand(rows, length, generator=generator) < 0.3
    return raw, target.masked_fill(gaps, NAN)


@pytest.mark.parametrize("loss", ["mse", "mae", lambda raw, y: (raw - y).square()])
@given(seed=SEEDS)
def test_the_loss_is_a_mean_over_labelled_words_and_others_leave_no_trace(loss, seed):
    raw, target = drawn(seed)
    raw.requires_grad_()
    known = ~target.isnan()
    total, count = WordRegression("a", loss=loss).loss(raw, target)
    apart = (raw.squeeze(2) - target)[known]
    expected = apart.abs().sum() if loss == "mae" else apart.square().sum()
    assert_close(total, expected)
    assert count == known.sum()
    if known.any():
        total.backward()
        assert raw.grad.isfinite().all()
        assert (raw.grad.squeeze(2)[~known] == 0).all()


@given(seed=SEEDS)
def test_metrics_are_over_words_in_any_batches_and_in_original_units(seed):
    raw, target = drawn(seed)
    known = ~target.isnan()
    if known.sum() < 2:
        return
    task = WordRegression("a", scaling=(10.0, 2.0))
    metrics = TaskMetrics([task])
    metrics.update({"a": raw[:2]}, {"a": target[:2]})
    metrics.update({"a": raw[2:, :, :]}, {"a": target[2:, :]})
    found, truth = (2 * raw.squeeze(2)[known]).double(), (2 * target[known]).double()
    values = metrics.compute("a")
    assert values["mae"] == pytest.approx(float((found - truth).abs().mean()), abs=1e-6)
    assert values["rmse"] == pytest.approx(float((found - truth).square().mean().sqrt()), abs=1e-6)
    explained = 1 - (found - truth).square().sum() / (truth - truth.mean()).square().sum()
    assert values["r2"] == pytest.approx(float(explained), abs=1e-5)
    assert values["count"] == known.any(dim=1).sum()


def test_a_metric_that_takes_weights_gets_one_for_each_word():
    def weighted(predictions, targets, weights):
        return float((weights * np.abs(predictions - targets)).sum() / weights.sum())

    metrics = TaskMetrics([WordRegression("a", metrics=[weighted], weighted_metrics=True)])
    target, weights = torch.tensor([[1.0, NAN], [2.0, 4.0]]), torch.tensor([2.0, 1.0])
    metrics.update({"a": torch.zeros(2, 2, 1)}, {"a": target}, weights={"a": weights})
    assert metrics.compute("a")["weighted"] == 2


def test_what_ignores_the_inputs_is_one_number_for_every_word():
    task, target = WordRegression("a"), torch.tensor([[1.0, 1.0, 4.0], [NAN, 2.0, NAN]])
    found = fit_trivial([task], {"a": target}, {"a": ["r2", "mae"]})["a"]
    assert (found["r2"].value.tolist(), found["mae"].value.tolist()) == ([[2.0]], [[1.0]])
    scores = trivial_metrics([task], {"a": target}, {"a": target}, {"a": ["r2", "mae"]})["a"]
    assert scores == {"r2": 0.0, "mae": 1.0}


def test_a_constant_prediction_and_labels_in_another_unit_are_named():
    metrics = TaskMetrics([WordRegression("a")])
    metrics.update({"a": torch.zeros(2, 2, 1)}, {"a": torch.tensor([[1.0, 2.0], [3.0, NAN]])})
    metrics.compute("a")
    assert metrics.notes["a.prediction"] == "predicts 0 for every word"
    task, target = WordRegression("a"), torch.tensor([[1000.0, 2000.0]])
    assert "mean 1500" in task.label_kind.unit_note(task.statistics(target))


class Words(nn.Module):
    width = 8

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 8)

    def forward(self, words):
        states = self.embedding(words)
        return TokenStates(states, words == 0, states[:, 0])


def test_a_model_learns_numbers_of_words():
    rng = np.random.default_rng(0)
    words = rng.integers(1, 10, (200, 6))
    words[::2, 4:] = 0
    numbers = np.where(words == 0, np.nan, words / 3.0).astype(np.float32)
    numbers[5] = np.nan
    torch.manual_seed(0)
    model = motet.MultiTaskModel(Words(), [WordRegression("time", loss="mae")])
    trainer = motet.Trainer(model, learning_rate=0.05, batch_size=20, balancer="uncertainty")
    trainer.fit((words, {"time": numbers}), epochs=15)
    assert trainer.evaluate((words, {"time": numbers}))["time"]["r2"] > 0.98
    found = trainer.predict(words)["time"]
    assert np.array_equal(np.isnan(found), words == 0)
    assert trainer.balancer.kinds == ["laplace"]


def test_labels_that_do_not_fit_are_refused():
    task = WordRegression("a")
    with pytest.raises(InputError, match="one number per word"):
        task.check(torch.zeros(3))
    with pytest.raises(RowError, match="an infinite label in row 1"):
        task.check(torch.tensor([[0.0], [torch.inf]]))
    with pytest.raises(InputError, match="gave 2 words per row, but there are labels for more"):
        task.loss(torch.zeros(1, 2, 1), torch.zeros(1, 3))
    with pytest.raises(RowError, match="a label where there is no word, in row 0 at place 1"):
        task.check_words(torch.tensor([[True, False]]), torch.tensor([[0.0, 1.0]]))
