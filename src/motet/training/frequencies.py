"""How often auxiliary tasks train: which of them are due at a step.

``every: n`` and ``probability: p`` refer to the steps that include a main task: one that is
scheduled and has a label in the batch. Steps of auxiliary tasks alone do not count, micro-batches
count once, and so do steps that were skipped as they were not finite. Their number is saved in
`motet.training.state.TrainingState`; draws depend on (seed, step) alone.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from torch import Generator, Tensor, rand

from motet.data.batches import Batch
from motet.host import on_host
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.processes import ALONE, Processes
from motet.seeds import derive
from motet.tasks import Auxiliary, Task
from motet.tasks.listing import main_tasks
from motet.training.choices import Choice
from motet.training.state import TrainingState


@final
class Frequencies:
    """Selects the auxiliary tasks that are due.

    Args:
        model: The model.
        seed: With the task's name and the step determines what is drawn.
        processes: Processes, each of which may have its share of a batch.
    """

    def __init__(self, model: MultiTaskModel, seed: int, processes: Processes = ALONE) -> None:
        self._model, self._seed, self._processes = model, seed, processes
        self.given: Mapping[str, Mapping[str, Any]] = {
            task.name: task.frequency
            for task in model.tasks
            if isinstance(task, Auxiliary) and isinstance(task.frequency, Mapping)
        }
        """The frequencies of the tasks that do not always train."""
        self._counting = any("epochs" not in each for each in self.given.values())

    def due(
        self, tasks: Sequence[str], choices: Sequence[Choice], state: TrainingState
    ) -> list[str]:
        """Leave out the auxiliary tasks that are not due; call it once per step.

        Args:
            tasks: Auxiliary tasks.
            choices: Rows of the data, and the tasks with labels that train on them. Whether main
                tasks have labels there is read from the device.
            state: Where training is; its ``main_steps`` is updated.

        Returns:
            The tasks that train.
        """
        counts = self._counting and self._includes_main(choices)
        state.main_steps += counts
        return [
            task
            for task in tasks
            if task not in self.given or self._is_due(task, state, counts=counts)
        ]

    def _is_due(self, task: str, state: TrainingState, *, counts: bool) -> bool:
        given = self.given[task]
        if "epochs" in given:
            first, last = given["epochs"]
            return bool(first <= state.epoch + 1 <= last)
        if "every" in given:
            return counts and state.main_steps % given["every"] == 0
        drawn = Generator().manual_seed(derive(self._seed, f"frequency/{task}", state.step))
        return counts and float(rand((), generator=drawn)) < given["probability"]

    def _includes_main(self, choices: Sequence[Choice]) -> bool:
        labelled = (self._model.tasks[name] for name in self._model.labelled_tasks)
        main = main_tasks(labelled)
        there: list[Tensor] = []
        for rows, tasks in choices:
            own = [name for name in tasks if name in main]
            there += [
                _any_label(self._model.tasks[name], target, batch.weights.get(name))
                for batch in ((rows,) if isinstance(rows, Batch) else rows.of(own))
                for name in own
                if (target := batch.targets.get(name)) is not None
            ]
        (found,) = self._processes.any([any(on_host(there))])
        return found

    def check(self, epochs: int, steps: int, task: str | None = None) -> None:
        """Check that every enabled auxiliary task trains within a number of epochs.

        Args:
            epochs: Epochs of training.
            steps: Steps per epoch.
            task: The only task to check; all if left out.

        Raises:
            InputError: If one never does.
        """
        for name in self._checked(task) if epochs else ():
            given, total = self.given[name], epochs * steps
            found, there = "", f"{total:,} (epochs: {epochs:,}, of {steps:,} steps each)"
            if "epochs" in given and given["epochs"][0] > epochs:
                found = f"{list(given['epochs'])}, but training ends after epoch {epochs:,}"
            elif given.get("every", 0) > total:
                found = f"every: {given['every']:,}, but the steps of training are {there}"
            if found:
                raise InputError(
                    f"found {found}: the task would never train; give smaller numbers, or remove "
                    "the task",
                    option="frequency",
                    owner=f"task {name!r}",
                )
            if given.get("probability", 1.0) * total < 1:
                warnings.warn(
                    f"task {name!r}: frequency: found probability: {given['probability']:g}, and "
                    f"the steps of training are {there}, so the task will hardly ever train",
                    stacklevel=4,
                )

    def _checked(self, task: str | None) -> Iterable[str]:
        enabled = self._model.auxiliary_tasks
        return [name for name in self.given if name in enabled and task in (None, name)]


def _any_label(task: Task, target: Tensor, weights: Tensor | None) -> Tensor:
    return task.labelled(task.counted(target, weights)).any()
