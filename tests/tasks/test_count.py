"""Counts: Poisson and negative binomial likelihoods, expected counts, and D2."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import gammaln
from sklearn.metrics import d2_tweedie_score
from torch.testing import assert_close

import motet
from motet.problems import InputError, RowError
from motet.tasks import Count, TaskMetrics, trivial_metrics
from motet.tasks.losses.counts import negative_binomial, poisson

f64 = torch.float64
LOGS = st.floats(-6, 6)
COUNTS = st.integers(0, 500)


def tensor(*values):
    return torch.tensor(values, dtype=f64)


@given(x=LOGS, y=COUNTS)
def test_poisson_is_the_likelihood_without_its_constant(x, y):
    found = poisson(tensor(x), tensor(float(y))).item()
    expected = -stats.poisson(math.exp(x)).logpmf(y) - gammaln(y + 1)
    assert found == pytest.approx(expected, abs=1e-8, rel=1e-9)


@given(x=LOGS, y=COUNTS, log_r=st.floats(-5, 10))
def test_negative_binomial_is_the_likelihood_without_its_constant(x, y, log_r):
    r, m = math.exp(log_r), math.exp(x)
    found = negative_binomial(tensor(x), tensor(float(y)), log_size=torch.tensor(log_r, dtype=f64))
    expected = -stats.nbinom(r, r / (r + m)).logpmf(y) - gammaln(y + 1)
    assert found.item() == pytest.approx(expected, abs=1e-6, rel=1e-7)


@given(x=LOGS, y=COUNTS)
def test_a_large_size_is_poisson_also_in_single_precision(x, y):
    raw, target = torch.tensor([x]), torch.tensor([float(y)])
    found = negative_binomial(raw, target, log_size=torch.tensor(14.0))
    assert_close(found, poisson(raw, target), atol=0.3, rtol=0.02)


def test_poisson_has_the_known_value():
    assert_close(Count("a").loss(torch.zeros(1), torch.tensor([2.0]))[0], torch.tensor(1.0))


def test_gradients_are_right_and_zero_without_a_label():
    assert torch.autograd.gradcheck(
        lambda x, r: negative_binomial(x, tensor(0.0, 3.0), log_size=r),
        (tensor(0.3, -2.0).requires_grad_(), torch.tensor(0.7, dtype=f64).requires_grad_()),
    )
    task = Count("a", loss="negative_binomial")
    raw = torch.tensor([0.3, torch.nan], requires_grad=True)
    total, count = task.loss(raw, torch.tensor([2.0, torch.nan]))
    total.backward()
    assert count == 1
    assert raw.grad[0].isfinite()
    assert raw.grad[1] == 0
    assert task.size.tenth.grad != 0


def test_raw_outputs_are_relative_to_the_mean_of_the_first_training_labels():
    task = Count("a")
    assert not task.prepared
    task.prepare(torch.tensor([10.0, 30.0, torch.nan]))
    task.prepare(torch.tensor([1.0, 1.0]))
    assert task.prepared
    assert_close(task.decode(torch.zeros(1)).value, tensor(20.0), rtol=1e-6, atol=0)
    again = Count("a")
    again.load_state_dict(task.state_dict())
    again.prepare(torch.tensor([1.0, 1.0]))
    assert_close(again.decode(torch.zeros(1)).value, tensor(20.0), rtol=1e-6, atol=0)
    expected = poisson(torch.tensor([math.log(20)]), torch.tensor([7.0])).sum()
    assert_close(again.loss(torch.zeros(1), torch.tensor([7.0]))[0], expected)


def test_d2_has_the_known_values():
    task, truth = Count("a"), torch.tensor([0.0, 1.0, 2.0, 5.0])
    for found, expected in (([0.5, 1, 2, 4], 0.841649), ([2.0] * 4, 0.0)):
        metrics = TaskMetrics([task])
        metrics.update({"a": torch.tensor(found).log()}, {"a": truth})
        assert metrics.compute("a")["d2"] == pytest.approx(expected, abs=1e-6)


@given(seed=st.integers(0, 2**32))
def test_d2_agrees_with_scikit_learn_in_any_batches(seed):
    rng = np.random.default_rng(seed)
    truth, raw = rng.poisson(2, 30), rng.normal(size=30)
    if len(set(truth)) < 2:
        return
    metrics = TaskMetrics([Count("a")])
    for rows in (slice(0, 7), slice(7, 30)):
        metrics.update({"a": raw[rows]}, {"a": truth[rows].astype(float)})
    expected = d2_tweedie_score(truth, np.exp(raw), power=1)
    assert metrics.compute("a")["d2"] == pytest.approx(expected, abs=1e-9)


def test_constant_labels_have_no_d2():
    metrics = TaskMetrics([Count("a")])
    metrics.update({"a": torch.zeros(3)}, {"a": torch.full((3,), 4.0)})
    assert math.isnan(metrics.compute("a")["d2"])
    assert metrics.notes["a.d2"] == "the labels are constant"


def test_what_ignores_the_inputs_is_the_mean_and_the_median_for_mae():
    task, labels = Count("a"), torch.tensor([0.0, 0.0, 1.0, 7.0, torch.nan])
    assert task.trivial(task.statistics(labels), "d2").value.item() == 2
    assert task.trivial(task.statistics(labels), "mae").value.item() == 0
    assert trivial_metrics([task], {"a": labels}, {"a": labels})["a"]["d2"] == pytest.approx(0)


def trained(loss, x, y):
    torch.manual_seed(0)
    model = motet.MultiTaskModel(torch.nn.Linear(1, 1), [Count("a", loss=loss)])
    motet.Trainer(model, learning_rate=0.03, batch_size=500).fit((x, {"a": y}), epochs=20)
    raw = model(torch.tensor([[0.0], [1.0]]))["a"].detach()
    return model.tasks["a"], float(raw[1] - raw[0]), model.tasks["a"].mean(raw)[0].exp().item()


@pytest.mark.parametrize("loss", ["poisson", "negative_binomial"])
def test_a_known_slope_and_dispersion_are_recovered(loss):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5000, 1)).astype(np.float32)
    mean = np.exp(3 + 0.5 * x[:, 0])
    y = rng.poisson(mean if loss == "poisson" else mean * rng.gamma(2, 1 / 2, 5000))
    task, slope, at_zero = trained(loss, x, y)
    assert slope == pytest.approx(0.5, rel=0.06)
    assert at_zero == pytest.approx(math.exp(3), rel=0.06)
    if loss == "negative_binomial":
        assert task.size().exp().item() == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1.0, -2.0], "found -2 in row 1, expected counts"),
        ([0.5, 2.0], r"found 0\.5 in row 0, expected counts"),
        ([torch.inf, 2.0], "found inf in row 0"),
    ],
)
def test_labels_that_are_not_counts_are_refused_with_their_row(labels, message):
    with pytest.raises(RowError, match=message):
        Count("a").check(torch.tensor(labels))


def test_several_counts_per_row_are_refused():
    with pytest.raises(InputError, match="one count per row"):
        Count("a").check(torch.zeros(3, 2))


def test_uncertainty_weighting_leaves_a_likelihood_as_it_is():
    tasks = [Count("a"), motet.tasks.Regression("b")]
    model = motet.MultiTaskModel(torch.nn.Linear(1, 4), tasks)
    trainer = motet.Trainer(model, balancer="uncertainty", learning_rate=0.1, batch_size=10)
    x = torch.linspace(-1, 1, 50).unsqueeze(1)
    y = torch.arange(50.0) % 7
    trainer.fit((x, {"a": y + 5, "b": x[:, 0]}), epochs=10)
    balancer = trainer.balancer
    assert balancer.uncertainties()["a"] == 1
    losses = torch.tensor([-13.0, 2.0])
    s = balancer.log_variance.detach()[1]
    found = balancer(losses, torch.tensor([True, True]))
    assert_close(found, -13.0 + 0.5 * (torch.exp(-s) * 2 + s))
