"""The training loop: batches in, one balanced update a step, the best weights kept.

`Trainer.fit` reads as the loop it is: epochs of `train_step`, an evaluation after each, early
stopping on the monitored score. Every part can be called alone. What the loop must remember is in
`Trainer.progress` and `motet.training.state`, so that it can stop anywhere and go on exactly there.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Literal

from torch import Tensor, nn

from motet.balancing import Balancer
from motet.data.batches import Batch, Data
from motet.model import MultiTaskModel, on_host
from motet.model.checks import check_sizes
from motet.options import Unpack, checked
from motet.problems import InputError, hint
from motet.scheduling import Scheduler
from motet.tasks import Prediction
from motet.tasks.scores import Trivial
from motet.tasks.task_metrics import find_metrics
from motet.training.choices import MemberChoice
from motet.training.devices import find_device
from motet.training.early_stopping import note_value
from motet.training.errors import Interrupted, TrainingError
from motet.training.evaluation import Report, check_words, evaluate, predict
from motet.training.freezing import Freezing, check_unfreezing
from motet.training.history import History
from motet.training.intake import (
    learn_from_labels,
    prepare_tasks,
    take_data,
    take_inputs,
)
from motet.training.intervals import due_after_epoch, due_after_step, due_tasks, with_last
from motet.training.monitor import (
    check_monitor,
    monitored_loss,
    monitored_tasks,
    monitored_value,
)
from motet.training.needs import (
    ValidationBatches,
    look_ahead,
    report_epoch,
    report_losses_after,
    report_scores,
    validation_batches,
)
from motet.training.normalizing import Normalizer
from motet.training.notices import (
    STEPS_WITHOUT_EPOCH,
    check_count,
    check_validation_unneeded,
    warn_of_epochs,
    warn_of_moving,
    warn_of_nothing_left,
)
from motet.training.optimizer_creation import create_optimizer
from motet.training.options import TrainingOptions, documents_options, with_defaults
from motet.training.parameter_groups import check_rates
from motet.training.passes import Passes, check_micro_batches, check_precision
from motet.training.planner import Planner
from motet.training.randomness import Generators
from motet.training.rates import LearningRates
from motet.training.recording import LOG_EVERY, epoch_entries, step_entries, step_values
from motet.training.schedulers import create_scheduler
from motet.training.skipped_steps import count_skipped, not_finite
from motet.training.stages import BalancerStages, Stage, make_stages, name_of
from motet.training.state import (
    Memory,
    Progress,
    Totals,
    check_header,
    header_of,
    load_header,
    load_tensors,
    taken_apart,
    tensors_of,
)
from motet.training.statistics import (
    GRADIENTS_EVERY,
    add_norms,
    gradient_stats,
)
from motet.training.step_result import StepResult
from motet.training.updates import clear_gradients, clip_gradient, update


@documents_options
class Trainer:
    """Trains a `MultiTaskModel`.

    Args:
        model: The model; moved to the device and trained in place.
        balancer: A balancer, its name, or ``{"type": name, option: value}``; or a list of stages,
            all but the last with the last epoch in which they act, ``{"until": 5, "type": name}``.
            ``heads``, ``at``, ``memory`` and ``gramian`` beside them are those of `motet.backward`.
        scheduling: Which tasks train at each step: a scheduler, its name, or ``{"type": name,
            option: value}``.
        **options: See `motet.training.options.TrainingOptions`.

    Set ``stop_requested`` to True, for example in a signal handler or in ``on_record``, and `fit`
    stops after the step in progress: it calls ``on_checkpoint("last")`` and raises `Interrupted`. A
    trainer that loads the state goes on from there.

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
        check_sizes(model)
        names = model.tasks.names
        chosen = with_defaults(options)
        self.monitor = chosen["monitor"]
        if self.monitor not in ("mean", "worst", "loss", *names):
            known = ("mean", "worst", "loss", *names)
            raise InputError(f"monitor is {self.monitor!r}; {hint(self.monitor, known)}")
        self.device = find_device(chosen["device"])
        self.model = model.to(self.device)
        self.stages = make_stages(balancer, model).to(self.device)
        scheduler = create_scheduler(scheduling, model).to(self.device)
        self.planner = Planner(model, scheduler, micro_batches=chosen["accumulate"])
        rates = {
            "shared_learning_rate": chosen["shared_learning_rate"],
            "layer_decay": chosen["layer_decay"],
        }
        self.optimizer = create_optimizer(
            chosen["optimizer"], chosen["learning_rate"], self.model, self.stages, **rates
        )
        self.freezing = Freezing(self.model, chosen["freeze"], chosen["unfreeze"], chosen["frozen"])
        check_rates(self.model, self.freezing.never, **rates)
        check_unfreezing(self.freezing.plan, self.model, self.stages)
        self._parameters = list(self.model.parameters())
        self.lr_schedule = chosen["lr_schedule"]
        self._rates = LearningRates(self.optimizer, self.lr_schedule)
        normalizes = chosen["normalize_losses"] == "initial"
        self._normalizer = Normalizer(names, normalizes).to(self.device)
        self.seed = chosen["seed"]
        self._generators = Generators(self.device, self.seed)
        check_precision(self.stages, chosen["precision"])
        if chosen["accumulate"] > 1:
            check_micro_batches(self.stages, self.model)
        self._passes = Passes(
            self.model,
            self._normalizer,
            device=self.device,
            precision=chosen["precision"],
            generators=self._generators,
        )
        self.batch_size, self.clip_norm = chosen["batch_size"], chosen["clip_norm"]
        self.patience, self.metrics = chosen["patience"], chosen["metrics"]
        find_metrics(self.model.tasks, self.metrics)  # so that a wrong name is an error now
        self.evaluate_every = chosen["evaluate_every"]
        self.checkpoint_every = chosen["checkpoint_every"]
        self.on_record, self.on_checkpoint = chosen["on_record"], chosen["on_checkpoint"]
        self.given = options
        self.history = History()
        self.trivial: Trivial = {}
        self.progress = Progress()
        self.stop_requested = False
        """Set it, for example in a signal handler, to make `fit` save its state and stop."""
        self._memory = Memory()
        self._rehearsed = False
        self._ahead: ValidationBatches | None = None  # of `fit`, for balancers that look ahead
        self._started = perf_counter()

    @property
    def step(self) -> int:
        """Optimizer steps made."""
        return self.progress.step

    @property
    def balancer(self) -> Balancer:
        """The balancer of the epoch in progress."""
        return self.stages.at(self.progress.epoch + 1)

    # Training --------------------------------------------------------------------------------

    def fit(self, data: Any, validation: Any = None, *, epochs: int = 20) -> History:
        """Train, and end with the weights that were best on the validation data.

        A trainer whose state was loaded goes on where that state was saved.

        Args:
            data: ``(inputs, {task: targets})``, arrays or tensors with rows along the first axis,
                or a DataLoader of batches ``{"inputs": ..., "targets": {task: ...}}``. NaN, -100 or
                None stand for "not labelled"; every enabled task is named, if only with None.
                Inputs must be finite; NaN is accepted if a module of the model has an attribute
                ``takes_nan = True``.
            validation: The same; without it there is no early stopping and the last weights stay.
            epochs: Epochs to reach in all: after 3 epochs, ``epochs=6`` trains 3 more.

        Returns:
            What happened, epoch by epoch.

        Raises:
            InputError: If the data do not fit the model or its tasks, the balancer or an option
                needs validation data, or the epochs are too few for every task to have its turn.
            TrainingError: If losses or gradients stay non-finite.
            Interrupted: If `stop_requested` was set.
        """
        self.stop_requested = False
        check_count(epochs)
        train = self._data(data, "the training data", whole=True)
        valid = None
        if validation is None:
            check_validation_unneeded(self.given)
        else:
            valid = self._data(validation, "the validation data", whole=True)
        self._ahead = validation_batches(self.stages, valid, self.batch_size, self.seed)
        self.trivial = learn_from_labels(self.model, train, self.metrics)
        if valid is not None:
            self.check_monitor(valid.targets, self.trivial)
        self.check_epochs(epochs)
        self._rates.begin(epochs * train.steps(self.batch_size))
        self._rates.set(max(self.step - 1, 0))  # those of the last step, for the records
        warn_of_nothing_left(self, epochs)
        if not self.step:
            warn_of_moving(self.model)
        progress, evaluated = self.progress, self.progress.evaluated
        with self._generators.own():
            while progress.epoch < epochs and not progress.stopped:
                self._started = perf_counter()
                for batch in self._rest_of_epoch(train):
                    self._step_of_epoch(batch)
                    if due_after_step(self.evaluate_every, self.step):
                        self._validate(valid)
                    if self.checkpoint_every and self.step % self.checkpoint_every == 0:
                        self._checkpoint("last")
                    if self.stop_requested:
                        self._checkpoint("last")
                        raise Interrupted
                    if progress.stopped:
                        break
                self._end_epoch()
                if due_after_epoch(self.evaluate_every, progress.epoch):
                    self._validate(valid)
                self._checkpoint("last")
        if valid is not None and progress.evaluated == evaluated == 0:
            self._validate(valid)  # evaluate_every was longer than training
        if valid is not None and self._memory.best:
            self.model.load_state_dict(self._memory.best)
        return self.history

    def train_epoch(self, data: Any) -> dict[str, float]:
        """Train on every row once, in an order drawn from (seed, epoch).

        Class weights are learned from the first data that are given.

        Returns:
            The mean training loss of each task.
        """
        train = self._data(data, "the training data", whole=True)
        prepare_tasks(self.model, train)
        self._started = perf_counter()
        with self._generators.own():
            for batch in self._rest_of_epoch(train):
                self._step_of_epoch(batch)
        return self._end_epoch()

    def train_step(self, batch: Batch | Mapping[str, Any]) -> StepResult:
        """Make one update from a batch ``{"inputs": ..., "targets": {task: tensor}}``.

        A step whose losses or gradients are not finite changes nothing and is counted.

        Epochs begin and end only in `fit` and `train_epoch`. With this method alone, what follows
        epochs stays as it is in the first: stages of balancers, weights of tasks, frozen parts,
        columns of progressive sharing, and balancers that compare epochs, such as dwa. The learning
        rate stays constant, too, as its schedule covers the epochs of `fit`. After many steps one
        warning names those that were asked for.

        Args:
            batch: Inputs and targets, tensors on the trainer's device or NumPy arrays.

        Returns:
            The losses, the weight each had, and the norm of the whole gradient.

        Raises:
            InputError: If it is no batch, or a label stands where there is no word.
            TrainingError: If too many steps in a row were not finite.
        """
        batch, balancer = Batch.of(batch, device=self.device), self.balancer
        progress, planner, passes = self.progress, self.planner, self._passes
        step, epoch = progress.step, progress.epoch + 1
        with self._generators.own():
            self._rates.set(step)
            tasks = planner.tasks_at(step, epoch)
            plan = planner.plan(batch, tasks, step)
            if not self._rehearsed:
                self.stages.rehearse(epoch, partial(passes.losses, plan.first()))
                self._rehearsed = True
            if self._ahead is not None:
                valid = self._ahead
                ahead = lambda: planner.plan(valid.at(step), tasks, step)  # noqa: E731
                look_ahead(balancer, self.model, self.optimizer, passes.losses, plan, ahead)
            clear_gradients(self.optimizer)
            passes.averages.save()
            look = (step + 1) % GRADIENTS_EVERY == LOG_EVERY
            passed = passes.make(plan, balancer, self.stages.pass_at(epoch), look=look)
            progress.step += 1
            if progress.step == STEPS_WITHOUT_EPOCH:
                warn_of_epochs(self)
            if passed is None:
                return StepResult({})
        losses, result, penalty = passed.losses, passed.balanced, passed.penalty
        norm = clip_gradient(self._parameters, self.clip_norm)
        # a device sync
        if not all(map(math.isfinite, on_host([*losses.values(), norm]))):
            passes.averages.restore()
            where = "the batch" if batch.rows is None else batch.rows
            check_words(self.model, [(where, batch)], losses)
            count_skipped(progress, losses)
            return StepResult(losses, norm, result, penalty, skipped=True)
        progress.skipped_in_a_row = 0
        update(self.optimizer, balancer, losses)
        self.model.sharing.after_step(self._rates.highest, self.model.active_tasks)
        report_losses_after(balancer, passes.losses, plan)
        self._memory.totals.add(passed.terms)
        norms = (result.gradient_norms if result else None) or passed.norms
        add_norms(progress.gradients, norms)
        return StepResult(losses, norm, result, penalty, gradient_norms=norms)

    def _rest_of_epoch(self, train: Data) -> Iterator[Batch]:
        """Return the batches of the epoch in progress that are not done yet."""
        progress = self.progress
        if not progress.batch:
            self.freezing.begin(progress.epoch + 1)
        self.model.train()
        changing = [task for task in self.model.tasks if task.turning_points]
        self.stages.weigh(changing, progress.epoch + 1)
        return train.epoch(
            self.batch_size, seed=self.seed, number=progress.epoch, done=progress.batch
        )

    def _step_of_epoch(self, batch: Batch) -> None:
        result = self.train_step(batch)
        self.progress.batch += 1
        if result.balanced and result.balanced.weights:
            self._memory.weights = result.balanced.weights
        if self.step % LOG_EVERY == 0 and result.balanced is not None:
            values = {"balancer": name_of(self.balancer)} | step_values(result)
            self._record("step", "train", step_entries(result), **values)

    def _end_epoch(self) -> dict[str, float]:
        """Record the epoch and begin the next one."""
        totals = self._memory.totals.means()
        means = {task: totals[task] for task in self.model.tasks.names if task in totals}
        report_epoch(self.balancer, self._normalizer.normalized_means(means))
        if not means and self.progress.skipped:
            raise TrainingError(not_finite(self.progress, "in any step of the epoch"))
        tasks = epoch_entries(means, self._memory.weights)
        balancer = self.balancer
        self.progress.epoch += 1
        self.progress.batch = 0
        self._memory.totals = Totals()
        if self.balancer is not balancer:
            self._memory.weights = {}  # the next one need not give any
        sharing = self.model.sharing.describe()
        more = {"sharing": sharing} if sharing else {}
        if self.freezing.active:
            more["trained"] = self.freezing.trained()
        skipped, name = self.progress.skipped, name_of(balancer)
        self._record("epoch", "train", tasks, skipped=skipped, balancer=name, **more)
        return means

    def statistics(self) -> dict[str, Any]:
        """Return where training is: steps, epochs, weights, and the tasks' gradients.

        ``gradients`` has, for each task, the mean ``norm`` of its gradient on the shared
        parameters, the ``variance`` of that norm, and the ``count`` of steps looked at: all steps
        for balancers that need the gradients, one in 200 for others, and none where a compiled or
        recomputed module serves only one backward pass.
        """
        return {
            "step": self.progress.step,
            "epoch": self.progress.epoch,
            "skipped": self.progress.skipped,
            "weights": {task: float(weight) for task, weight in self._memory.weights.items()},
            "gradients": gradient_stats(self.progress.gradients),
        }

    # State -----------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all that `load_state` needs: tensors, and numbers that JSON can hold.

        They are copies, the tensors on the CPU, which later steps do not change.
        """
        tensors = tensors_of(self._modules(), self.optimizer, self._memory)
        return tensors, header_of(self.model, self.progress)

    def load_state(
        self,
        state: tuple[Mapping[str, Tensor], Mapping[str, Any]] | Mapping[str, Tensor],
        header: Mapping[str, Any] | None = None,
    ) -> None:
        """Go back to a state that `state` returned: ``load_state(trainer.state())``.

        Args:
            state: The state, or the tensors of it.
            header: The numbers, if tensors were given.

        Raises:
            InputError: If it is no state, or that of another model.
        """
        tensors, header = taken_apart(state, header)
        check_header(header, self.model)
        self._memory = load_tensors(tensors, self._modules(), self.optimizer)
        self.progress = load_header(header, self.model)

    def _modules(self) -> dict[str, nn.Module]:
        return {
            "model": self.model,
            "balancer": self.stages,
            "normalizer": self._normalizer,
            "scheduler": self.planner.scheduler,
        }

    def _checkpoint(self, kind: Literal["last", "best"]) -> None:
        if self.on_checkpoint is not None:
            self.on_checkpoint(kind)

    # Evaluation ------------------------------------------------------------------------------

    def evaluate(self, data: Any, tasks: str | Iterable[str] | None = None) -> Report:
        """Compute every metric over the whole of ``data``.

        Args:
            data: As in `fit`.
            tasks: Which tasks to evaluate, or the name of one; all enabled ones with targets if
                left out.

        Returns:
            ``{task: {metric: value, "loss": ..., "count": ...}, "score": mean normalised score}``.
        """
        return evaluate(
            self.model,
            self._data(data, "the evaluation data"),
            batch_size=self.batch_size,
            metrics=self.metrics,
            trivial=self.trivial,
            tasks=tasks,
        )

    def predict(self, inputs: Any, tasks: str | Iterable[str] | None = None) -> dict[str, Any]:
        """Predict: class indices, values in original units, or 0/1 labels, as NumPy arrays.

        Args:
            inputs: Inputs as in `fit`, without targets, rows along the first axis; or a DataLoader
                of batches, whose targets are not read.
            tasks: Which tasks to predict, or the name of one; all enabled ones if left out.

        Returns:
            An array with one entry per row for each task.
        """
        found = self._predictions(inputs, tasks)
        return {task: prediction.value.numpy() for task, prediction in found.items()}

    def predict_probabilities(
        self, inputs: Any, tasks: str | Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Predict class probabilities (N, C) of the tasks that have classes, as NumPy arrays.

        Args:
            inputs: As in `predict`.
            tasks: As in `predict`; those without classes are left out.

        Returns:
            An array for each task that has classes.
        """
        return {
            task: prediction.probabilities.numpy()
            for task, prediction in self._predictions(inputs, tasks).items()
            if prediction.probabilities is not None
        }

    def check_monitor(self, targets: Mapping[str, Any], trivial: Trivial) -> None:
        """Check that the monitored value can be computed on these validation labels.

        Args:
            targets: The labels by task.
            trivial: Constant predictions, fitted on the training labels.

        Raises:
            InputError: If it rests on a task that is disabled, has no targets or no score on these
                labels, or on a metric whose best value is not known.
        """
        check_monitor(self.monitor, self.model, targets, self.metrics, trivial)

    def check_epochs(self, epochs: int) -> None:
        """Check that every enabled task has its turn, and that parts are unfrozen.

        Raises:
            InputError: If the sharing scheme trains one, or ``unfreeze`` begins, only after so many
                epochs.
        """
        self.planner.check(epochs)
        self.freezing.check(epochs)

    # Parts -----------------------------------------------------------------------------------

    def _predictions(self, inputs: Any, tasks: str | Iterable[str] | None) -> dict[str, Prediction]:
        data = take_inputs(inputs, self.model, self.device)
        return predict(self.model, data, batch_size=self.batch_size, tasks=tasks)

    def _data(self, data: Any, what: str, *, whole: bool = False) -> Data:
        return take_data(data, what, self.model, self.device, whole=whole)

    def _validate(self, valid: Data | None) -> None:
        """Evaluate, keep the weights if they are the best so far, and decide whether to stop."""
        if valid is None:
            return
        due = due_tasks(self.model, valid.targets, self.progress)
        self.progress.evaluated += 1
        if not due:
            return
        report = self.evaluate(valid, due)
        self.model.train()
        whole = with_last(report, self.model, self.progress)
        report_scores(self.balancer, whole.scores)
        value = monitored_value(self.monitor, self.model, whole)
        news = monitored_tasks(self.monitor, self.model, valid.targets).intersection(due)
        news &= self.planner.tasks_of_last_turn(self.progress.epoch + (self.progress.batch > 0))
        loss = monitored_loss(self.monitor, self.model, whole)
        better = bool(news) and note_value(self.progress, value, loss, self.patience)
        if better:
            self._memory.best = {n: each.clone() for n, each in self.model.state_dict().items()}
        self._record(
            "step" if isinstance(self.evaluate_every, int) else "epoch",
            "validation",
            {task: report[task] for task in report.scores},
            score=whole["score"],
            monitored=value,
            best=better,
            **({"notes": report.notes} if report.notes else {}),
        )
        if better:
            self._checkpoint("best")

    def _record(self, event: str, split: str, tasks: Mapping[str, Any], **more: Any) -> None:
        epoch = self.progress.epoch + (event == "step")
        seconds = perf_counter() - self._started
        record = {"event": event, "step": self.step, "epoch": epoch, "split": split, **more}
        record |= {"seconds": seconds, "tasks": tasks, "learning_rate": self._rates.highest}
        if event == "epoch" or split == "validation":
            self.history.records.append(record)
        if self.on_record is not None:
            self.on_record(record)
