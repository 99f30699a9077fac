"""Affinity by looking ahead, on quadratics with a closed form and on a model."""

import copy

import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import motet
from motet.balancing.engine.measuring import joined_gramians, measured_rows
from motet.processes import Processes
from motet.training import Trainer
from motet.training.affinity import exact, first_order
from motet.training.statistics import Measured


def test_affinity_of_quadratics_is_its_closed_form():
    """L_k = |θ - a_k|² / 2, so that L_j(θ - η g_i) = |(1 - η) θ + η a_i - a_j|² / 2."""
    theta = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    centres = {
        "first": torch.tensor([1.0, 0.0]).double(),
        "second": torch.tensor([0.0, 2.0]).double(),
    }

    def losses():
        return {task: (theta - a).square().sum() / 2 for task, a in centres.items()}

    now = losses()
    rows = measured_rows(now, [theta])
    gramian = joined_gramians(rows, [1], Processes()).sum(dim=0).numpy()
    measured = Measured(tuple(now), gramian, rows=rows)
    values = {task: loss.item() for task, loss in now.items()}
    found = exact(measured, values, 0.1, losses)
    eta, before = 0.1, theta.detach().clone()
    expected = [
        [
            1
            - float(((1 - eta) * before + eta * centres[i] - centres[j]).square().sum() / 2)
            / values[j]
            for j in centres
        ]
        for i in centres
    ]
    assert_allclose(found, expected, rtol=1e-12)
    assert found[0, 1] == pytest.approx(0.18)
    assert first_order(measured, values, 0.1)[0, 1] == pytest.approx(0.20)
    assert torch.equal(theta, before)


def test_affinity_of_a_model_is_that_of_a_step_on_the_shared_parameters():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
    tasks = [motet.tasks.Regression(name) for name in "ab"]
    model = motet.MultiTaskModel(encoder, tasks)
    x = torch.randn(20, 4)
    y = {"a": x[:, 0] * 2, "b": x[:, 1] - x[:, 0]}
    twin = copy.deepcopy(model).double()
    options = {"every": 1, "affinity": "exact"}
    trainer = Trainer(model, optimizer="sgd", learning_rate=0.1, analysis=options)
    found = trainer.train_step({"inputs": x, "targets": y}).affinity
    wide = {task: each.double() for task, each in y.items()}
    before = twin.losses(twin(x.double()), wide)
    shared = list(twin.sharing.parameters())
    for i, loss in enumerate(before.values()):
        moved = copy.deepcopy(twin)
        gradients = torch.autograd.grad(loss, shared, retain_graph=True)
        with torch.no_grad():
            for parameter, gradient in zip(moved.sharing.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
        after = moved.losses(moved(x.double()), wide)
        ratios = [(after[task] / before[task]).item() for task in before]
        assert_allclose(found[i], [1 - ratio for ratio in ratios], rtol=1e-3, atol=1e-6)


def test_affinity_to_a_task_whose_loss_is_not_positive_is_unknown():
    found = first_order(
        Measured(("a", "b"), torch.ones(2, 2).double().numpy()), {"a": 2.0, "b": -1.0}, 0.1
    )
    assert found[0, 0] == pytest.approx(0.05)
    assert torch.isnan(torch.from_numpy(found[:, 1])).all()
