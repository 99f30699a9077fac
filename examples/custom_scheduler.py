"""Your own scheduler: one method decides which tasks train at a step.

`Alternate` trains one task at a time, each for a few steps. Once registered under a name, a config
can choose it; a resumed run continues in the same order, as the step number alone decides. Prints
the scheduler in the run's config, the R2 of the loaded run, and how often each task trained.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from typing import final

import numpy as np

import motet
from motet.options import PositiveInt, checked
from motet.scheduling import Scheduler


@final
class Alternate(Scheduler):
    """Train one task at a time.

    Args:
        tasks: Names of the tasks.
        steps: Steps in a row before the next task takes its turn.
    """

    @checked
    def __init__(self, tasks: Sequence[str], *, steps: PositiveInt = 1) -> None:
        super().__init__(tasks)
        self.steps = steps

    def tasks_for(self, step: int, tasks: Sequence[str]) -> Sequence[str]:
        return [tasks[step // self.steps % len(tasks)]]


def main() -> None:
    """Register the scheduler, and train a table with it."""
    motet.register("scheduler", "alternate", Alternate)
    config = {
        "tasks": {"a": {"type": "regression"}, "b": {"type": "regression"}},
        "scheduling": {"type": "alternate", "steps": 2},
        "training": {"epochs": 8, "batch_size": 64, "optimizer": {"learning_rate": 3e-3}},
    }
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 800)).astype("float32")
    data = {"x": x, "y": y, "a": x + y, "b": x - y}

    with tempfile.TemporaryDirectory() as folder:
        run = motet.train(config, data, output=folder)
        print("scheduling:", run.config.scheduling.type, run.config.scheduling.options())
        report = motet.load(folder).evaluate(data, split="test")
    print(*(f"{task}: R2 {report[task]['r2']:.3f}" for task in run.model.tasks.names))

    trainer = motet.Trainer(run.model, scheduling=Alternate(["a", "b"], steps=2))
    batch = {
        "inputs": {"numbers": np.stack([x, y], 1)},
        "targets": {"a": data["a"], "b": data["b"]},
    }
    trained = [task for _ in range(10) for task in trainer.train_step(batch).losses]
    print("trained in 10 steps:", dict(Counter(trained)), "first:", *trained[:4])


if __name__ == "__main__":
    main()
