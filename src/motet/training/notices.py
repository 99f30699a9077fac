"""Errors and warnings about options and calls that have no effect."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

from motet.balancing import Balancer
from motet.model import MultiTaskModel
from motet.problems import InputError, shown
from motet.training.creating import MemberChoice
from motet.training.facts import Pace
from motet.training.options import TrainingOptions
from motet.training.plan import Plan
from motet.training.planner import Planner
from motet.training.setup import Setup
from motet.training.state import TrainingState

_ANNEALED = 0.1
"""Share of the highest learning rate below which a schedule is as good as finished."""
STEPS_WITHOUT_EPOCH = 100
"""Steps by `Trainer.train_step` alone after which it warns of what only epochs advance."""


def check_count(epochs: Any) -> None:
    """Check a number of epochs, or ``auto``.

    Raises:
        InputError: If it is neither.
    """
    if isinstance(epochs, str) and epochs == "auto":
        return
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 0:
        raise InputError(
            f"found {epochs!r}, expected a whole number >= 0, or auto", option="epochs"
        )


def check_verbose(verbose: Any) -> None:
    """Check whether to show training.

    Raises:
        InputError: If it is neither true nor false.
    """
    if not isinstance(verbose, bool):
        raise InputError(f"found {shown(verbose)}; expected True or False", option="verbose")


def check_validation_unneeded(given: TrainingOptions) -> None:
    """Reject options that have no effect without validation data.

    Args:
        given: The options that the user gave.

    Raises:
        InputError: If there is one.
    """
    without_effect = {
        "patience": None,
        "evaluate_every": "epoch",
        "monitor": "mean",
        "keep": "best",
        "monitor_smoothing": 0.0,
    }
    for name, value in given.items():
        if name in without_effect and value != without_effect[name]:
            raise InputError(
                f"found {value!r}, which has no effect without validation data; give them, "
                f"fit(..., validation=...), or remove {name}",
                option=name,
            )


def check_average_known(setup: Setup) -> None:
    """Reject an average over the last steps whose number is unknown.

    Raises:
        InputError: If it is asked for before `motet.Trainer.fit` was called.
    """
    if setup.average.kind == "last_quarter" and not setup.pace.total:
        raise InputError(
            "found 'last_quarter' and train_epoch, which does not know how many epochs follow; "
            "call fit, or choose ema",
            option="average",
        )


def warn_of_no_label(tasks: Sequence[str]) -> None:
    """Warn that a step changed nothing because no row has a label.

    Args:
        tasks: The tasks that the step was to train.
    """
    warnings.warn(
        f"no row of the batch has a label of {', '.join(tasks)}, so the step changed nothing; if "
        "that happens often, give larger batches",
        stacklevel=3,
    )


def warn_of_nothing_left(state: TrainingState, epochs: int) -> None:
    """Warn that a call of `Trainer.fit` trains nothing."""
    done = state.epoch
    if state.stopped:
        why = (
            f"early stopping ended training after epoch {done}; to continue, create a new Trainer "
            "of the model, with patience=None or a larger one"
        )
    elif 0 < epochs <= done:
        why = (
            f"epochs is the number to reach in all, and {done} are done; to train {epochs} more, "
            f"give epochs={done + epochs}"
        )
    else:
        return
    warnings.warn(f"fit(epochs={epochs}) trains nothing: {why}", stacklevel=4)


def cut_schedule(setup: Setup, state: TrainingState) -> str | None:
    """Describe what early stopping cut off: a schedule whose rate was still high, or an average.

    Args:
        setup: What was trained.
        state: Where training is.

    Returns:
        A note with what to do; None if the rate had fallen to less than a tenth, and the last
        quarter had begun where its weights are averaged.
    """
    if not state.stopped:
        return None
    pace, cut = setup.pace, []
    share = setup.rates.left(state.position, pace.total)
    if share >= _ANNEALED:
        cut.append(f"at {share:.0%} of the highest learning rate")
    if setup.average.kind == "last_quarter" and not state.averaged:
        cut.append("before the last quarter, which is averaged")
    if not cut:
        return None
    done = state.epoch + (state.batch > 0)
    return (
        f"early stopping ended training in epoch {done} of {pace.epochs}, {' and '.join(cut)}; "
        f"epochs: {done} lets it {'fall' if share >= _ANNEALED else 'begin'}"
    )


def warn_of_moving(model: MultiTaskModel) -> None:
    """Warn about frozen tasks whose predictions change, as what they share is trained."""
    if not any(parameter.requires_grad for parameter in model.shared_parameters()):
        return
    frozen = []
    for task in (task.name for task in model.tasks if task.label_kind.given):
        own = model.task_parameters(task)
        if own and not any(parameter.requires_grad for parameter in own):
            frozen.append(task)
    if frozen:
        warnings.warn(
            f"{', '.join(map(repr, frozen))}: frozen, but what is shared with other tasks trains, "
            'so predictions will change; to keep them as they are, freeze "encoder", too',
            stacklevel=4,
        )


def warn_of_rarely_drawn(planner: Planner, pace: Pace) -> None:
    """Warn, before training, about tasks that are not expected to be drawn even once."""
    scheduler, tasks = planner.scheduler, planner.labelled_in(math.inf)
    if scheduler.combine is not None:  # every step has all tasks
        return
    draws = pace.total * scheduler.tasks_per_step
    waiting = scheduler.waiting(tasks) if tasks else ()
    for task, share in zip(tasks, (tasks and scheduler.probabilities(tasks)) or (), strict=False):
        if share * draws < 1 and task not in waiting:
            warnings.warn(
                f"scheduling: {type(scheduler).__name__} draws {task!r} with probability "
                f"{share:.2g}, and there are {draws:,} draws, so it will hardly ever train; train "
                "longer, or choose a scheduler that draws rare tasks more often, such as "
                "temperature",
                stacklevel=4,
            )


def warn_of_disabled(model: MultiTaskModel) -> None:
    """Warn about disabled tasks that others read: they are computed, and have no loss."""
    for task in model.tasks.names:
        if task not in model.active_tasks and (readers := model.readers(task)):
            warnings.warn(
                f"task {task!r} is disabled, but {', '.join(readers)} reads it: it is computed "
                "without a loss of its own; enable it, or let it not be read",
                stacklevel=4,
            )


def warn_of_never_scheduled(planner: Planner, state: TrainingState) -> None:
    """Warn, at the end of the first epoch, about tasks that the scheduler never chose in it."""
    trained = state.totals.sums()  # also by the steps before a resume
    never = [task for task in planner.never_scheduled(1) if task not in trained]
    if state.epoch == 0 and never:
        warnings.warn(
            f"scheduling: {type(planner.scheduler).__name__} chose {', '.join(map(repr, never))} "
            "in no step of the first epoch, so it has not been trained; unless a later epoch "
            f"chooses it, change the scheduler, or call model.disable_task({never[0]!r})",
            stacklevel=4,
        )


def warn_of_nothing_to_compare(
    planner: Planner, balancer: Balancer, plan: Plan, state: TrainingState
) -> None:
    """Warn, at the first step of a balancer that compares tasks, if it is given one alone."""
    if not balancer.needs.compares:
        return
    tasks = {task for part in plan.balanced for task in part.tasks}
    others = set(planner.labelled_in(state.epoch + 1)) - tasks
    if len(tasks) == 1 and others:
        warnings.warn(
            f"{type(planner.scheduler).__name__} trains one task at a step, so "
            f"{type(balancer).__name__} has nothing to balance; combine the steps of a cycle "
            "(scheduling: {combine: cycle}), or choose balancing: equal",
            stacklevel=4,
        )


def warn_of_epochs(state: TrainingState, setup: Setup, lr_schedule: MemberChoice) -> None:
    """Warn about what only epochs advance, after many steps by `Trainer.train_step` alone."""
    if state.epoch or state.batch:
        return  # epochs begin and end
    balancer = setup.stages.at(1)
    waiting = {
        "stages of balancer": len(setup.stages) > 1,
        f"balancer {type(balancer).__name__}": balancer.needs.epochs or balancer.needs.scores,
        "lr_schedule": lr_schedule not in ("cosine", "constant", {"type": "constant"}),
        "unfreeze": bool(setup.freezing.plan),
        "average: last_quarter": setup.average.kind == "last_quarter" and not setup.pace.total,
        "weights of tasks that change with epochs": any(
            task.turning_points for task in setup.model.tasks
        ),
        "enabled: {from: ...}": any(task.enabled_from > 1 for task in setup.model.tasks),
        "groups of sharing: soft": setup.regrouping.active,
        "columns of sharing: progressive": setup.planner.takes_turns,
    }
    found = [name for name, waits in waiting.items() if waits]
    if found:
        warnings.warn(
            f"{state.step} steps were made by train_step, which begins and ends no epoch, so "
            f"these do not advance: {', '.join(found)}; call train_epoch or fit, or remove them",
            stacklevel=3,
        )
