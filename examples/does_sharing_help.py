"""Does sharing help? `motet compare` from Python, on two tasks that measure the same thing.

Each task has a label in a few rows alone. Single-task models learn from these; one model of both
learns what they have in common from twice as many. The last line is the verdict on each task.
"""

import tempfile

import numpy as np

import motet

CONFIG = {
    "data": {"split": {"column": "part"}},
    "tasks": {"scale": "regression", "survey": "regression"},
    "model": {"encoder": {"type": "mlp", "hidden": [16], "activation": "tanh", "dropout": 0.0}},
    "training": {
        "epochs": 60,
        "batch_size": 64,
        "optimizer": {"type": "adamw", "learning_rate": 1e-2},
    },
}


def table(rows=300, inputs=20, labelled=30):
    """Return rows whose labels are noisy measurements of one function of the inputs."""
    random = np.random.default_rng(0)
    x = random.normal(size=(3 * rows, inputs))
    truth = x @ random.normal(size=inputs) / np.sqrt(inputs)
    scale, survey = truth + 0.5 * random.normal(size=(2, 3 * rows))
    scale[labelled:rows] = np.nan  # no label in most training rows
    survey[: rows - labelled] = np.nan
    columns = {f"x{place}": x[:, place] for place in range(inputs)}
    part = np.repeat(["train", "validation", "test"], rows)
    return columns | {"scale": scale, "survey": survey, "part": part}


if __name__ == "__main__":  # each process of a plan reads this file
    with tempfile.TemporaryDirectory() as folder:
        found = motet.compare(
            CONFIG, table(), output=f"{folder}/compared", seeds=4, candidates=0, say=print
        )
    print(found)
    for task, result in found.methods["config"].tasks.items():
        print(f"sharing on {task}: {result.verdict}, change {result.delta:+.1f} %")
