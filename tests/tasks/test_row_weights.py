"""Weights of rows: losses against naive loops in float64, and 0 as a missing label."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, huber_loss

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import (
    Classification,
    Count,
    Generation,
    MultiLabel,
    Ordinal,
    Prediction,
    Quantile,
    Ranking,
    Regression,
    SequenceLabelling,
    Task,
    TaskMetrics,
    WordRegression,
)
from motet.tasks.token_texts import expected

C, L, K = 3, 4, 2
CLASS_WEIGHTS = [1.0, 2.0, 0.5]


class Counted(Task):
    """A user's task, whose loss is a function per label."""

    kind = "counted"
    labels = "number"

    def loss(self, raw, target, weights=None):
        return self.add_up(lambda raw, target: raw.exp() - target * raw, raw, target, weights)

    def decode(self, raw):
        return Prediction(raw.double().exp())


def labels_of(name, seed, n):
    """Return raw outputs and labels, some of which are missing."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    there = torch.rand(n, generator=generator) < 0.7
    if name in ("class", "weighted", "focal", "custom"):
        target = torch.randint(C, (n,), generator=generator).where(there, -100)
        return normal(n, C), target
    if name == "soft":
        return normal(n, C), normal(n, C).softmax(-1).where(there[:, None], torch.nan)
    if name == "cells":
        target = (normal(n, C) > 0).float()
        return normal(n, C), target.where(torch.rand(n, C, generator=generator) < 0.7, torch.nan)
    if name == "outputs":
        target = normal(n, K).where(torch.rand(n, K, generator=generator) < 0.7, torch.nan)
        return normal(n, K), target
    if name in ("tags", "weighted tags", "crf"):
        target = torch.randint(C, (n, L), generator=generator)
        known = torch.rand(n, L, generator=generator) < 0.7
        return normal(n, L, C), target.where(known & there[:, None], -100)
    if name == "text":
        target = torch.randint(2, C + 2, (n, L), generator=generator)
        target[torch.arange(L) == torch.randint(L, (n, 1), generator=generator)] = 0  # the end
        return normal(n, L + 1, C + 2), target.where(there[:, None], -100)
    if name == "ordinal":
        return normal(n), torch.randint(C, (n,), generator=generator).where(there, -100)
    if name in ("poisson", "negative binomial"):
        return normal(n), normal(n).abs().mul(3).floor().where(there, torch.nan)
    if name in ("gaussian bounds", "laplace bounds"):
        low = normal(n, 1).where(there[:, None], torch.nan)
        width = torch.tensor([0.0, 0.5, torch.inf])[torch.randint(3, (n, 1), generator=generator)]
        return normal(n), torch.cat([low, low + width], dim=1)
    if name == "quantiles":
        return normal(n, K), normal(n).where(there, torch.nan)
    if name == "words":
        known = torch.rand(n, L, generator=generator) < 0.7
        return normal(n, L, 1), normal(n, L).where(known & there[:, None], torch.nan)
    if name == "relevance":
        return normal(n), torch.stack([normal(n).abs(), torch.arange(n) // 3], 1).where(
            there[:, None], torch.nan
        )
    return normal(n), normal(n).where(there, torch.nan)


TASKS = {
    "class": lambda: Classification("t", classes=C),
    "weighted": lambda: Classification("t", classes=C, class_weights=CLASS_WEIGHTS),
    "focal": lambda: Classification("t", classes=C, loss="focal", gamma=1.0),
    "soft": lambda: Classification("t", classes=C, class_weights=CLASS_WEIGHTS),
    "custom": lambda: Classification("t", classes=C, loss=nn.CrossEntropyLoss(reduction="none")),
    "cells": lambda: MultiLabel("t", classes=C),
    "number": lambda: Regression("t", loss="huber"),
    "outputs": lambda: Regression("t", outputs=K, loss="huber"),
    "tags": lambda: SequenceLabelling("t", classes=C),
    "weighted tags": lambda: SequenceLabelling("t", classes=C, class_weights=CLASS_WEIGHTS),
    "text": lambda: Generation("t", vocabulary_size=C + 2, max_length=L),
    "user's": lambda: Counted("t"),
}
BY_ROW = {
    "crf": lambda: SequenceLabelling("t", classes=C, decoder="crf"),
    "ordinal": lambda: Ordinal("t", classes=C),
    "poisson": lambda: Count("t"),
    "negative binomial": lambda: Count("t", loss="negative_binomial"),
    "gaussian bounds": lambda: Regression("t", censored="auto"),
    "laplace bounds": lambda: Regression("t", censored="auto", loss="mae"),
    "quantiles": lambda: Quantile("t", quantiles=[0.1, 0.9]),
    "words": lambda: WordRegression("t"),
    "relevance": lambda: Ranking("t", form="pointwise"),
}
TASKS |= BY_ROW


def naive(name, task, raw, target):
    """Return (loss, denominator, element) of each labelled element, for one row, float64."""
    raw = raw.double()
    w = (
        torch.tensor(CLASS_WEIGHTS).double()
        if name in ("weighted", "weighted tags", "soft")
        else None
    )
    if name == "soft":
        if target.isnan().any():
            return []
        shares = target.double()
        loss = -(shares * w * raw.log_softmax(-1)).sum()
        return [(loss, (shares * w).sum())]
    if name in ("class", "weighted", "custom", "focal"):
        if target == -100:
            return []
        log_p = raw.log_softmax(-1)[target]
        if name == "focal":
            return [(-(1 - log_p.exp()) * log_p, 1)]
        own = 1 if w is None else w[target]
        return [(-own * log_p, own)]
    if name == "cells":
        pairs = zip(raw, target, strict=True)
        return [
            (binary_cross_entropy_with_logits(x, y.double()), 1) for x, y in pairs if not y.isnan()
        ]
    if name in ("tags", "weighted tags"):
        return [
            (cross_entropy(x, y) * (1 if w is None else w[y]), 1 if w is None else w[y])
            for x, y in zip(raw, target, strict=True)
            if y != -100
        ]
    if name == "text":
        wanted = expected(target[None], L)[0]
        return [(cross_entropy(x, y), 1) for x, y in zip(raw, wanted, strict=True) if y >= 0]
    if name in BY_ROW:
        total, count = task.loss(raw[None], target[None])
        return [(total.detach() / count, 1)] * int(count)
    if name == "user's":
        return [] if target.isnan() else [(raw.exp() - target.double() * raw, 1)]
    cells = zip(raw.reshape(-1), target.reshape(-1), strict=True)
    return [(huber_loss(x, y.double()), 1) for x, y in cells if not y.isnan()]


weights_of_rows = st.lists(st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.0, 7.5]), min_size=1, max_size=9)


@pytest.mark.parametrize("name", list(TASKS))
@settings(max_examples=25)
@given(weights=weights_of_rows, seed=st.integers(0, 99))
def test_any_mask_and_weights_give_the_weighted_loss_of_labelled_elements_alone(
    name, weights, seed
):
    task = TASKS[name]()
    raw, target = labels_of(name, seed, len(weights))
    raw.requires_grad_()
    total, count = task.loss(raw, target, torch.tensor(weights))
    if total.requires_grad:  # it does not where a function of users sees no row
        total.backward()
    rows = [naive(name, task, raw.detach()[row], target[row]) for row in range(len(weights))]
    wanted = (
        sum(w * float(loss) for w, row in zip(weights, rows, strict=True) for loss, _ in row) + 0.0
    )
    divisor = (
        sum(w * float(own) for w, row in zip(weights, rows, strict=True) for _, own in row) + 0.0
    )
    torch.testing.assert_close(total.item(), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(count.item(), divisor, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(task.count(target, torch.tensor(weights)), count)
    for row, weight in enumerate(weights):
        if not weight or not rows[row]:
            assert raw.grad is None or (raw.grad[row] == 0).all()


@pytest.mark.parametrize("name", [each for each in TASKS if each != "relevance"])  # needs lists
@settings(max_examples=15)
@given(weights=weights_of_rows, seed=st.integers(0, 99))
def test_a_weight_of_0_is_a_missing_label_bit_for_bit(name, weights, seed):
    raw, target = labels_of(name, seed, len(weights))
    zero, kept = torch.tensor(weights), torch.tensor(weights)
    blank = target.clone()
    blank[zero == 0] = torch.nan if target.is_floating_point() else -100
    kept[zero == 0] = 5.0
    found = []
    for labels, own in ((target, zero), (blank, kept)):
        task = TASKS[name]()
        task.prepare(labels, own)
        leaf = raw.clone().requires_grad_()
        total, count = task.loss(leaf, labels, own)
        if total.requires_grad:
            total.backward()
        found.append((total.detach(), count, leaf.grad, task.row_weights.mean))
    for one, other in zip(*found, strict=True):
        assert one is None is other or torch.equal(torch.as_tensor(one), torch.as_tensor(other))


@pytest.mark.parametrize("name", list(TASKS))
def test_weights_of_0_and_1_are_missing_labels_bit_for_bit(name):
    raw, target = labels_of(name, 3, 64)
    weights = (torch.arange(64) % 3 != 0).float()
    blank = target.clone()
    blank[weights == 0] = torch.nan if target.is_floating_point() else -100
    weighted, plain = TASKS[name](), TASKS[name]()
    weighted.prepare(target, weights)
    plain.prepare(blank)
    for rows in (slice(0, 40), slice(1, 3), slice(40, 64)):
        found = weighted.loss(raw[rows], target[rows], weights[rows])
        assert all(map(torch.equal, found, plain.loss(raw[rows], blank[rows])))


@pytest.mark.parametrize("name", list(TASKS))
def test_the_count_is_labelled_elements_times_the_mean_of_the_training_labels(name):
    raw, target = labels_of(name, 1, 400)
    weights = torch.rand(400, generator=torch.Generator().manual_seed(1)) * 4
    task = TASKS[name]()
    _, divisor = task.loss(raw, target, weights)  # nothing learned: the batch's own weights
    task.prepare(target, weights)
    parts = torch.arange(400).split(37)
    total, count = (
        sum(each)
        for each in zip(
            *(task.loss(raw[rows], target[rows], weights[rows]) for rows in parts), strict=True
        )
    )
    torch.testing.assert_close(count, divisor, rtol=1e-5, atol=0)  # over all rows they agree
    torch.testing.assert_close(total, task.loss(raw, target, weights)[0], rtol=1e-5, atol=0)
    one = task.count(target[:1], weights[:1] + 9)
    torch.testing.assert_close(one, task.count(target[:1], weights[:1] + 1))


@pytest.mark.parametrize("name", ["class", "weighted", "cells", "outputs", "tags", "crf"])
def test_statistics_of_weighted_batches_are_those_of_all_rows(name):
    _, target = labels_of(name, 5, 90)
    weights = torch.rand(90, generator=torch.Generator().manual_seed(2))
    task = TASKS[name]()
    whole = task.statistics(target, weights)
    parts = [task.statistics(target[rows], weights[rows]) for rows in torch.arange(90).split(25)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merged(part)
    for found, wanted in zip(merged.weights, whole.weights, strict=True):
        assert math.isclose(found, wanted, rel_tol=1e-6)
    if whole.weighted_totals is not None:
        torch.testing.assert_close(merged.weighted_totals_of(C), whole.weighted_totals_of(C))


def test_balanced_class_weights_give_each_class_the_same_weighted_total():
    task = Classification("t", classes=2, class_weights="balanced")
    target, weights = torch.tensor([0, 0, 0, 1]), torch.tensor([1.0, 1.0, 2.0, 0.5])
    task.prepare(target, weights)
    share = task.weights() * torch.tensor([4.0, 0.5])
    torch.testing.assert_close(share[0], share[1])


def test_rows_without_a_label_may_have_any_weight():
    raw, target = torch.randn(3, requires_grad=True), torch.tensor([1.0, torch.nan, 2.0])
    task = Regression("t")
    total, count = task.loss(raw, target, torch.tensor([1.0, torch.nan, 2.0]))
    total.backward()
    assert count == 3
    assert raw.grad[1] == 0
    assert raw.grad.isfinite().all()


def test_a_mean_over_rows_cannot_be_weighted():
    task = Regression("t", loss=nn.MSELoss())
    with pytest.raises(InputError, match=r"returned a mean over rows, .* reduction='none'"):
        task.loss(torch.zeros(3), torch.ones(3), torch.tensor([1.0, 2.0, 3.0]))


class Plain(Counted):
    def loss(self, raw, target):
        return self.add_up(lambda raw, target: raw - target, raw, target)


def test_a_class_whose_loss_takes_no_weights_works_without_and_refuses_them():
    model = MultiTaskModel(nn.Linear(2, 2), [Plain("t")])
    raw, targets = model(torch.ones(3, 2)), {"t": torch.ones(3)}
    assert "t" in model.losses(raw, targets)
    with pytest.raises(InputError, match=r"loss\(raw, target\) of Plain does not take them; .*wri"):
        model.losses(raw, targets, {"t": torch.ones(3)})


def test_a_saved_model_keeps_the_mean_weight_and_others_have_no_more_in_their_files():
    task, again = Regression("t"), Regression("t")
    assert not task.state_dict()
    task.prepare(torch.ones(2), torch.tensor([1.0, 4.0]))
    again.load_state_dict(task.state_dict())
    assert again.row_weights.mean == 2.5
    again.load_state_dict(Regression("t").state_dict())
    assert again.row_weights.mean is None


def test_metrics_leave_out_rows_of_weight_0():
    metrics = TaskMetrics([Regression("t", metrics=["mae"])])
    raw, targets = {"t": torch.tensor([1.0, 2.0])}, {"t": torch.tensor([2.0, 9.0])}
    metrics.update(raw, targets, weights={"t": torch.tensor([3.0, 0.0])})
    assert metrics.compute("t") == {"mae": 1.0, "loss": 1.0, "count": 1}
