"""How an epoch begins and ends."""

from collections.abc import Iterator

from motet.data.batches import Batch, Data, Draw
from motet.data.several import Sources
from motet.training.errors import TrainingError
from motet.training.needs import report_epoch
from motet.training.notices import warn_of_never_scheduled
from motet.training.recording import Moment, epoch_record
from motet.training.records import EpochRecord
from motet.training.setup import Setup
from motet.training.stages import name_of
from motet.training.state import TrainingState
from motet.training.totals import Totals
from motet.training.updates import not_finite


def batches_left(
    train: Data, setup: Setup, state: TrainingState, batch_size: int, seed: int
) -> Iterator[Batch | Draw]:
    """Begin an epoch, or resume inside it: unfreeze what is due, and set the tasks' weights.

    Returns:
        The batches of the epoch that are not done yet.
    """
    epoch = state.epoch + 1
    if not state.batch:
        setup.freezing.begin(epoch)
    setup.model.train()
    changing = [task for task in setup.model.tasks if task.turning_points]
    setup.stages.weigh(changing, epoch)
    if isinstance(train, Sources):
        return train.draws(batch_size, seed=seed, drawn=state.drawn, done=state.batch)
    return train.epoch(batch_size, seed=seed, number=state.epoch, done=state.batch)


def end_epoch(setup: Setup, state: TrainingState, moment: Moment) -> EpochRecord:
    """End an epoch, so that the next one can begin.

    Args:
        setup: What is trained.
        state: Where training is; it is updated.
        moment: When the epoch ended.

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
    record = epoch_record(
        means,
        state.weights,
        moment,
        skipped=state.skipped,
        balancer=name_of(balancer),
        sharing=model.sharing.describe() or None,
        trained=setup.freezing.trained() if setup.freezing.active else None,
        rows=dict(state.rows) or None,
    )
    state.epoch += 1
    state.batch = 0
    state.totals = Totals()
    state.rows = {}
    if stages.at(state.epoch + 1) is not balancer:
        state.weights = {}  # the next epoch may not have any
    return record
