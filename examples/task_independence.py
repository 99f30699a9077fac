"""Tasks are enabled and disabled at run time without affecting the others.

Trains three tasks, then disables one: it is no longer computed, evaluated or trained, and the
predictions of the others stay the same bit for bit. Prints the active tasks, the largest
difference, the report of one task evaluated alone, and whether training changed the head of the
disabled task.
"""

import numpy as np
import torch
from torch import nn

import motet


def main() -> None:
    """Train three tasks, disable one and enable it again."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(800, 6)).astype("float32")
    targets = {
        "size": 2 * inputs[:, 0] + inputs[:, 1],
        "warm": (inputs[:, 2] > 0).astype("int64"),
        "depth": inputs[:, 0] * inputs[:, 3],
    }
    torch.manual_seed(0)
    tasks = [
        motet.tasks.Regression("size"),
        motet.tasks.Classification("warm", classes=2),
        motet.tasks.Regression("depth", learning_rate=3e-2),  # for its head; others have 1e-2
    ]
    model = motet.MultiTaskModel(nn.Sequential(nn.Linear(6, 64), nn.ReLU()), tasks)
    trainer = motet.Trainer(model, learning_rate=1e-2, batch_size=100)
    trainer.fit((inputs, targets), epochs=5)

    before = trainer.predict(inputs)
    model.disable_task("depth")
    after = trainer.predict(inputs)
    difference = max(np.abs(after[task] - before[task]).max() for task in after)
    print("active:", ", ".join(model.active_tasks))
    print("predicted:", ", ".join(after))
    print("largest difference in the others:", difference)

    alone = trainer.evaluate((inputs, {"warm": targets["warm"]}))  # computes this head only
    print("warm alone:", {name: round(value, 3) for name, value in alone["warm"].items()})

    head = [parameter.clone() for parameter in model.task_parameters("depth")]
    losses = trainer.train_epoch((inputs, targets))
    still = all(map(torch.equal, head, model.task_parameters("depth")))
    print("trained:", ", ".join(losses))
    print("head of depth unchanged:", still)

    model.enable_task("depth")
    print("active again:", ", ".join(model.active_tasks))
    print("trained again:", ", ".join(trainer.train_epoch((inputs, targets))))


if __name__ == "__main__":
    main()
