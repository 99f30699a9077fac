"""A first multi-task model: one encoder, two tasks, from arrays to predictions.

A third of the "kind" labels are missing (-100); their rows still train the other task. Prints each
metric on held-out rows, compared with a baseline that ignores the inputs, and the predictions for
three rows.
"""

import numpy as np
import torch
from torch import nn

import motet


def main() -> None:
    """Train on 1,000 rows, evaluate on 500."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1500, 8)).astype("float32")
    kind = np.digitize(inputs[:, 0] + inputs[:, 1], [-0.6, 0.6])  # 0, 1 or 2
    kind[::3] = -100  # not labelled; NaN and None are also accepted
    area = 3 * inputs[:, 0] - inputs[:, 2] + 0.1 * rng.normal(size=1500)
    train = inputs[:1000], {"kind": kind[:1000], "area": area[:1000]}
    test = inputs[1000:], {"kind": kind[1000:], "area": area[1000:]}

    torch.manual_seed(0)
    model = motet.MultiTaskModel(
        encoder=nn.Sequential(nn.Linear(8, 64), nn.ReLU()),
        tasks=[motet.tasks.Classification("kind", classes=3), motet.tasks.Regression("area")],
    )
    trainer = motet.Trainer(model, learning_rate=1e-2, batch_size=64)
    trainer.fit(train, epochs=8)

    report = trainer.evaluate(test)
    print("task  metric    model  trivial  labelled rows")
    for task in model.tasks.names:
        for metric, trivial in report.trivial[task].items():
            print(
                f"{task}  {metric:<8} {report[task][metric]:6.3f}   {trivial:6.3f}  "
                f"{report[task]['count']}"
            )

    predictions = trainer.predict(inputs[1000:1003])
    print("first rows:", {task: values.round(2).tolist() for task, values in predictions.items()})


if __name__ == "__main__":
    main()
