"""The expected calibration error, against its definition; temperatures in tasks."""

import numpy as np
import pytest
import torch

from motet.registry import METRICS
from motet.tasks import Classification, MultiLabel, Ordinal, TaskMetrics
from motet.tasks.metric import ScoredRows

ERROR = METRICS["calibration_error"]


def naive(confidence, right):
    total = 0.0
    for place in range(15):
        own = np.minimum((confidence * 15).astype(int), 14) == place
        if own.any():
            total += own.mean() * abs(right[own].mean() - confidence[own].mean())
    return total


def test_the_error_of_classes_is_that_of_its_definition_in_parts_too():
    rng = np.random.default_rng(0)
    p, target = rng.dirichlet([1, 1, 1], 200), rng.integers(0, 3, 200)
    rows = ScoredRows(torch.tensor(p.argmax(1)), torch.tensor(p), torch.tensor(target))
    expected = naive(p.max(axis=1), p.argmax(axis=1) == target)
    assert ERROR(rows).value == pytest.approx(expected)
    parts = [
        ERROR.state(ScoredRows(rows.value[own], rows.probabilities[own], rows.target[own]))
        for own in (slice(0, 90), slice(90, 200))
    ]
    assert parts[0].merged(parts[1]).score().value == pytest.approx(expected)


def test_the_error_of_several_labels_is_over_known_cells():
    p = torch.tensor([[0.9, 0.2], [0.7, 0.4]])
    target = torch.tensor([[1.0, 0.0], [torch.nan, 1.0]])
    expected = naive(np.array([0.9, 0.2, 0.4]), np.array([1.0, 0.0, 1.0]))
    assert ERROR(ScoredRows((p > 0.5).long(), p, target)).value == pytest.approx(expected, rel=1e-6)


def test_it_is_reported_beside_others_and_gives_no_score():
    task = Classification("a", classes=2, metrics=["accuracy", "calibration_error"])
    metrics = TaskMetrics([task])
    metrics.update({"a": torch.tensor([[0.0, 9.0], [9.0, 0.0]])}, {"a": torch.tensor([1, 0])})
    assert metrics.compute("a")["calibration_error"] == pytest.approx(0, abs=1e-3)
    assert ERROR.without_score
    assert ERROR.higher_is_better is False


@pytest.mark.parametrize(
    "task", [Classification("a", classes=3), MultiLabel("a", classes=3), Ordinal("a", classes=3)]
)
def test_a_temperature_makes_tasks_less_sure_and_predictions_stay(task):
    if isinstance(task, Ordinal):
        task.cutpoints.place(torch.tensor([3.0, 4.0, 3.0]))
    raw = torch.randn(50, *(() if isinstance(task, Ordinal) else (3,))) * 3
    with torch.no_grad():
        sharp = task.decode(raw)
        task.calibration_temperature = 4.0
        soft = task.decode(raw)
    assert torch.equal(sharp.value, soft.value)
    if isinstance(task, MultiLabel):
        sharp, soft = ((each.probabilities - 0.5).abs() for each in (sharp, soft))
        assert (soft <= sharp).all()
    else:
        assert soft.probabilities.max() < sharp.probabilities.max()
        torch.testing.assert_close(soft.probabilities.sum(dim=1), torch.ones(50))
