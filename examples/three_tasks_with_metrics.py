"""Three related tasks, evaluated with your own metrics on NumPy arrays.

A visitor's interests (several labels), the class of customer, and the amount spent. A metric is any
function `(predictions, targets) -> float`; it gets the labelled rows of the whole split, in
original units, and class probabilities if it has a parameter of that name. With `best` it also
scores the task: 0 ignores the inputs, 1 is perfect. Prints every metric, the score of each task,
and the loss of each task over the epochs.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import motet

Array = NDArray[np.float64]


def within_one(predictions: Array, targets: Array) -> float:
    """Share of numbers that are less than 1 off."""
    return float(np.mean(np.abs(predictions - targets) < 1))


within_one.best = 1.0  # the value of a perfect prediction


def all_right(predictions: Array, targets: Array) -> float:
    """Share of rows with every label right."""
    return float((predictions == targets).all(axis=1).mean())


def in_top_two(predictions: Array, targets: Array, probabilities: Array) -> float:
    """Share of rows whose class is among the two most probable."""
    top = probabilities.argsort(axis=1)[:, -2:]
    return float((top == targets[:, None]).any(axis=1).mean())


def main() -> None:
    """Train on 1,000 rows, evaluate on 500."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1500, 6)).astype("float32")
    taste = inputs[:, :3] + 0.5 * inputs[:, 3:] + 0.2 * rng.normal(size=(1500, 3))
    labels = {
        "interests": (taste > 0.3).astype("float32"),  # (N, 3) of 0 and 1
        "customer": taste.argmax(axis=1),
        "spend": 2 * np.maximum(taste, 0).sum(axis=1),
    }
    train, test = (
        (inputs[part], {task: values[part] for task, values in labels.items()})
        for part in (slice(0, 1000), slice(1000, None))
    )
    torch.manual_seed(0)
    tasks = [
        motet.tasks.MultiLabel("interests", classes=["books", "music", "sport"]),
        motet.tasks.Classification("customer", classes=3),
        motet.tasks.Regression("spend"),
    ]
    metrics = {
        "interests": ["average_precision", all_right],
        "customer": ["accuracy", in_top_two],
        "spend": [within_one, "mae"],
    }
    model = motet.MultiTaskModel(nn.Sequential(nn.Linear(6, 64), nn.ReLU()), tasks)
    trainer = motet.Trainer(model, learning_rate=1e-2, batch_size=50, metrics=metrics)
    history = trainer.fit(train, epochs=8)

    report = trainer.evaluate(test)
    for task, score in report.scores.items():
        metrics_text = (f"{name} {report[task][name]:.3f}" for name in report.trivial[task])
        print(f"{task}: score {score:.3f}; {', '.join(metrics_text)}")
    for task in model.tasks.names:
        print(f"{task} losses:", *(f"{loss:.2f}" for loss in history.curve(task, split="train")))


if __name__ == "__main__":
    main()
