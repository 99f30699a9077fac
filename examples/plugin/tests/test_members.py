"""The members of this package work by their names alone, in a run and in its loaded model."""

import numpy as np
import torch

import motet

CONFIG = {
    "tasks": {"paid": {"type": "share", "head": {"type": "residual"}}, "amount": "regression"},
    "balancing": {"type": "smooth_maximum", "sharpness": 2.0},
    "training": {"epochs": 3, "batch_size": 64, "device": "cpu"},
}


def test_a_config_names_all_of_them(tmp_path):
    x = np.random.default_rng(0).normal(size=300)
    rows = {"x": x, "paid": 1 / (1 + np.exp(-x)), "amount": 2 * x}
    run = motet.train(CONFIG, rows, output=tmp_path / "run")
    predicted = motet.load(run.path / "model").predict(rows)["paid"].to_numpy()
    assert predicted.min() >= 0
    assert predicted.max() <= 1
    assert np.corrcoef(predicted, rows["paid"])[0, 1] > 0.5


def test_the_balancer_is_between_the_mean_and_the_maximum():
    balancer = motet.balancing.create("smooth_maximum", ["a", "b"], sharpness=50.0)
    losses = torch.tensor([1.0, 3.0], requires_grad=True)
    balancer(losses).backward()
    assert torch.allclose(losses.grad, torch.tensor([0.0, 1.0]), atol=1e-6)
