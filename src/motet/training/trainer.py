"""The training loop: batches in, one balanced update per step, the best weights kept.

`Trainer.fit` is the loop: epochs of `Trainer.train_step`, evaluations, early stopping, checkpoints.
Each of these can be called alone. What the loop must remember is one `TrainingState`, so that it
can stop anywhere and resume exactly there; everything else is in `motet.training.observers`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, cast

from torch import Tensor

from motet.balancing import Balancer
from motet.data.batches import Batch, Data, Draw
from motet.data.several import SourceDraw, Sources
from motet.elsewhere import no_method
from motet.model import MultiTaskModel
from motet.options import Unpack, checked, known_options
from motet.problems import InputError
from motet.scheduling import Scheduler
from motet.settings import Setting
from motet.tasks import Prediction
from motet.tasks.scores import Trivial
from motet.training.creating import MemberChoice
from motet.training.determinism import deterministic_algorithms
from motet.training.display import displayed
from motet.training.epochs import batches_left, begin, end_epoch, steps_of_epoch
from motet.training.errors import Interrupted
from motet.training.evaluation import Report
from motet.training.facts import count_rows
from motet.training.history import History
from motet.training.intake import (
    learn_from_labels,
    prepare_tasks,
    statistics_of,
    take_batch,
    take_data,
    take_inputs,
)
from motet.training.intervals import due_after_epoch, due_after_step
from motet.training.kept import Kept, Weights, evaluate_with, predict_with
from motet.training.memory import explain_memory, explaining_memory, less_memory, smaller_batches
from motet.training.monitor import check_monitor
from motet.training.needs import validation_batches
from motet.training.notices import (
    STEPS_WITHOUT_EPOCH,
    check_average_known,
    check_count,
    check_validation_unneeded,
    check_verbose,
    cut_schedule,
    warn_of_disabled,
    warn_of_epochs,
    warn_of_moving,
    warn_of_no_label,
    warn_of_nothing_left,
    warn_of_rarely_drawn,
)
from motet.training.observers import Callbacks, Checkpoint, Observer, observing
from motet.training.options import TrainingOptions, documents_options, with_defaults
from motet.training.passes.checks import check_one_pass
from motet.training.recording import Moment, evaluation_record, step_record
from motet.training.records import LOG_EVERY, EpochRecord
from motet.training.replicas import check_replicas
from motet.training.settling import before_data, settle
from motet.training.setup import set_up
from motet.training.source_checks import refuse_divided
from motet.training.stages import BalancerStages, Stage, name_of
from motet.training.state import Saved, TrainingState, load_state, save_state, tensors_and_header
from motet.training.statistics import gradient_stats
from motet.training.steps import StepResult, Steps
from motet.training.validation import Watch, validate

Rows = Batch | Mapping[str, Any] | Sources | Draw
"""The rows of a step."""
_ROWS = (Batch, Mapping, Sources, SourceDraw)


@documents_options
class Trainer:
    """Trains a `MultiTaskModel`.

    Args:
        model: The model; moved to the device and trained in place.
        balancer: A balancer, its name, or ``{"type": name, option: value}``; or a list of stages,
            all but the last with the last epoch in which they act, ``{"until": 5, "type": name}``.
            ``heads``, ``at``, ``memory`` and ``gramian`` beside them are those of `motet.backward`.
        scheduling: Which tasks train at each step: a scheduler, its name, or ``{"type": name,
            option: value}``; ``"combine": "cycle"`` there makes one step of all draws until every
            task was drawn.
        **options: See `motet.training.options.TrainingOptions`.

    Set ``stop_requested`` to True, for example in a signal handler or an observer, and `fit` stops
    after the step in progress: it calls ``on_checkpoint("last")`` and raises `Interrupted`. A
    trainer that loads the state continues from there.

    Where ``torch.distributed`` runs several processes, they train one model together: each makes
    the same trainer of the same model and makes the same calls with the same data, and computes its
    share of the rows. All end with the same weights, history, reports and predictions as one
    process; observers and callbacks are called on the first alone. See ``docs/scale.md``.

    Raises:
        InputError: If a name is unknown or a value does not fit.
    """

    @checked
    def __init__(
        self,
        model: MultiTaskModel,
        balancer: Stage | Sequence[Stage] | BalancerStages = "equal",
        *,
        scheduling: Scheduler | MemberChoice = "all",
        **options: Unpack[TrainingOptions],
    ) -> None:
        chosen = with_defaults(options)
        self._setup = setup = set_up(model, balancer, scheduling, chosen)
        self._options = chosen
        self.model, self.device, self.optimizer = model, setup.device, setup.optimizer
        self.stages, self.planner, self.freezing = setup.stages, setup.planner, setup.freezing
        self._rates, self._generators = setup.rates, setup.generators
        self.processes = setup.processes
        self.given = options
        numbers = before_data(chosen)
        self.batch_size, self.seed = numbers["batch_size"], chosen["seed"]
        self.lr_schedule, self.clip_norm = chosen["lr_schedule"], chosen["clip_norm"]
        self.metrics, self.monitor = chosen["metrics"], chosen["monitor"]
        self.patience, self.keep = numbers["patience"], chosen["keep"]
        self.monitor_smoothing = numbers["monitor_smoothing"]
        self.evaluate_every = chosen["evaluate_every"]
        self.checkpoint_every = chosen["checkpoint_every"]
        self.on_record, self.on_checkpoint = chosen["on_record"], chosen["on_checkpoint"]
        self.observers = [Callbacks(), *chosen["observers"]]
        self.history = History()
        self.trivial: Trivial = {}
        self.progress = TrainingState()
        self.chosen: dict[str, Setting] = {}
        """What `fit` chose by the data, with the reason: values for ``auto``, and the patience."""
        self.stop_requested = False
        """Set it, for example in a signal handler, and `fit` saves its state and stops."""
        setup.passes.joining.asks_to_stop = lambda: self.stop_requested
        self._steps = Steps(setup)
        self._reports_unlabelled = True
        exact: Callable[[], AbstractContextManager[None]] = deterministic_algorithms
        self._exactly = exact if chosen["deterministic"] else nullcontext
        self._started = perf_counter()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_method(self, name)

    @property
    def step(self) -> int:
        """Optimizer steps made."""
        return self.progress.step

    @property
    def ends(self) -> bool:
        """Whether `fit` trains no further: its epochs are done, or something stops it."""
        state, epochs = self.progress, self._setup.pace.epochs
        return state.stopped or self._stops or (epochs is not None and state.epoch >= epochs)

    @property
    def balancer(self) -> Balancer:
        """The balancer of the epoch in progress."""
        return self.stages.at(self.progress.epoch + 1)

    @property
    def cut_short(self) -> str | None:
        """A note if early stopping ended `fit` while the learning rate was high; else None."""
        return cut_schedule(self._setup, self.progress)

    # Training --------------------------------------------------------------------------------

    def averaged(self) -> AbstractContextManager[None]:
        """Put the average of the weights so far into the model, for the block of a ``with``.

        Only training by `train_step` or `train_epoch` needs it: with ``average``, the model has the
        weights of the last step there, while `fit` evaluates the average and ends with it.

        Returns:
            The context; it changes nothing where there is no average yet.

        Example:
            ``with trainer.averaged(): report = trainer.evaluate(validation)``
        """
        return self._setup.average.used(self.progress)

    @known_options
    def fit(
        self,
        data: Any,
        validation: Any = None,
        *,
        epochs: int | Literal["auto"] = 20,
        verbose: bool = False,
    ) -> History:
        """Train, and end with the weights that were best on the validation data.

        A trainer whose state was loaded continues where it was saved.

        Args:
            data: ``(inputs, {task: targets})``, arrays or tensors with rows along the first axis,
                or a DataLoader of batches ``{"inputs": ..., "targets": {task: ...}}``. NaN, -100 or
                None stand for "not labelled"; every enabled task is named, if only with None. A
                third item, ``{task: weights}``, or ``"weights"`` in batches, is how much each row
                counts in the loss of a task: 0 as if it had no label, 1 where nothing is given.
                Inputs must be finite; NaN is accepted if a module of the model has an attribute
                ``takes_nan = True``. Several data sets are `motet.data.Sources`.
            validation: The same; without it there is no early stopping and the last weights stay.
            epochs: Epochs to reach in all: after 3 epochs, ``epochs=6`` trains 3 more. ``auto``
                gives about 1,500 steps or more, by the number of rows; `chosen` then has the
                number and the reason.
            verbose: Whether to print a line for each evaluation, and on a terminal or in a notebook
                also to show a bar, the time left, and the scores of many tasks.

        Returns:
            What happened, epoch by epoch.

        Raises:
            InputError: If the data do not fit the model or its tasks, the balancer or an option
                needs validation data, or the epochs are too few for every task to have its turn.
            TrainingError: If losses or gradients stay non-finite.
            OutOfMemory: If there is not enough memory.
            Interrupted: If `stop_requested` was set.
        """
        self.stop_requested = False
        train, valid, epochs = self._prepare(data, validation, epochs)
        state, evaluated = self.progress, self.progress.evaluated
        with self._displayed(verbose, epochs), observing(self, self._observing):
            with self._generators.own():
                while state.epoch < epochs and not state.stopped:
                    for batch in self._rest_of_epoch(train):
                        self._step_of_epoch(batch)
                        if due_after_step(self.evaluate_every, state.step):
                            self._validate(valid)
                        if self.checkpoint_every and state.step % self.checkpoint_every == 0:
                            self._checkpoint("last")
                        if self._stops:
                            self._checkpoint("last")
                            raise Interrupted
                        if state.stopped:
                            break
                    self._end_epoch(valid)
                    if due_after_epoch(self.evaluate_every, state.epoch):
                        self._validate(valid)
                    self._checkpoint("last")
            if state.evaluated == evaluated == 0:  # evaluate_every was longer than training
                self._validate(valid)
            if valid is not None and state.best_model:
                self.model.load_state_dict(state.best_model)
            else:
                self._setup.average.load(state)
        return self.history

    def _prepare(
        self, data: Any, validation: Any, epochs: int | str
    ) -> tuple[Data, Data | None, int]:
        """Check data and options, choose what they leave open, and learn from the labels."""
        check_count(epochs)
        train = self._data(data, "the training data", whole=True, trained=True)
        valid = None
        if validation is None:
            check_validation_unneeded(self.given)
        else:
            valid = self._data(validation, "the validation data", whole=True)
        count = self._settle(epochs, train, valid)
        self._steps.ahead = validation_batches(self.stages, valid, self.batch_size, self.seed)
        self.trivial = learn_from_labels(self.model, train, self.metrics)
        if valid is not None:
            self.check_monitor(statistics_of(self.model.tasks, valid), self.trivial)
        self.check_epochs(count)
        self._setup.regrouping.check(valid)
        begin(train, valid, self._setup, self.progress, self.batch_size, count)
        warn_of_nothing_left(self.progress, count)
        if not self.step:
            warn_of_moving(self.model)
            warn_of_rarely_drawn(self.planner, self._setup.pace)
            warn_of_disabled(self.model)
        return train, valid, count

    def _settle(self, epochs: int | str, train: Data, valid: Data | None = None) -> int:
        """Choose what options leave to the data, and return the number of epochs."""
        steps = partial(steps_of_epoch, train, self._setup)
        self.chosen = settle(self._options, epochs, self.batch_size, train, valid, steps)
        for name in self.chosen.keys() & {"batch_size", "patience", "monitor_smoothing"}:
            setattr(self, name, self.chosen[name].value)
        return epochs if isinstance(epochs, int) else int(self.chosen["epochs"].value)

    def train_epoch(self, data: Any, *, verbose: bool = False) -> dict[str, float]:
        """Train on every row once, in an order drawn from (seed, epoch).

        Class weights are learned from the first data that are given.

        Args:
            data: As in `fit`.
            verbose: Whether to print a line with the mean losses; see `fit`.

        Returns:
            The mean training loss of each task.

        Raises:
            InputError: If the data do not fit, or weights are to be averaged over the last quarter
                of steps whose number is not known.
        """
        check_average_known(self._setup)
        self._setup.regrouping.check(None)
        train = self._data(data, "the training data", whole=True)
        prepare_tasks(self.model, train)
        count_rows(self.planner.scheduler, self.model, train)
        with self._displayed(verbose, self.progress.epoch + 1):
            with self._generators.own():
                for batch in self._rest_of_epoch(train):
                    self._step_of_epoch(batch)
            record = self._end_epoch(None)
        return {task: values["loss"] for task, values in record.tasks.items()}

    def train_step(self, batch: Rows | Iterable[Rows]) -> StepResult:
        """Make one update from a batch ``{"inputs": ..., "targets": {task: tensor}}``.

        A batch of each of several sources is ``motet.data.Sources({name: batch, ...})``.

        With ``"weights": {task: tensor}``, rows count by their weights; their mean over the
        training rows, which `fit` and `train_epoch` learn, divides the loss, and the sum over the
        batch where nothing was learned.

        A step whose losses or gradients are not finite leaves the model as it was and is counted.

        Epochs begin and end only in `fit` and `train_epoch`. With this method alone, what follows
        epochs stays as it is in the first: stages of balancers, weights of tasks, frozen parts,
        columns of progressive sharing, and balancers that compare epochs, such as dwa. The learning
        rate stays constant, too, as its schedule covers the epochs of `fit`. After many steps one
        warning names those that were asked for.

        Args:
            batch: Inputs and targets, tensors on the trainer's device or NumPy arrays. If the
                scheduler combines draws, an iterator of batches, from which the step takes one for
                each draw; with `motet.scheduling.TaskBalanced`, one for each task, in their order.

        Returns:
            The losses, the weight each had, and the norm of the whole gradient.

        Raises:
            InputError: If it is not a batch, batches are too few, or a label is given where there
                is no word.
            TrainingError: If too many steps in a row were not finite.
        """
        batches: Iterator[Batch | Draw]
        if self.planner.choices.several and not isinstance(batch, _ROWS):
            batches = map(self._rows, cast("Iterable[Rows]", batch))
        else:
            batches = iter([self._rows(batch)])
        try:  # and no context, which would cost every step more
            with self._exactly():
                result = self._steps.make(batches, self.progress, self.clip_norm)
        except Exception as error:
            advice = partial(less_memory, self._setup, self._options, self.batch_size)
            explain_memory(error, f"step {self.step + 1}", advice)
            raise
        if result.balanced and result.balanced.weights:
            self.progress.weights = result.balanced.weights
        if result.unlabelled and self._reports_unlabelled:
            self._reports_unlabelled = False
            warn_of_no_label(result.unlabelled)
        if self.progress.step == STEPS_WITHOUT_EPOCH:
            warn_of_epochs(self.progress, self._setup, self.lr_schedule)
        return result

    def _rows(self, batch: Any) -> Batch | Draw:
        return take_batch(batch, self.model, self.device)

    def _rest_of_epoch(self, train: Data) -> Iterator[Batch | Draw | Iterator[Batch | Draw]]:
        """Begin or resume an epoch, and return the batches that are not done yet."""
        self._started = perf_counter()
        self._reports_unlabelled = False  # few labels are normal in batches that nobody chose
        return batches_left(train, self._setup, self.progress, self.batch_size, self.seed)

    def _step_of_epoch(self, batch: Batch | Draw | Iterator[Batch | Draw]) -> None:
        result = self.train_step(batch)
        self.progress.batch += result.batches
        balanced = result.balanced
        if (self.step % LOG_EVERY == 0 or result.looked) and balanced is not None:
            moment = self._moment(self.progress.epoch + 1)
            weights = {} if (fusion := self.model.fusion) is None else fusion.mean_weights()
            record = step_record(result, name_of(self.balancer), moment, weights)
            for observer in self._observing:
                observer.on_step(self, record)

    def _end_epoch(self, valid: Data | None) -> EpochRecord:
        epoch, state = self.progress.epoch + 1, self.progress
        refresh = self._setup.regrouping.refresh(epoch, state.pairs, valid, self.batch_size)
        record = end_epoch(self._setup, state, self._moment(epoch), refresh)
        self.history.records.append(record.as_dict())
        for observer in self._observing:
            observer.on_epoch(self, record)
        return record

    def _validate(self, valid: Data | None) -> None:
        """Evaluate, keep the weights if they are the best so far, and decide whether to stop."""
        if valid is None:
            return
        watch = Watch(self.monitor, self.keep, self.patience, self.monitor_smoothing)
        found = validate(valid, self._setup, self.progress, self.evaluate, watch)
        if found is None:
            return
        by_steps = isinstance(self.evaluate_every, int)
        moment = self._moment(self.progress.epoch + by_steps)
        record = evaluation_record(found, "step" if by_steps else "epoch", moment)
        self.history.records.append(record.as_dict())
        for observer in self._observing:
            observer.on_evaluation(self, record)
        if found.best:
            self._checkpoint("best")

    def _moment(self, epoch: int) -> Moment:
        seconds = perf_counter() - self._started
        rate = self._rates.highest
        return {"step": self.step, "epoch": epoch, "seconds": seconds, "learning_rate": rate}

    def _checkpoint(self, kind: Checkpoint) -> None:
        check_replicas(self._setup.modules(), self.processes, self.step)
        for observer in self._observing:
            observer.on_checkpoint(self, kind)

    @property
    def _observing(self) -> list[Observer]:
        """The observers on this process."""
        return [each for each in self.observers if self.processes.first or each.everywhere]

    @contextmanager
    def _displayed(self, verbose: bool, epochs: int) -> Iterator[None]:
        """Show training within a block, on the first process."""
        check_verbose(verbose)
        before = list(self.observers)
        with displayed(verbose and self.processes.first, epochs) as more:
            self.observers += more
            try:
                yield
            finally:
                self.observers[:] = before

    @property
    def _stops(self) -> bool:
        """Whether to stop; several processes stop after the same step."""
        several = self.processes.several
        return self._setup.passes.joining.stops if several else self.stop_requested

    def statistics(self) -> dict[str, Any]:
        """Return where training is: steps, epochs, weights, and the tasks' gradients.

        ``gradients`` has, for each task, the mean ``norm`` of its gradient on the shared
        parameters, the ``variance`` of that norm, and the ``count`` of steps measured: all steps
        for balancers that read their inner products, those of ``analysis`` for others, and none
        where a compiled or recomputed module supports only one backward pass. ``pairs`` compares
        the gradients of every two tasks (`motet.training.pairs`); None if nothing was measured.
        """
        return {
            "step": self.progress.step,
            "epoch": self.progress.epoch,
            "skipped": self.progress.skipped,
            "overflowed": self.progress.overflowed,
            "weights": {task: float(weight) for task, weight in self.progress.weights.items()},
            "gradients": gradient_stats(self.progress.pairs.norms),
            "pairs": self.progress.pairs.summary(),
        }

    def state(self) -> Saved:
        """Return all that `load_state` needs: tensors, and numbers that JSON can hold.

        They are copies, the tensors on the CPU, which later steps do not change.
        """
        return save_state(self.progress, self._setup.modules(), self.optimizer)

    def load_state(
        self,
        state: tuple[Mapping[str, Tensor], Mapping[str, Any]] | Mapping[str, Tensor],
        header: Mapping[str, Any] | None = None,
    ) -> None:
        """Load what `state` returned: ``load_state(trainer.state())``.

        Args:
            state: The state, or the tensors of it.
            header: The numbers, if tensors were given.

        Raises:
            InputError: If it is not a state, or that of another model or version; the trainer is as
                it was.
        """
        tensors, header = tensors_and_header(state, header)
        self.progress = load_state(tensors, header, self._setup.modules(), self.optimizer)

    def evaluate(
        self,
        data: Any,
        tasks: str | Iterable[str] | None = None,
        *,
        weights: Weights = "best",
    ) -> Report:
        """Compute every metric over the whole of ``data``.

        Args:
            data: As in `fit`.
            tasks: Which tasks to evaluate, or the name of one; all enabled ones with targets if
                left out.
            weights: With ``keep="each"``, ``each`` evaluates every task with its own best weights.

        Returns:
            ``{task: {metric: value, "loss": ..., "count": ...}, "score": mean normalised score}``.

        Raises:
            InputError: If the data do not fit, or have no targets.
        """
        found = self._data(data, "the evaluation data")
        advice = partial(smaller_batches, self.batch_size)
        with explaining_memory("the evaluation", advice), self._exactly():
            report = evaluate_with(
                weights,
                self.kept,
                self.model,
                found,
                batch_size=self.batch_size,
                metrics=self.metrics,
                trivial=self.trivial,
                tasks=tasks,
                processes=self.processes,
            )
        given = [t for t in self.model.active_tasks if self.model.tasks[t].label_kind.given]
        if given and not report.tasks:
            raise InputError(
                f"the evaluation data have no targets; expected those of {', '.join(given)}: "
                "(inputs, {task: targets})"
            )
        return report

    @property
    def kept(self) -> Kept:
        """With ``keep="each"``, the state of the model with which each task was best."""
        state = self.progress
        return {task: state.kept[number] for task, number in state.kept_for.items()}

    def predict(
        self,
        inputs: Any,
        tasks: str | Iterable[str] | None = None,
        *,
        weights: Weights = "best",
    ) -> dict[str, Any]:
        """Predict: class indices, values in original units, or 0/1 labels, as NumPy arrays.

        Args:
            inputs: Inputs as in `fit`, without targets, rows along the first axis; or a DataLoader
                of batches, whose targets are not read.
            tasks: Which tasks to predict, or the name of one; all enabled ones if left out.
            weights: With ``keep="each"``, ``each`` predicts every task with its own best weights.

        Returns:
            An array with one entry per row for each task.
        """
        found = self._predictions(inputs, tasks, weights)
        return {task: prediction.value.numpy() for task, prediction in found.items()}

    def predict_probabilities(
        self,
        inputs: Any,
        tasks: str | Iterable[str] | None = None,
        *,
        weights: Weights = "best",
    ) -> dict[str, Any]:
        """Predict class probabilities (N, C), as NumPy arrays; for the arguments, see `predict`.

        Returns:
            An array for each task that has classes.
        """
        return {
            task: prediction.probabilities.numpy()
            for task, prediction in self._predictions(inputs, tasks, weights).items()
            if prediction.probabilities is not None
        }

    def predict_spread(
        self,
        inputs: Any,
        tasks: str | Iterable[str] | None = None,
        *,
        weights: Weights = "best",
    ) -> dict[str, Any]:
        """Predict how far the members of an ensemble are apart, as NumPy arrays; see `predict`.

        Returns:
            For each task the standard deviation of each probability (N, C), or else of each number.

        Raises:
            InputError: If the model has no members.
        """
        if self.model.members is None:
            raise InputError("the model has no members; expected an encoder such as ensemble")
        return {
            task: prediction.spread.numpy()
            for task, prediction in self._predictions(inputs, tasks, weights).items()
            if prediction.spread is not None
        }

    def check_monitor(self, targets: Mapping[str, Any], trivial: Trivial) -> None:
        """Check that the monitored value can be computed on these validation labels.

        Args:
            targets: The labels by task, or their statistics.
            trivial: Constant predictions, fitted on the training labels.

        Raises:
            InputError: If it depends on a task that is disabled, has no targets or no score on
                these labels, or on a metric whose best value is unknown.
        """
        check_monitor(self.monitor, self.model, targets, self.metrics, trivial)

    def check_epochs(self, epochs: int) -> None:
        """Check that so many epochs train every task, and unfreeze what is to be unfrozen.

        Raises:
            InputError: If the turn of a task, or ``unfreeze``, begins later, or groups of tasks
                are found too late to train in them.
        """
        self.planner.check(epochs)
        self.freezing.check(epochs)
        self._setup.regrouping.check_epochs(epochs)

    def _predictions(
        self, inputs: Any, tasks: str | Iterable[str] | None, weights: Weights
    ) -> dict[str, Prediction]:
        data, size = take_inputs(inputs, self.model, self.device), self.batch_size
        advice = partial(smaller_batches, size)
        options = {"batch_size": size, "processes": self.processes}
        with explaining_memory("the prediction", advice), self._exactly():
            return predict_with(weights, self.kept, self.model, data, tasks=tasks, **options)

    def _data(self, data: Any, what: str, *, whole: bool = False, trained: bool = False) -> Data:
        found = take_data(data, what, self.model, self.device, whole=whole, trained=trained)
        if self.processes.several:
            refuse_divided(found, what)
        if whole:
            check_one_pass(self.stages, found)
        return found
