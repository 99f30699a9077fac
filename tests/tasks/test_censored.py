"""Numbers of which some are known as bounds: likelihood, what metrics see, and a known answer."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quick_cases import others_slow
from scipy import stats

import motet
from motet.problems import InputError, RowError
from motet.tasks import Regression, TaskMetrics, trivial_metrics
from motet.tasks.losses.censored import gaussian, laplace

f64 = torch.float64
INF, NAN = torch.inf, torch.nan
NUMBERS = st.floats(-20, 20)
NOISE = {"gaussian": (gaussian, stats.norm), "laplace": (laplace, stats.laplace)}


def loss_of(function, raw, low, high, log_scale, dtype=f64):
    raw, target = torch.tensor([raw], dtype=dtype), torch.tensor([[low, high]], dtype=dtype)
    return function(raw, target, log_scale=torch.tensor(log_scale, dtype=dtype)).item()


@pytest.mark.parametrize("noise", NOISE)
@given(raw=NUMBERS, at=NUMBERS, log_scale=st.floats(-3, 3))
def test_numbers_and_bounds_have_the_likelihood_of_the_distribution(noise, raw, at, log_scale):
    function, distribution = NOISE[noise]
    law = distribution(raw, math.exp(log_scale))
    for low, high, expected in ((at, at, law.logpdf), (at, INF, law.logsf), (-INF, at, law.logcdf)):
        found = loss_of(function, raw, low, high, log_scale)
        assert found == pytest.approx(-expected(at), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("noise", NOISE)
@given(raw=st.floats(-6, 6), low=st.floats(-6, 6), width=st.floats(0.01, 5))
def test_an_interval_has_the_probability_between_its_ends(noise, raw, low, width):
    function, distribution = NOISE[noise]
    law, high = distribution(raw), low + width
    left = law.cdf(high) - law.cdf(low) if low < raw else law.sf(low) - law.sf(high)
    assert loss_of(function, raw, low, high, 0.0) == pytest.approx(-math.log(left), rel=1e-6)


@pytest.mark.parametrize("noise", NOISE)
def test_far_from_a_bound_loss_and_gradient_are_finite_in_single_precision(noise):
    function, _ = NOISE[noise]
    raw = torch.tensor([-300.0, 300.0, -300.0, 300.0, 5.0], requires_grad=True)
    target = torch.tensor([[0, INF], [0, INF], [-INF, 0], [-INF, 0], [5, 5]])
    losses = function(raw, target, log_scale=torch.zeros((), requires_grad=True))
    losses.sum().backward()
    assert losses.isfinite().all()
    assert raw.grad.isfinite().all()
    assert losses[1] == losses[2] == 0
    assert (raw.grad[[0, 3]].abs() > 0.9).all()


def test_gradients_are_those_of_the_formula():
    target = torch.tensor([[0.5, 0.5], [0.2, INF], [-INF, 1.0], [0.1, 0.7]], dtype=f64)
    raw = torch.tensor([0.3, -1.0, 2.0, 0.4], dtype=f64, requires_grad=True)
    scale = torch.tensor(-0.3, dtype=f64, requires_grad=True)
    for function in (gaussian, laplace):
        assert torch.autograd.gradcheck(
            lambda x, s, f=function: f(x, target, log_scale=s), (raw, scale)
        )


@pytest.mark.parametrize("loss", ["mse", "mae"])
@given(raw=NUMBERS, at=NUMBERS, tenth=st.floats(-1, 1))
def test_no_loss_is_negative(loss, raw, at, tenth):
    task = Regression("a", loss=loss, censored="auto")
    torch.nn.init.constant_(task.censoring.scale.tenth, tenth)
    for low, high in ((at, at), (at, INF), (-INF, at)):
        assert task.loss(torch.tensor([raw]), torch.tensor([[low, high]]))[0] >= -1e-5


def test_a_missing_label_leaves_no_trace_and_metrics_are_of_exact_labels():
    task = Regression("a", censored="auto", scaling=(10.0, 2.0))
    target = torch.tensor([[1.0, 1.0], [0.5, INF], [NAN, NAN], [3.0, 3.0]])
    raw = torch.tensor([1.0, 0.0, NAN, 2.0], requires_grad=True)
    total, count = task.loss(raw, target)
    total.backward()
    assert count == task.count(target) == 3
    assert raw.grad[2] == 0
    assert raw.grad[[0, 1, 3]].isfinite().all()
    seen = []
    metrics = TaskMetrics([task], {"a": ["mae", lambda found, truth: seen.append(truth) or 0.0]})
    metrics.update({"a": raw.detach()}, {"a": target})
    values = metrics.compute("a")
    assert (values["mae"], values["count"]) == (1.0, 2)
    assert seen[0].tolist() == [12.0, 16.0]
    scores = trivial_metrics([task], {"a": target}, {"a": target}, {"a": ["mae", "r2"]})["a"]
    assert scores == {"mae": 2.0, "r2": 0.0}


def test_a_split_of_bounds_alone_has_no_score():
    task, train = Regression("a", censored="auto"), torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    bounds = torch.tensor([[1.0, INF], [2.0, INF]])
    assert math.isnan(trivial_metrics([task], {"a": train}, {"a": bounds})["a"]["r2"])
    metrics = TaskMetrics([task])
    metrics.update({"a": torch.zeros(2)}, {"a": bounds})
    assert math.isnan(metrics.compute("a")["r2"])
    assert metrics.notes["a.r2"] == "no row has a label"


def slope(task, x, target):
    torch.manual_seed(0)
    model = motet.MultiTaskModel(torch.nn.Linear(1, 1), [task])
    trainer = motet.Trainer(model, learning_rate=0.03, batch_size=250, balancer="uncertainty")
    trainer.fit((x, {"a": target}), epochs=30)
    ends = trainer.predict(np.array([[0.0], [1.0]], np.float32))["a"]
    return float(ends[1] - ends[0]), model.tasks["a"]


@pytest.mark.parametrize("loss", others_slow(["mae"], ["mse", "mae"]))
def test_a_slope_of_3_is_recovered_where_the_top_fifth_is_censored(loss):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 1)).astype(np.float32)
    noise = rng.normal(size=2000) if loss == "mse" else rng.laplace(size=2000)
    y = (3 * x[:, 0] + noise).astype(np.float32)
    limit = np.quantile(y, 0.8)
    scaling = (float(np.mean(y)), float(np.std(y)))
    low = (np.minimum(y, limit) - scaling[0]) / scaling[1]
    target = np.stack([low, np.where(y > limit, np.inf, low)], axis=1).astype(np.float32)
    found, task = slope(Regression("a", loss=loss, censored="auto", scaling=scaling), x, target)
    assert found == pytest.approx(3, rel=0.05)
    assert task.censoring.scale().exp().item() * scaling[1] == pytest.approx(1, rel=0.1)
    naive, _ = slope(Regression("a", loss=loss, scaling=scaling), x, low.astype(np.float32))
    assert naive < 3 * 0.9


def test_uncertainty_weighting_sees_a_likelihood():
    assert Regression("a", censored="auto").uncertainty_kind == "likelihood"
    assert Regression("a").uncertainty_kind == "regression"


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (torch.zeros(3), InputError, r"expected \(B, 2\)"),
        (torch.tensor([[0.0, 1.0], [2.0, 1.0]]), RowError, "in row 1, expected"),
        (torch.tensor([[-INF, INF]]), RowError, "at least one of them finite"),
        (torch.tensor([[INF, INF]]), RowError, "at least one of them finite"),
        (torch.tensor([[0.0, NAN]]), RowError, "or NaN for both"),
    ],
)
def test_what_is_not_an_interval_is_refused(target, error, message):
    with pytest.raises(error, match=message):
        Regression("a", censored="auto").check(target)


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="applies only with loss: mse or mae"):
        Regression("a", censored="auto", loss="huber")
    with pytest.raises(InputError, match="one number per row with censored"):
        Regression("a", censored="auto", outputs=2)


def test_joint_predictions_are_judged_on_exact_labels_of_weight_above_0():
    task = Regression("assay", censored="auto", metrics=["mae"])
    target = torch.tensor([[1.0, 1.0], [2.0, torch.inf], [5.0, 5.0]])
    weights, raw = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([3.0, 0.0, 9.0])
    found = []
    for joint in (False, True):
        metrics = TaskMetrics([task])
        terms = task.loss(raw, target, weights)
        own = {"assay": target}, {"assay": terms}
        if joint:
            metrics.update_predictions({"assay": task.decode(raw)}, *own, {"assay": weights})
        else:
            metrics.update({"assay": raw}, *own, weights={"assay": weights})
        found.append(metrics.compute("assay"))
    assert found[0] == found[1]
    assert (found[0]["mae"], found[0]["count"]) == (2.0, 1)
