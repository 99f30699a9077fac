"""Six tasks in two blocks, whose labels depend on two different directions of the inputs."""

import numpy as np
import torch
from torch import nn

import motet
from motet.training import Trainer

BLOCKS = [["a", "c", "e"], ["b", "d", "f"]]
TASKS = tuple("abcdef")
NUMBERS = 8


def planted(seed=0, rows=400, kind="numbers"):
    """Return inputs (N, 8) and targets by task: one direction per block, and noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, NUMBERS))
    directions = np.linalg.qr(random.normal(size=(NUMBERS, NUMBERS)))[0]
    found = {}
    for block, direction in zip(BLOCKS, directions, strict=False):
        for task in block:
            y = x @ direction + 0.5 * random.normal(size=rows)
            found[task] = torch.tensor(y).float() if kind == "numbers" else torch.tensor(y > 0) * 1
    return torch.tensor(x).float(), {task: found[task] for task in TASKS}


def split(data, share=0.75):
    """Return training and validation rows."""
    x, y = data
    cut = int(len(x) * share)
    parts = (slice(None, cut), slice(cut, None))
    return tuple((x[part], {task: each[part] for task, each in y.items()}) for part in parts)


def trainer(groups, *, seed=0, kind="numbers", balancer="equal", sharing=None, **options):
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(NUMBERS, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU())
    make = {
        "numbers": motet.tasks.Regression,
        "classes": lambda name: motet.tasks.Classification(name, classes=2),
    }[kind]
    scheme = motet.sharing.create("soft", groups=groups, **(sharing or {}))
    model = motet.MultiTaskModel(encoder, [make(task) for task in TASKS], sharing=scheme)
    given = {"batch_size": 32, "learning_rate": 3e-3, "seed": seed, "device": "cpu"}
    return Trainer(model, balancer, **{**given, **options})


def refreshes(history):
    """Return what the records of epochs have of groups."""
    return [record["groups"] for record in history if "groups" in record]
