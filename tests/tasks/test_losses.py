"""Frozen values are from methods.md section 17.1; references are naive loops in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from motet.tasks.losses import elements as losses

f64 = torch.float64


def logits(*rows):
    return torch.tensor(rows, dtype=f64)


def close(found, expected, atol=1e-6):
    assert_close(found, torch.tensor(expected, dtype=f64), atol=atol, rtol=0)


def naive_cross_entropy(x, shares, weights, smoothing):
    log_p = [v - math.log(sum(math.exp(u) for u in x)) for v in x]
    shares = [(1 - smoothing) * p + smoothing / len(x) for p in shares]
    return sum(-p * w * lp for p, w, lp in zip(shares, weights, log_p, strict=True))


@pytest.mark.parametrize(
    ("options", "rows", "target", "expected"),
    [
        ({}, [(2.0, 0.0)], [0], [0.126928]),
        ({"label_smoothing": 0.1}, [(2.0, 0.0)], [0], [0.226928]),
    ],
)
def test_cross_entropy_has_the_known_values(options, rows, target, expected):
    close(losses.cross_entropy(logits(*rows), torch.tensor(target), **options), expected)


@given(
    x=st.lists(st.floats(-20, 20), min_size=3, max_size=3),
    weights=st.lists(st.floats(0.1, 5), min_size=3, max_size=3),
    smoothing=st.floats(0, 0.9),
    label=st.integers(0, 2),
)
def test_cross_entropy_agrees_with_its_formula_for_hard_and_soft_labels(
    x, weights, smoothing, label
):
    options = {"class_weights": torch.tensor(weights, dtype=f64), "label_smoothing": smoothing}
    one_hot = [float(c == label) for c in range(3)]
    expected = naive_cross_entropy(x, one_hot, weights, smoothing)
    hard = losses.cross_entropy(logits(x), torch.tensor([label]), **options)
    soft = losses.cross_entropy(logits(x), logits(one_hot), **options)
    assert_close(hard.item(), expected, atol=1e-9, rtol=1e-9)
    assert_close(soft, hard, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(("p", "expected"), [(0.9, 0.001054), (0.5, 0.173287), (0.1, 1.865094)])
def test_focal_has_the_known_values(p, expected):
    x = logits([math.log(p), math.log(1 - p)])
    close(losses.focal(x, torch.tensor([0])), [expected])


@given(x=st.lists(st.floats(-30, 30), min_size=3, max_size=3), label=st.integers(0, 2))
def test_focal_with_gamma_0_is_cross_entropy(x, label):
    target, weights = torch.tensor([label]), torch.tensor([1.0, 2.0, 3.0], dtype=f64)
    expected = losses.cross_entropy(logits(x), target, class_weights=weights)
    found = losses.focal(logits(x), target, class_weights=weights, gamma=0.0)
    assert_close(found, expected, atol=1e-12, rtol=1e-9)


def test_focal_of_one_hot_shares_is_focal_of_the_class():
    x, weights = logits([0.3, -1.0, 2.0]), torch.tensor([1.0, 2.0, 3.0])
    hard = losses.focal(x, torch.tensor([1]), class_weights=weights)
    assert_close(losses.focal(x, logits([0.0, 1.0, 0.0]), class_weights=weights), hard)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [0.0, 1e3])
def test_focal_has_finite_gradients_where_the_model_is_sure(gamma, size):
    for label in (0, 1):
        x = torch.tensor([[size, -size]], requires_grad=True)
        losses.focal(x, torch.tensor([label]), gamma=gamma).sum().backward()
        assert x.grad.isfinite().all()


def test_binary_cross_entropy_has_the_known_values():
    x, y = logits([2.0, -1.0]), logits([1.0, 0.0])
    close(losses.binary_cross_entropy(x, y), [[0.126928, 0.313262]])
    weighted = losses.binary_cross_entropy(x, y, pos_weight=torch.tensor([3.0, 3.0]))
    close(weighted, [[0.380784, 0.313262]])


@given(x=st.floats(-700, 700), y=st.integers(0, 1))
def test_binary_cross_entropy_is_softplus_minus_the_logit_of_what_is_true(x, y):
    expected = max(x, 0) + math.log1p(math.exp(-abs(x))) - x * y
    found = losses.binary_cross_entropy(logits([x]), logits([float(y)]))
    assert_close(found.item(), expected, atol=1e-12, rtol=1e-9)


@given(r=st.floats(-1e3, 1e3))
def test_squared_and_absolute_error_are_what_they_say(r):
    raw, target = logits([0.0]), logits([r])
    assert losses.mse(raw, target).item() == r * r
    assert losses.mae(raw, target).item() == abs(r)


def test_huber_has_the_known_values_and_a_linear_part():
    zero, three = torch.zeros(1, dtype=f64), torch.tensor([3.0], dtype=f64)
    close(losses.huber(three, zero), [2.5])
    close(losses.huber(three, zero, delta=2.0), [4.0])
    slopes = torch.func.vmap(torch.func.grad(lambda x: losses.huber(x, zero.squeeze())))
    close(slopes(torch.tensor([0.5, 3.0, 300.0], dtype=f64)), [0.5, 1.0, 1.0])


def test_log_cosh_has_the_known_values_and_never_overflows():
    r = torch.tensor([0.0, 1.0, 3.0, 1000.0], dtype=f64)
    close(losses.log_cosh(r, torch.zeros_like(r)), [0.0, 0.433781, 2.309329, 999.306853])


@given(r=st.floats(-1e4, 1e4))
def test_the_slope_of_log_cosh_is_tanh(r):
    x = torch.tensor([r], dtype=f64, requires_grad=True)
    losses.log_cosh(x, torch.zeros(1, dtype=f64)).backward()
    close(x.grad, [math.tanh(r)], atol=1e-9)
