"""Your own type of task: a share, such as how much of a meal was eaten, predicted inside [0, 1].

`Share` has two methods: a loss, the cross-entropy with the observed share, and a prediction, the
sigmoid. What is missing, the head and the metrics follow from its labels, which are numbers. Prints
R2 on test rows and the range of the predictions, beside a `regression` of the same numbers.
"""

import tempfile
from functools import partial
from typing import final

import numpy as np
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

import motet
from motet.tasks import Prediction, Task


@final
class Share(Task):
    """A number between 0 and 1, by cross-entropy."""

    kind, labels = "share", "number"

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        entropy = partial(binary_cross_entropy_with_logits, reduction="none")
        return self.add_up(entropy, raw, target, weights)

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(raw.double().sigmoid())


def main() -> None:
    """Register the type, train it beside a regression, and predict."""
    motet.register("task", "share", Share)
    config = {
        "tasks": {"eaten": "share", "plain": "regression"},
        "training": {"epochs": 8, "batch_size": 32, "optimizer": {"learning_rate": 1e-2}},
    }
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 800))
    eaten = 1 / (1 + np.exp(-4 * x + 2 * y))
    eaten[::5] = np.nan  # not measured
    data = {"x": x, "y": y, "eaten": eaten, "plain": eaten}
    with tempfile.TemporaryDirectory() as folder:
        run = motet.train(config, data, output=folder)
        report, predicted = run.evaluate(data, split="test"), run.predict(data)
    for task in run.model.tasks.names:
        values = predicted[task].to_numpy()
        r2 = report[task]["r2"]
        print(f"{task}: R2 {r2:.3f}, from {values.min():.3f} to {values.max():.3f}")


if __name__ == "__main__":
    main()
