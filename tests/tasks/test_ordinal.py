"""Ordered classes: thresholds, likelihood, median, and quadratic kappa."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from torch.testing import assert_close

import motet
from motet.problems import InputError
from motet.tasks import Ordinal, TaskMetrics, trivial_metrics
from motet.tasks.cutpoints import Cutpoints, class_log_probabilities, cumulative_link

f64 = torch.float64
SEEDS = st.integers(0, 2**32)


def cuts(*values):
    return torch.tensor(values, dtype=f64)


def close(found, expected, atol=1e-6):
    assert_close(found, torch.tensor(expected, dtype=f64), atol=atol, rtol=0)


def test_class_probabilities_have_the_known_values():
    found = class_log_probabilities(cuts(0.0, 1.5), cuts(-1.0, 1.0)).exp()
    close(found, [[0.268941, 0.462117, 0.268941], [0.075858, 0.301682, 0.622459]])
    found = cumulative_link(cuts(0.0), torch.tensor([1]), thresholds=cuts(-1.0, 1.0))
    close(found, [0.771937])


def test_far_from_the_thresholds_the_likelihood_is_exact():
    found = class_log_probabilities(cuts(0.0), cuts(50.0, 60.0))
    close(found[0, 1:], [-50.00005, -60.0], atol=1e-5)


@given(
    z=st.floats(-10, 10),
    first=st.floats(-5, 5),
    steps=st.lists(st.floats(0.01, 4), min_size=1, max_size=4),
)
def test_probabilities_agree_with_differences_of_sigmoids(z, first, steps):
    thresholds = np.cumsum([first, *steps])
    reached = [0.0, *(1 / (1 + math.exp(z - t)) for t in thresholds), 1.0]
    found = class_log_probabilities(cuts(z), cuts(*thresholds)).exp()[0]
    close(found, np.diff(reached).tolist(), atol=1e-12)


@given(counts=st.lists(st.integers(0, 1000), min_size=2, max_size=8))
def test_thresholds_begin_with_the_shares_of_the_classes_and_are_placed_once(counts):
    cutpoints = Cutpoints(len(counts))
    cutpoints.place(torch.tensor(counts))
    smoothed = torch.tensor(counts) + 1.0
    close_to = (smoothed / smoothed.sum()).float()
    found = class_log_probabilities(torch.zeros(1), cutpoints()).exp()[0]
    assert_close(found, close_to, atol=1e-4, rtol=1e-3)
    cutpoints.place(torch.arange(len(counts)))
    assert_close(class_log_probabilities(torch.zeros(1), cutpoints()).exp()[0], found)


def test_thresholds_that_were_loaded_stay():
    task, other = (Ordinal("a", classes=3) for _ in range(2))
    task.prepare(torch.tensor([0, 0, 0, 1, 2]))
    other.load_state_dict(task.state_dict())
    assert other.prepared
    other.prepare(torch.tensor([2, 2, 2, 2, 1]))
    assert_close(other.cutpoints(), task.cutpoints())


@given(seed=SEEDS)
def test_predicted_is_the_median_class(seed):
    generator = torch.Generator().manual_seed(seed)
    task = Ordinal("a", classes=5)
    found = task.decode(4 * torch.randn(50, generator=generator, dtype=f64))
    reached = found.probabilities.cumsum(dim=1)
    assert_close(found.probabilities.sum(dim=1), torch.ones(50, dtype=f64))
    assert found.value.tolist() == (reached < 0.5).sum(dim=1).tolist()


@given(seed=SEEDS)
def test_kappa_agrees_with_scikit_learn_in_any_batches(seed):
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, 4, (2, 40))
    if len(set(truth) | set(found)) < 2:
        return
    task = Ordinal("a", classes=4)
    metrics = TaskMetrics([task])
    for rows in (slice(0, 13), slice(13, 40)):
        raw = task.cutpoints().detach()
        ends = torch.cat([raw[:1] - 1, raw + 1e-3])
        metrics.update({"a": ends[found[rows]]}, {"a": truth[rows]})
    values = metrics.compute("a")
    expected = cohen_kappa_score(truth, found, weights="quadratic")
    assert values["kappa"] == pytest.approx(expected, abs=1e-9)
    assert values["mae"] == pytest.approx(np.abs(truth - found).mean())
    assert values["accuracy"] == pytest.approx((truth == found).mean())


def test_kappa_has_the_known_values():
    task = Ordinal("a", classes=3)
    metrics = TaskMetrics([task])
    metrics.update({"a": [-9.0, 0.0, 0.0]}, {"a": [0, 1, 2]})
    assert metrics.compute("a")["kappa"] == pytest.approx(0.666667, abs=1e-6)
    metrics.reset()
    metrics.update({"a": [9.0, 9.0]}, {"a": [2, 2]})
    assert math.isnan(metrics.compute("a")["kappa"])
    assert metrics.notes["a.kappa"] == "all labels and predictions are of one class"


def test_the_median_class_is_what_ignores_the_inputs_and_has_kappa_0():
    task, labels = Ordinal("a", classes=4), torch.tensor([0, 1, 1, 2, 3, 3, -100])
    found = task.trivial(task.statistics(labels), "kappa")
    assert found.value.tolist() == [1]
    assert_close(found.probabilities, torch.tensor([[1, 2, 1, 2]], dtype=f64) / 6)
    assert trivial_metrics([task], {"a": labels}, {"a": labels})["a"]["kappa"] == 0


def test_gradients_are_those_of_the_formula_and_zero_without_a_label():
    task = Ordinal("a", classes=4)
    raw = torch.tensor([0.3, 2.0, torch.nan], requires_grad=True)
    total, count = task.loss(raw, torch.tensor([2, 0, -100]))
    total.backward()
    assert count == 2
    assert raw.grad.isfinite().all()
    assert raw.grad[2] == 0
    assert task.cutpoints.steps.grad.isfinite().all()
    assert torch.autograd.gradcheck(
        lambda z, t: class_log_probabilities(z, t.cumsum(0)),
        (cuts(0.3, -2.0).requires_grad_(), cuts(-1.0, 0.5, 2.0).requires_grad_()),
    )


def test_known_thresholds_are_recovered():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 1)).astype(np.float32)
    stars = np.digitize(2 * x[:, 0] + rng.logistic(size=4000), [-2, 0, 3])
    torch.manual_seed(0)
    model = motet.MultiTaskModel(torch.nn.Linear(1, 1), [Ordinal("stars", classes=4)])
    trainer = motet.Trainer(model, learning_rate=0.05, batch_size=400)
    trainer.fit((x, {"stars": stars}), epochs=15)
    raw = model(torch.tensor([[0.0], [1.0]]))["stars"].detach()
    assert float(raw[1] - raw[0]) == pytest.approx(2, rel=0.1)
    close_to = torch.tensor([-2.0, 0.0, 3.0])
    assert_close(model.tasks["stars"].cutpoints().detach() - raw[0], close_to, atol=0.2, rtol=0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([3]), "found the label 3, expected the place of a class, from 0 to 2"),
        (torch.tensor([0.5]), r"found the label 0\.5"),
        (torch.zeros(2, 3), r"have the shape \(2, 3\), expected \(B,\)"),
    ],
)
def test_labels_that_are_not_places_of_classes_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        Ordinal("a", classes=3).check(labels)


def test_without_the_number_of_classes_there_is_no_head():
    with pytest.raises(InputError, match="the number of classes is not known"):
        Ordinal("a").make_head(3)


def test_several_models_predict_the_median_of_their_mean_probabilities():
    task = Ordinal("a", classes=3)
    members = [task.decode(torch.tensor([raw, 0.0], dtype=f64)) for raw in (-3.0, 3.0)]
    found = task.combine(members)
    assert_close(found.probabilities, (members[0].probabilities + members[1].probabilities) / 2)
    assert found.value.tolist() == [1, 1]
