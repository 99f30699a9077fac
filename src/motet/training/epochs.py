"""How an epoch begins and ends."""

import math
from collections.abc import Iterator
from itertools import chain, count

from motet.data.arrays import ArrayData
from motet.data.batches import Batch, Data, Draw
from motet.data.own_rows import OwnRows
from motet.data.several import Sources
from motet.problems import InputError
from motet.training.errors import TrainingError
from motet.training.facts import check_batch_size, check_scores, count_rows, report_last_progress
from motet.training.needs import report_epoch
from motet.training.notices import warn_of_never_scheduled
from motet.training.recording import Moment, epoch_record
from motet.training.records import EpochRecord
from motet.training.regrouping import Refresh
from motet.training.setup import Setup
from motet.training.source_checks import check_batches
from motet.training.stages import name_of
from motet.training.state import TrainingState
from motet.training.totals import Totals
from motet.training.updates import not_finite


def begin(
    train: Data,
    valid: Data | None,
    setup: Setup,
    state: TrainingState,
    batch_size: int,
    epochs: int,
) -> None:
    """Begin so many epochs: check the schedule, and give it and the learning rates what they need.

    Raises:
        InputError: If the scheduler or an auxiliary task does not fit the data or the epochs.
    """
    planner, pace = setup.planner, setup.pace
    check_scores(planner.scheduler, valid)
    check_batch_size(planner, batch_size)
    check_batches(planner.scheduler, setup.model)
    count_rows(planner.scheduler, setup.model, train)
    own = "own_rows" in planner.scheduler.needs
    pace.epochs = epochs
    pace.batches = own_rows(train, setup, 1, batch_size).batches if own else train.steps(batch_size)
    pace.total = epochs * pace.batches
    report_last_progress(planner.scheduler, pace, state)
    planner.frequencies.check(epochs, pace.batches)
    setup.rates.begin(pace.total)
    setup.rates.set(state.position)  # those of the last step, for the records


def batches_left(
    train: Data, setup: Setup, state: TrainingState, batch_size: int, seed: int
) -> Iterator[Batch | Draw | Iterator[Batch | Draw]]:
    """Begin an epoch, or resume inside it: unfreeze what is due, and set the tasks' weights.

    Returns:
        The batches of the epoch that are not done yet. Where a step takes several, an iterator for
        each step, which continues with the first batches of the epoch if too few are left.
    """
    epoch = state.epoch + 1
    if not state.batch:
        setup.freezing.begin(epoch)
    setup.model.train()
    changing = [task for task in setup.model.tasks if task.turning_points]
    setup.stages.weigh(changing, epoch)
    number, done = state.epoch, state.batch
    setup.generators.seed("order", number)  # for loaders that draw theirs from it
    if isinstance(train, ArrayData) and setup.planner.divides_batches:
        train = train.decoded_by(setup.processes)
    if "own_rows" in setup.planner.scheduler.needs:
        own = own_rows(train, setup, epoch, batch_size)
        setup.pace.batches = own.batches
        return _by_step(own.epoch(seed=seed, number=number, done=done), iter(()))
    setup.pace.batches = train.steps(batch_size)

    def rest(done: int) -> Iterator[Batch | Draw]:
        if isinstance(train, Sources):
            return train.draws(batch_size, seed=seed, drawn=state.drawn, done=done)
        return train.epoch(batch_size, seed=seed, number=number, done=done)

    if not setup.planner.choices.several:
        return rest(done)
    return _by_step(rest(done), chain.from_iterable(rest(0) for _ in count()))


def steps_of_epoch(train: Data, setup: Setup, batch_size: int) -> int:
    """Return the steps of the first epoch; about, where a step takes as many draws as it needs.

    Raises:
        InputError: As for `own_rows`.
    """
    scheduler = setup.planner.scheduler
    if "own_rows" in scheduler.needs:
        return own_rows(train, setup, 1, batch_size).steps
    draws = len(setup.planner.labelled_in(math.inf)) if scheduler.combine == "cycle" else 1
    return math.ceil(train.steps(batch_size) / max(draws, 1))


def _by_step(
    left: Iterator[Batch | Draw], again: Iterator[Batch | Draw]
) -> Iterator[Iterator[Batch | Draw]]:
    for first in left:
        yield chain([first], left, again)


def own_rows(train: Data, setup: Setup, epoch: int, batch_size: int) -> OwnRows:
    """Return the batches of each task's own labelled rows in an epoch, counted from 1.

    Raises:
        InputError: If the data are not arrays, or ``batch_size`` is too small.
    """
    if not isinstance(train, ArrayData):
        raise InputError(
            f"{type(setup.planner.scheduler).__name__} chooses the rows of each batch, which it "
            f"can of arrays alone; found {type(train).__name__}; give arrays, or choose another "
            "scheduler"
        )
    tasks = [setup.model.tasks[name] for name in setup.planner.labelled_in(epoch)]
    labelled = {
        t.name: t.labelled(t.counted(train.targets[t.name], train.weights.get(t.name)))
        for t in tasks
    }
    return OwnRows(train, {t: each.nonzero()[:, 0] for t, each in labelled.items()}, batch_size)


def end_epoch(
    setup: Setup, state: TrainingState, moment: Moment, refresh: Refresh | None = None
) -> EpochRecord:
    """End an epoch, so that the next one can begin.

    Args:
        setup: What is trained.
        state: Where training is; it is updated.
        moment: When the epoch ended.
        refresh: The groups of tasks that were found anew.

    Returns:
        The record of the epoch.

    Raises:
        TrainingError: If every step was skipped.
    """
    stages, model = setup.stages, setup.model
    balancer = stages.at(state.epoch + 1)
    warn_of_never_scheduled(setup.planner, state)
    totals = state.totals.means()
    means = {task: totals[task] for task in model.tasks.names if task in totals}
    report_epoch(balancer, setup.normalizer.normalized_means(means))
    if not means and state.skipped:
        raise TrainingError(not_finite(state, "in any step of the epoch"))
    scheduled = {
        task: {"steps": state.scheduled[task][0], "rows": state.scheduled[task][1]}
        for task in model.tasks.names
        if task in state.scheduled
    }
    record = epoch_record(
        means,
        state.weights,
        moment,
        skipped=state.skipped,
        balancer=name_of(balancer),
        sharing=model.sharing.describe() or None,
        groups=None if refresh is None else refresh.as_dict(),
        scheduled=scheduled if setup.planner.scheduler.counts_steps else None,
        trained=setup.freezing.trained() if setup.freezing.active else None,
        rows=dict(state.rows) or None,
    )
    state.epoch += 1
    state.batch = 0
    state.totals = Totals()
    state.rows = {}
    state.scheduled = {}
    if stages.at(state.epoch + 1) is not balancer:
        state.weights = {}  # the next epoch may not have any
    return record
