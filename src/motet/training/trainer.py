"""The training loop: batches in, one balanced update a step, the best weights kept.

`Trainer.fit` reads as the loop it is: epochs of `train_step`, an evaluation after each, early
stopping on the monitored score. Every part can be called alone. What the loop must remember is in
`Trainer.progress` and `motet.training.state`, so that it can stop anywhere and go on exactly there.
"""

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Any, Literal

from torch import Tensor, nn

from motet.balancing import Balancer, LossBalancer, backward
from motet.data.batches import Batch, Data
from motet.model import MultiTaskModel, mean_losses, on_host
from motet.options import Every, NonNegativeInt, PositiveFloat, PositiveInt, checked, create
from motet.problems import InputError, hint
from motet.registry import LR_SCHEDULES
from motet.tasks import Prediction
from motet.tasks.labels import at_least_float32
from motet.tasks.scores import Trivial
from motet.tasks.task_metrics import find_metrics
from motet.training.evaluation import Report, evaluate, predict
from motet.training.history import History
from motet.training.intake import learn_from_labels, take_batch, take_data, take_inputs
from motet.training.intervals import due_tasks, with_last
from motet.training.lr_schedules import LRSchedule
from motet.training.making import (
    Chosen,
    device_of,
    make_optimizer,
    spelled_out,
)
from motet.training.monitoring import (
    TrainingError,
    check_epochs,
    check_monitor,
    due_after_epoch,
    due_after_step,
    judge,
    last_to_train,
    monitored_value,
    watched,
)
from motet.training.needs import (
    ValidationBatches,
    batches_to_look_at,
    look_ahead,
    tell_epoch,
    tell_losses_after,
    tell_scores,
)
from motet.training.normalizing import Normalizer
from motet.training.optimizers import OptimizerFactory
from motet.training.randomness import own_generators, seed_generators
from motet.training.recording import LOG_EVERY, epoch_entries, step_entries, step_values
from motet.training.stages import Stage, Stages, make_stages, name_of
from motet.training.state import (
    Memory,
    Progress,
    Totals,
    check_header,
    header_of,
    load_header,
    load_tensors,
    tensors_of,
)
from motet.training.statistics import (
    GRADIENTS_EVERY,
    add_norms,
    gradient_norms,
    gradient_stats,
)
from motet.training.step import (
    Averages,
    StepResult,
    arithmetic,
    clipped_norm,
    count_skipped,
    kept_for_absent,
    known_leaves,
    not_finite,
)


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop; its state was saved and it can go on from there."""


class Trainer:
    """Trains a `MultiTaskModel`.

    Args:
        model: The model; moved to the device and trained in place.
        balancer: A balancer, its name, or ``{"type": name, option: value}``; or a list of stages,
            all but the last with the last epoch in which they act, ``{"until": 5, "type": name}``.
            ``heads``, ``at``, ``memory`` and ``gramian`` beside them are those of `motet.backward`.
        learning_rate: Learning rate; the optimizer's default if left out. A task's own
            ``learning_rate`` goes before it, for that task's parameters.
        batch_size: Rows per step, and per forward pass in evaluation.
        optimizer: Name, ``{"type": name, option: value}``, or a function from parameter groups to
            an optimizer.
        lr_schedule: Name or ``{"type": name, option: value}``.
        clip_norm: Largest norm of the whole gradient; no clipping if left out.
        patience: Evaluations without a better monitored value before `fit` stops; None never stops.
        monitor: What `fit` watches on the validation data: the ``mean`` or ``worst`` normalised
            score of the main tasks, the name of a task, or ``loss``.
        evaluate_every: When `fit` evaluates: each "epoch", after so many steps (a number), or after
            so many epochs, ``{"epochs": 5}``; at the end in any case, if it never did before.
        metrics: Metrics by task, names or functions, in place of each task's own.
        normalize_losses: "initial" divides each task's loss by the first that is seen of it, before
            balancing. Records and evaluations tell losses as they are; weights are those of the
            normalised ones.
        seed: Seed of batch order and dropout.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: Arithmetic of the forward pass.
        on_record: Called with each record as it is made: steps, epochs.
        on_checkpoint: Called in `fit` when the state should be saved: with "best" after an
            evaluation that was the best so far, with "last" after each epoch, after each
            ``checkpoint_every`` steps, and when asked to stop.
        checkpoint_every: Steps between two checkpoints within an epoch; none if left out.

    Raises:
        InputError: If a name is unknown or a value does not fit.
    """

    @checked
    def __init__(
        self,
        model: MultiTaskModel,
        balancer: Stage | Sequence[Stage] | Stages = "equal",
        *,
        learning_rate: PositiveFloat | None = None,
        batch_size: PositiveInt = 512,
        optimizer: Chosen | OptimizerFactory = "adamw",
        lr_schedule: Chosen = "cosine",
        clip_norm: PositiveFloat | None = None,
        patience: PositiveInt | None = 5,
        monitor: str = "mean",
        evaluate_every: Every = "epoch",
        metrics: Mapping[str, Any] | None = None,
        normalize_losses: Literal["initial"] | None = None,
        seed: NonNegativeInt = 0,
        device: str = "auto",
        precision: Literal["float32", "bfloat16"] = "float32",
        on_record: Callable[[dict[str, Any]], object] | None = None,
        on_checkpoint: Callable[[Literal["last", "best"]], object] | None = None,
        checkpoint_every: PositiveInt | None = None,
    ) -> None:
        names = model.tasks.names
        if monitor not in ("mean", "worst", "loss", *names):
            known = ("mean", "worst", "loss", *names)
            raise InputError(f"monitor is {monitor!r}; {hint(monitor, known)}")
        self.device = device_of(device)
        self.model = model.to(self.device)
        self.stages = make_stages(balancer, model).to(self.device)
        self.optimizer = make_optimizer(optimizer, learning_rate, self.model, self.stages)
        self._parameters = list(self.model.parameters())
        self._leaves = known_leaves(self.model)
        self._normalizer = Normalizer(names, normalize_losses == "initial").to(self.device)
        self._averages = Averages(nn.ModuleList([self.model, self._normalizer]))
        self._base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self._schedule: LRSchedule | None = None
        name, options = spelled_out(lr_schedule)
        LR_SCHEDULES.known(name)
        self._lr_schedule = name, options
        self.batch_size, self.clip_norm, self.seed = batch_size, clip_norm, seed
        self.patience, self.monitor, self.metrics = patience, monitor, metrics
        find_metrics(self.model.tasks, metrics)  # so that a wrong name is told now
        create(LR_SCHEDULES, name, 1, **options)
        self.evaluate_every, self.checkpoint_every = evaluate_every, checkpoint_every
        self.precision, self.on_record, self.on_checkpoint = precision, on_record, on_checkpoint
        self.history = History()
        self.trivial: Trivial = {}
        self.progress = Progress()
        self.stop_requested = False
        """Set it, for example in a signal handler, to make `fit` save its state and stop."""
        self._memory = Memory()
        self._ahead: ValidationBatches | None = None  # of `fit`, for balancers that look ahead
        self._started = perf_counter()
        self._generators_owned = False

    @property
    def step(self) -> int:
        """Optimizer steps made."""
        return self.progress.step

    @property
    def balancer(self) -> Balancer:
        """The balancer of the epoch in progress."""
        return self.stages.at(self.progress.epoch + 1)

    @property
    def trained_tasks(self) -> list[str]:
        """The tasks that train in the epoch in progress: all enabled ones, or as sharing says."""
        return self.model.sharing.trained_at(self.progress.epoch + 1, self.model.active_tasks)

    # Training --------------------------------------------------------------------------------

    def fit(self, data: Any, validation: Any = None, *, epochs: int = 20) -> History:
        """Train, and end with the weights that were best on the validation data.

        A trainer whose state was loaded goes on where that state was saved.

        Args:
            data: ``(inputs, {task: targets})``, arrays or tensors with rows along the first axis,
                or a DataLoader of batches ``{"inputs": ..., "targets": {task: ...}}``. NaN, -100 or
                None stand for "not labelled".
            validation: The same; without it there is no early stopping and the last weights stay.
            epochs: Epochs to reach in all.

        Returns:
            What happened, epoch by epoch.

        Raises:
            InputError: If the data do not fit the tasks, the balancer needs validation data, or
                the epochs are too few for every task to have its turn.
            TrainingError: If losses or gradients stay non-finite.
            Interrupted: If `stop_requested` was set.
        """
        self.stop_requested = False
        train = self._data(data, "the training data")
        valid = None if validation is None else self._data(validation, "the validation data")
        if valid is not None:
            self.check_monitor(valid.targets)
        self._ahead = batches_to_look_at(self.stages, valid, self.batch_size, self.seed)
        self.trivial = learn_from_labels(self.model, train, self.metrics)
        self.check_epochs(epochs)
        name, options = self._lr_schedule
        total = epochs * train.steps(self.batch_size)
        self._schedule = create(LR_SCHEDULES, name, total, **options)
        progress, evaluated = self.progress, self.progress.evaluated
        self._set_learning_rate(max(self.step - 1, 0))  # that of the last step, for the records
        with self._own_generators():
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

        Returns:
            The mean training loss of each task.
        """
        train = self._data(data, "the training data")
        self._started = perf_counter()
        with self._own_generators():
            for batch in self._rest_of_epoch(train):
                self._step_of_epoch(batch)
        return self._end_epoch()

    def train_step(self, batch: Mapping[str, Any]) -> StepResult:
        """Make one update from a batch ``{"inputs": ..., "targets": {task: tensor}}``.

        A step whose losses or gradients are not finite changes nothing and is counted.

        Args:
            batch: Inputs and targets, tensors on the trainer's device or NumPy arrays.

        Returns:
            The losses, the weight each had, and the norm of the whole gradient.

        Raises:
            TrainingError: If too many steps in a row were not finite.
        """
        batch, balancer = take_batch(batch, self.device), self.balancer
        with self._own_generators():
            self._set_learning_rate(self.step)
            if self._ahead is not None:
                aside, ahead = self._losses_aside(self.step), partial(self._ahead.at, self.step)
                look_ahead(balancer, self.model, self.optimizer, aside, batch, ahead)
            seed_generators(self.device, self.seed, "step", self.step)
            self.optimizer.zero_grad(set_to_none=True)
            self._averages.keep()
            terms = self._loss_terms(batch)
            # a task whose head and encoder are frozen has nothing to train
            losses = {t: loss for t, loss in mean_losses(terms).items() if loss.requires_grad}
            self.progress.step += 1
            if not losses:
                return StepResult({})
            plain = {task: loss.detach() for task, loss in losses.items()}
            self._normalizer.observe(losses)
            losses = self._normalizer.normalized(losses)
            norms = self._norms_of_loss_gradients(losses)
            leaves = {} if isinstance(balancer, LossBalancer) else self._leaves
            penalty = self.model.sharing.penalty(self.model.active_tasks)
            options = self.stages.pass_at(self.progress.epoch + 1)
            result = backward(losses, balancer, penalty=penalty, **leaves, **options)
            penalty = None if penalty is None else penalty.detach()
        norm = clipped_norm(self._parameters, self.clip_norm)
        # a device sync
        if not all(map(math.isfinite, on_host([*result.losses.values(), norm]))):
            self._averages.put_back()
            count_skipped(self.progress, plain)
            return StepResult(plain, norm, result, penalty, skipped=True)
        self.progress.skipped_in_a_row = 0
        with kept_for_absent(balancer, losses):
            self.optimizer.step()
        self.model.sharing.after_step(self._rate(), self.model.active_tasks)
        tell_losses_after(balancer, self._losses_aside(self.step - 1), batch)
        self._memory.totals.add(terms)
        norms = result.gradient_norms or norms
        add_norms(self.progress.gradients, norms)
        return StepResult(plain, norm, result, penalty, gradient_norms=norms)

    def _loss_terms(self, batch: Mapping[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return sums and counts of the losses, from a forward pass in training mode."""
        with arithmetic(self.device, self.precision):
            raw = self.model(batch["inputs"], self.trained_tasks)
        raw = {task: at_least_float32(output) for task, output in raw.items()}
        return self.model.loss_terms(raw, batch["targets"])

    def _losses_aside(self, step: int) -> Callable[[Mapping[str, Any]], dict[str, Tensor]]:
        """Return how losses are computed beside a step: its dropout, BatchNorm's averages stay."""

        def losses(batch: Mapping[str, Any]) -> dict[str, Tensor]:
            with self._own_generators():
                seed_generators(self.device, self.seed, "step", step)
                self._averages.keep()
                found = self._normalizer.normalized(mean_losses(self._loss_terms(batch)))
                self._averages.put_back()
            return found

        return losses

    def _norms_of_loss_gradients(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Look at the tasks' gradients now and then, where the balancer only reads losses."""
        due = self.step % GRADIENTS_EVERY == LOG_EVERY
        if not due or not isinstance(self.balancer, LossBalancer):
            return {}
        return gradient_norms(losses, self.model.shared_parameters())

    def _rest_of_epoch(self, train: Data) -> Iterator[Batch]:
        """Return the batches of the epoch in progress that are not done yet."""
        self.model.train()
        progress = self.progress
        changing = [task for task in self.model.tasks if task.turning_points]
        self.stages.weigh(changing, progress.epoch + 1)
        return train.epoch(
            self.batch_size, seed=self.seed, number=progress.epoch, done=progress.batch
        )

    def _step_of_epoch(self, batch: Mapping[str, Any]) -> None:
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
        tell_epoch(self.balancer, self._normalizer.normalized_means(means))
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
        skipped, name = self.progress.skipped, name_of(balancer)
        self._record("epoch", "train", tasks, skipped=skipped, balancer=name, **more)
        return means

    def statistics(self) -> dict[str, Any]:
        """Return where training is: steps, epochs, weights, and the tasks' gradients.

        ``gradients`` has, for each task, the mean ``norm`` of its gradient on the shared
        parameters, the ``variance`` of that norm, and the ``count`` of steps looked at: all steps
        for balancers that need the gradients, one in 200 for others.
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
        """Return all that `load_state` needs: tensors, and numbers that JSON can hold."""
        tensors = tensors_of(self._modules(), self.optimizer, self._memory)
        return tensors, header_of(self.model, self.progress)

    def load_state(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Go back to a state that `state` returned.

        Raises:
            InputError: If it is the state of another model.
        """
        check_header(header, self.model)
        self._memory = load_tensors(tensors, self._modules(), self.optimizer)
        self.progress = load_header(header, self.model)

    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.model, "balancer": self.stages, "normalizer": self._normalizer}

    def _checkpoint(self, kind: Literal["last", "best"]) -> None:
        if self.on_checkpoint is not None:
            self.on_checkpoint(kind)

    @contextmanager
    def _own_generators(self) -> Iterator[None]:
        """Leave the user's random generators as they are; nested calls cost nothing."""
        if self._generators_owned:
            yield
            return
        self._generators_owned = True
        try:
            with own_generators(self.device):
                yield
        finally:
            self._generators_owned = False

    # Evaluation ------------------------------------------------------------------------------

    def evaluate(self, data: Any, tasks: Sequence[str] | None = None) -> Report:
        """Compute every metric over the whole of ``data``.

        Args:
            data: As in `fit`.
            tasks: Which tasks to evaluate; all enabled ones if left out.

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

    def predict(self, inputs: Any, tasks: Sequence[str] | None = None) -> dict[str, Any]:
        """Predict: class indices, values in original units, or 0/1 labels, as NumPy arrays.

        Args:
            inputs: Inputs as in `fit`, without targets, rows along the first axis; or a DataLoader
                of batches, whose targets are not read.
            tasks: Which tasks to predict; all enabled ones if left out.

        Returns:
            An array with one entry per row for each task.
        """
        found = self._predictions(inputs, tasks)
        return {task: prediction.value.numpy() for task, prediction in found.items()}

    def predict_probabilities(
        self, inputs: Any, tasks: Sequence[str] | None = None
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

    def check_monitor(self, targets: Container[str]) -> None:
        """Check that the monitored value can be computed on data with these tasks' targets.

        Raises:
            InputError: If it rests on a task that is disabled or has no targets, or on a metric
                whose best value is not known.
        """
        check_monitor(self.monitor, self.model, targets, self.metrics)

    def check_epochs(self, epochs: int) -> None:
        """Check that every enabled task has its turn.

        Raises:
            InputError: If the sharing scheme trains one only after so many epochs.
        """
        check_epochs(self.model, epochs)

    # Parts -----------------------------------------------------------------------------------

    def _predictions(self, inputs: Any, tasks: Sequence[str] | None) -> dict[str, Prediction]:
        data = take_inputs(inputs, self.device)
        return predict(self.model, data, batch_size=self.batch_size, tasks=tasks)

    def _data(self, data: Any, what: str) -> Data:
        return take_data(data, what, self.model, self.device)

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
        tell_scores(self.balancer, whole.scores)
        value = monitored_value(self.monitor, self.model, whole)
        news = watched(self.monitor, self.model, valid.targets).intersection(due)
        news &= last_to_train(self.model, self.progress)
        better = bool(news) and judge(self.progress, value, self.patience)
        if better:
            self._memory.best = {n: each.clone() for n, each in self.model.state_dict().items()}
        self._record(
            "step" if isinstance(self.evaluate_every, int) else "epoch",
            "validation",
            {task: report[task] for task in report.scores},
            score=whole["score"],
            monitored=value,
            best=better,
        )
        if better:
            self._checkpoint("best")

    def _set_learning_rate(self, step: int) -> None:
        if self._schedule is not None:
            factor = self._schedule(step)
            for group, rate in zip(self.optimizer.param_groups, self._base_rates, strict=True):
                group["lr"] = rate * factor

    def _rate(self) -> float:
        """Return the learning rate of ordinary parameters."""
        groups = self.optimizer.param_groups
        return max(float(group["lr"]) / float(group.get("rate", 1.0)) for group in groups)

    def _record(self, event: str, split: str, tasks: Mapping[str, Any], **more: Any) -> None:
        epoch = self.progress.epoch + (event == "step")
        seconds = perf_counter() - self._started
        record = {"event": event, "step": self.step, "epoch": epoch, "split": split, **more}
        record |= {"seconds": seconds, "tasks": tasks, "learning_rate": self._rate()}
        if event == "epoch" or split == "validation":
            self.history.records.append(record)
        if self.on_record is not None:
            self.on_record(record)
