"""A run of a moment, for tests of what happens around it."""

import json

import numpy as np

CONFIG = {
    "tasks": {"a": "classification", "b": "regression"},
    "model": {"encoder": {"type": "mlp", "hidden": [8]}},
    "balancing": "uncertainty",
    "training": {"epochs": 2, "batch_size": 32, "checkpoint_every": 2, "device": "cpu"},
}


def rows():
    """200 rows of three numbers, a class and a number."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    columns = {f"x{i}": x[:, i] for i in range(3)}
    return columns | {"a": np.where(x[:, 0] > 0, "yes", "no"), "b": x[:, 1]}


def weights(path):
    """The bytes of the model of a run."""
    return (path / "model" / "model.safetensors").read_bytes()


def records(path):
    """All that a run recorded, but for the time that it took."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
