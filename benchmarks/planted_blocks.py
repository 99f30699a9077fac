"""Six tasks in two blocks, whose labels depend on two different directions of the inputs.

Data of `planted_groups.py` and of tests.
"""

import numpy as np
import torch
from torch import nn

import motet

BLOCKS = [["a", "c", "e"], ["b", "d", "f"]]
TASKS = tuple("abcdef")
NUMBERS = 8


def planted(seed=0, rows=400, kind="numbers"):
    """Inputs (N, 8), and the targets of the tasks, numbers or classes: a direction, and noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, NUMBERS))
    directions = np.linalg.qr(random.normal(size=(NUMBERS, NUMBERS)))[0]
    found = {}
    for block, direction in zip(BLOCKS, directions, strict=False):
        for task in block:
            y = x @ direction + 0.5 * random.normal(size=rows)
            found[task] = torch.tensor(y).float() if kind == "numbers" else torch.tensor(y > 0) * 1
    return torch.tensor(x).float(), {task: found[task] for task in TASKS}


def table(seed=0, rows=400):
    """The same as columns."""
    x, targets = planted(seed, rows)
    columns = {f"x{number}": x[:, number].numpy() for number in range(NUMBERS)}
    return columns | {task: y.numpy() for task, y in targets.items()}


def split(data, share=0.75):
    """Training and validation rows."""
    x, y = data
    cut = int(len(x) * share)
    parts = (slice(None, cut), slice(cut, None))
    return tuple((x[part], {task: each[part] for task, each in y.items()}) for part in parts)


def trainer(
    groups, *, seed=0, kind="numbers", hidden=(16, 12), balancer="equal", sharing=None, **options
):
    """A trainer of an MLP of each task, with soft sharing within groups."""
    torch.manual_seed(seed)
    layers = []
    for before, after in zip((NUMBERS, *hidden), hidden, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    make = {
        "numbers": motet.tasks.Regression,
        "classes": lambda name: motet.tasks.Classification(name, classes=2),
    }[kind]
    scheme = motet.sharing.create("soft", groups=groups, **(sharing or {}))
    model = motet.MultiTaskModel(nn.Sequential(*layers), list(map(make, TASKS)), sharing=scheme)
    given = {"batch_size": 32, "learning_rate": 3e-3, "seed": seed, "device": "cpu"}
    return motet.Trainer(model, balancer, **{**given, **options})
