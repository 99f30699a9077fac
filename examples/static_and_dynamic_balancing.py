"""Weights set by hand and changed while training, then learned weights.

Two measurements of the same thing, one with noise of 0.3, one of 3. By hand, the noisy task first
counts as much as the other, then less. Learned uncertainty (Kendall et al., CVPR 2018) finds the
noise of each task by itself and weighs it by 1 / (2 noise^2). Prints the weight of each task after
every epoch, and the learned noise.
"""

import numpy as np
import torch
from torch import nn

import motet

NOISE = {"precise": 0.3, "noisy": 3.0}


def main() -> None:
    """Train with weights set by hand, then continue with learned ones."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2000, 6)).astype("float32")
    truth = 2 * inputs[:, 0] - inputs[:, 1]
    targets = {task: truth + noise * rng.normal(size=2000) for task, noise in NOISE.items()}
    data = inputs, targets

    torch.manual_seed(0)
    tasks = [motet.tasks.Regression(task) for task in NOISE]
    model = motet.MultiTaskModel(nn.Sequential(nn.Linear(6, 32), nn.ReLU()), tasks)

    static = motet.Trainer(
        model,
        balancer={"type": "manual", "weights": {"precise": 1.0, "noisy": 1.0}},
        learning_rate=1e-2,
        batch_size=100,
    )
    for weight in (1.0, 0.5, 0.1):
        static.balancer.set_weight("noisy", weight)
        static.train_epoch(data)
        print_weights("manual", static)

    # the same model continues; the trainer's optimizer trains the balancer's parameters as well
    dynamic = motet.Trainer(model, balancer="uncertainty", learning_rate=3e-2, batch_size=50)
    for _ in range(10):
        dynamic.train_epoch(data)
        print_weights("uncertainty", dynamic)
    for task, noise in dynamic.balancer.uncertainties().items():
        print(f"{task}: learned noise {noise:.2f}, true noise {NOISE[task]:.2f}")


def print_weights(balancer: str, trainer: motet.Trainer) -> None:
    """Print the weights at the end of the last epoch."""
    weights = {
        task: trainer.history.curve(task, "weight", "train")[-1]
        for task in trainer.model.active_tasks
    }
    print(f"{balancer:<11}", *(f"{task} {weight:.3f}" for task, weight in weights.items()))


if __name__ == "__main__":
    main()
