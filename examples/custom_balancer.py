"""Your own balancer: one method, and everything else works.

`SmoothWorst` minimises the log-sum-exp of the losses, a smooth maximum: the task with the larger
loss counts more, and the weights add up to 1. Once registered under a name, a config can choose
it; its weights are recorded like any other's. Prints loss and weight of each task after each epoch,
the balancer in the run's config, and the R2 of the loaded run on the easy task.
"""

import tempfile
from typing import final

import numpy as np
from torch import Tensor

import motet
from motet.balancing import LossBalancer


@final
class SmoothWorst(LossBalancer):
    """Give the tasks with the largest losses the largest weights."""

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        return losses.logsumexp(dim=0)


def main() -> None:
    """Register the balancer, and train a table with it."""
    motet.register("balancer", "smooth_worst", SmoothWorst)
    config = {
        "tasks": {"easy": {"type": "regression"}, "hard": {"type": "regression"}},
        "balancing": "smooth_worst",
        "training": {"epochs": 6, "batch_size": 64, "optimizer": {"learning_rate": 3e-3}},
    }
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 800))
    data = {"x": x, "y": y, "easy": x, "hard": y + 2 * rng.normal(size=800)}
    with tempfile.TemporaryDirectory() as folder:
        run = motet.train(config, data, output=folder)
        losses, weights = (
            {task: run.history.curve(task, what, "train") for task in run.model.tasks.names}
            for what in ("loss", "weight")
        )
        for epoch in range(len(run.history)):
            shown = (
                f"{task} loss {losses[task][epoch]:.3f} weight {weights[task][epoch]:.3f}"
                for task in losses
            )
            print(f"epoch {epoch + 1}", *shown, sep="  ")
        print("balancing:", run.config.balancing.type)
        print(
            "R2 of easy:", round(motet.load(folder).evaluate(data, split="test")["easy"]["r2"], 3)
        )


if __name__ == "__main__":
    main()
