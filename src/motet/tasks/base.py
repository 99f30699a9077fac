"""A task: all that is special about one thing to predict.

It defines its kind of label, its head, the loss of a raw output, and how that becomes a prediction.
Labels may be missing anywhere; losses are (sum, count) over the labels that are there, so that
batches, micro-batches and processes add up to the same number.

Write your own by subclassing `Task` with two methods, ``loss`` and ``decode``:

    >>> import torch
    >>> from motet.tasks.base import Prediction, Task
    >>> class Count(Task):
    ...     '''Counts, by the Poisson likelihood with a log link.'''
    ...
    ...     kind = "count"
    ...     labels = "number"  # one number a row, NaN where missing
    ...
    ...     def loss(self, raw, target, weights=None):
    ...         function = lambda raw, target: raw.exp() - target * raw
    ...         return self.add_up(function, raw, target, weights)
    ...
    ...     def decode(self, raw):
    ...         return Prediction(raw.double().exp(), None)
    >>> visits = Count("visits", weight=2.0)
    >>> visits.loss(torch.zeros(3), torch.tensor([2.0, torch.nan, 0.0]))  # (sum, count)
    (tensor(2.), tensor(2.))
    >>> visits.decode(torch.zeros(2)).value
    tensor([1., 1.], dtype=torch.float64)

Its head, its metrics (r2, mae, rmse), its trivial prediction and the treatment of missing labels
follow from ``labels``, see `motet.tasks.kinds`. Keyword-only arguments of its constructor, passed
on as ``**common``, become options in a config once it is registered:
``motet.register("task", "count", Count)``.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from motet.figures import counted
from motet.options import (
    TABLE_OPTIONS,
    TASK_DEFAULTS,
    TaskOptions,
    Unpack,
    WeightSchedule,
    checked,
    create,
)
from motet.problems import InputError
from motet.registry import HEADS
from motet.tags import TagSet
from motet.tasks.additive import sum_masked, sum_selected
from motet.tasks.combining import combined
from motet.tasks.heads import SingleOutput, TaskHead, custom_head
from motet.tasks.kinds import LabelKind, Likelihood, label_kind
from motet.tasks.map_heads import MapHead
from motet.tasks.prediction import Kept
from motet.tasks.prediction import Prediction as Prediction
from motet.tasks.reads import Read, reads_of
from motet.tasks.row_weights import RowWeights
from motet.tasks.statistics import LabelStatistics
from motet.tasks.token_heads import TokenHead
from motet.tasks.weight_schedules import weight_at
from motet.tasks.wrong_labels import explaining

_MEAN = "mean_row_weight"
"""Key of a model's state."""


class Task(nn.Module, ABC):
    """One thing to predict. Subclasses must have ``loss`` and ``decode``, and may refine the rest.

    A module, so that class weights move and are saved with the model; the head belongs to the
    model, not to the task.

    Args:
        name: The task's name, in configs, results and messages.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown or wrong.
    """

    kind: ClassVar[str] = "custom"
    """Name in the registry."""
    labels: ClassVar[LabelKind | str] = "number"
    """Its kind of label, or the name of one; see `motet.tasks.kinds`."""
    label_kind: LabelKind = label_kind("number")
    """The kind that ``labels`` give; that of a single task may follow from its options."""
    reads_state: ClassVar[str | tuple[str, ...]] = "rows"
    """What its head gets, by the names of `motet.states`: rows, tokens, map, or another name that
    the encoder gives. Of several, the first that the encoder gives and the scheme carries."""
    reads_tasks: tuple[str, ...] = ()
    """Names of other tasks of which its head gets something: their raw outputs, with gradient,
    where the option ``reads`` does not say otherwise."""
    takes_reads_itself: bool = False
    """Whether the head that it makes takes what it reads; built-in heads are made wider for it."""
    takes_soft: bool = False
    """Whether it can learn from what a teacher predicts; see `soft_loss`."""
    latent: bool = False
    """Whether it has no labels and is trained through the tasks that read it."""
    tempers: ClassVar[bool] = False
    """Whether ``decode`` divides its logits by ``calibration_temperature``."""
    calibration_temperature: float = 1.0
    """Fitted on held-out rows after training, which it does not change; see
    `motet.analysis.temperature`."""
    additive: ClassVar[bool] = True
    """Whether the losses of micro-batches add up to that of the batch; not if rows are compared
    with each other."""
    counts: Literal["elements", "rows"] = "elements"
    """What the count of its loss is of: labelled elements, or rows with a label."""
    balanced: bool = True
    """Whether the balancer weights its loss or gradient; otherwise its gradient is added after."""
    outputs: int = 1
    """Numbers per row of the raw output; 0 while the number of classes is not known."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes, labels, tags or outputs, if they have any."""
    scaling: Any = None
    """Mean and standard deviation by which its targets were standardised, if they were."""
    tags: TagSet | None = None
    """What its tags mean, if it has tags."""
    levels: tuple[float, ...] = ()
    """Of the quantiles that it predicts of each number, if it does."""
    members: int | None = None
    """Number K of members of the ensemble that computes it, whose raw outputs are (B, K, ...); set
    by the model that it is given to, see `motet.tasks.members`. Methods are called without them."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.label_kind = label_kind(cls.labels)
        if inspect.isfunction(cls.__dict__.get("loss")):  # and no static method or property
            cls.loss = explaining(cls.loss)  # type: ignore[method-assign]

    @checked
    def __init__(self, name: str, **common: Unpack[TaskOptions]) -> None:
        super().__init__()
        options: dict[str, Any] = {**TASK_DEFAULTS, **common}
        self._refuse_of_tables(name, options)
        self.name = name
        self.column: str = options["column"] or name
        source: str | Sequence[str] | None = options["source"]
        self.sources = (source,) if isinstance(source, str) else tuple(source or ())
        self.batch_size: int | None = options["batch_size"]
        self._weight: float | WeightSchedule = options["weight"]
        self.main: bool = options["main"]
        self.priority: str = options["priority"]
        enabled = options["enabled"]
        self.enabled = bool(enabled)
        self.enabled_from: int = enabled["from"] if isinstance(enabled, dict) else 1
        """The first epoch that trains it, counted from 1."""
        self.learning_rate: float | None = options["learning_rate"]
        self.evaluate_every: int = options["evaluate_every"]
        self._reads = reads_of(options["reads"])
        if self._reads:
            self.reads_tasks = tuple(self._reads)
        self.row_weights = RowWeights()
        self.weighted_metrics: bool = options["weighted_metrics"]
        self._head_and_metrics = options["head"], tuple(options["metrics"])  # not as submodules

    @property
    def reads_of_tasks(self) -> dict[str, Read]:
        """What its head gets of each task that it reads."""
        return {name: self._reads.get(name, Read()) for name in self.reads_tasks}

    @staticmethod
    def _refuse_of_tables(name: str, options: Mapping[str, Any]) -> None:
        instead = {
            "row_weight": "with arrays, give the weights with the data: (inputs, targets, weights)",
            "rows": "with arrays, set the labels of other rows to missing: NaN or -100",
        }
        for option in TABLE_OPTIONS:
            if options[option] is not None:
                raise InputError(
                    f"found {options[option]!r}, which columns of a table decide, as a config "
                    f"names them; {instead[option]}",
                    option=option,
                    owner=f"task {name!r}",
                )

    @classmethod
    def accepted(cls) -> frozenset[str]:
        """Return the names of the arguments of its constructor."""
        return frozenset(inspect.signature(cls).parameters)

    @classmethod
    def label_kind_of(cls, options: Mapping[str, Any]) -> LabelKind:
        """Return the kind of label that a task with these options has, before it is made."""
        return cls.label_kind

    @property
    def weight(self) -> float:
        """How much the task counts in the end; see `weight_at`."""
        return self._weight["to"] if isinstance(self._weight, dict) else self._weight

    def weight_at(self, epoch: int) -> float:
        """Return how much the task counts in an epoch, counted from 1."""
        return weight_at(self._weight, epoch)

    @property
    def turning_points(self) -> tuple[int, ...]:
        """Epochs between which the weight changes; none if it does not."""
        return self._weight["epochs"] if isinstance(self._weight, dict) else ()

    # What a kind of task must define -------------------------------------------------------------

    @abstractmethod
    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Add up the loss over the labelled elements.

        A class whose ``loss`` has no parameter ``weights`` works without weights of rows, and
        training with them is refused.

        Args:
            raw: Raw output, as the head gives it: (B, outputs), or (B,) for one number; of a task
                that reads tokens (B, L, outputs), NaN where there is no word.
            target: Labels of the same rows, some perhaps missing.
            weights: How much each row counts, (B,), not negative; 0 is a missing label. Every row
                counts alike if left out.

        Returns:
            Differentiable sum () and count (); (0, 0) if no label is there, never NaN. With weights
            the sum of the weighted losses, and the number of elements times the mean weight of the
            training labels; the sum of the weights where that was not learned.
        """

    @abstractmethod
    def decode(self, raw: Tensor) -> Prediction:
        """Make predictions, in original units, from raw outputs (B, ...)."""

    # Distillation, of kinds for which `takes_soft` is True ----------------------------------------

    def soft(self, raw: Tensor) -> Tensor:
        """Return what another model learns from raw outputs (B, ...): probabilities, or numbers."""
        found = self.decode(raw)
        return found.value if found.probabilities is None else found.probabilities

    def check_soft(self, soft: Tensor, target: Tensor) -> None:
        """Check what a teacher predicts, once, as `check` does with labels.

        Raises:
            InputError: If it has another shape than the task predicts, a number is not finite, or
                the task cannot learn from it.
        """
        if not self.takes_soft:
            raise InputError(
                f"task {self.name!r} of kind {self.kind!r} cannot learn from a teacher; remove its "
                "soft targets"
            )
        expected = self.soft_shape(target)
        if soft.shape[1:] != expected:
            raise InputError(
                f"task {self.name!r}: the soft targets of a row have the shape "
                f"{tuple(soft.shape[1:])}, expected {expected}"
            )
        known = soft.nan_to_num() if self.reads_state == "tokens" else soft  # NaN where no word is
        if not bool(known.isfinite().all()):
            raise InputError(f"task {self.name!r}: found a soft target that is not finite")

    def soft_shape(self, target: Tensor) -> tuple[int, ...]:
        """Return the shape of what a teacher predicts for one row."""
        return tuple(target.shape[1:])

    def soft_loss(
        self, raw: Tensor, soft: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Add up the loss against what a teacher predicts, over the elements that have a label.

        Args:
            raw: As for `loss`.
            soft: Probabilities (B, C), or numbers in the form of the targets.
            target: Labels of the same rows, some perhaps missing.
            weights: As for `loss`.

        Returns:
            Differentiable sum ().
        """
        labelled = self.label_kind.present(target)
        known = labelled if soft.ndim == labelled.ndim else labelled.unsqueeze(-1)
        more = () if weights is None else (weights,)
        return self.loss(raw, soft.where(known, torch.nan), *more)[0]

    # What follows from ``labels``, and may be refined --------------------------------------------

    def count(self, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the count that ``loss`` would give (), without a forward pass."""
        labelled = self.label_kind.present(self.counted(target, weights))
        return self.row_weights.count(labelled, labelled, weights)

    def counted(self, target: Tensor, weights: Tensor | None) -> Tensor:
        """Return labels of which those of rows with weight 0 are missing."""
        return target if weights is None else self.label_kind.without(target, weights > 0)

    def labelled(self, target: Tensor) -> Tensor:
        """Return which rows have at least one label, (B,)."""
        return self.label_kind.labelled(target)

    def judged(self, target: Tensor) -> Tensor:
        """Return which rows metrics compare with predictions, (B,): by default those labelled."""
        return self.labelled(target)

    def groups(self, target: Tensor) -> Tensor | None:
        """Return which rows belong together, as the loss compares them with each other.

        Batches, micro-batches and evaluation never separate such rows.

        Args:
            target: Labels (B, ...).

        Returns:
            Numbers of the groups (B,), negative or NaN where a row stands alone; None if all do.
        """
        return None

    def restore(self, target: Tensor) -> Tensor:
        """Return labels in original units, which is what metrics compare predictions with."""
        return self.label_kind.restore(target)

    def keep(self, raw: Tensor, target: Tensor) -> Kept:
        """Return what metrics need of a batch; raw outputs are not kept.

        Raw outputs of rows are decoded in float64: in float32, sure predictions would tie at 1.
        Those of tokens and maps are decoded as they are.

        Args:
            raw: Raw outputs (B, ...).
            target: Labels of the same rows, some perhaps missing.

        Returns:
            Predictions and labels in original units.
        """
        wide = raw if self.reads_state in ("tokens", "map") else raw.double()
        return Kept(self.decode(wide), self.restore(target), self.judged(target))

    def combine(self, members: Sequence[Prediction]) -> Prediction:
        """Combine what several models predict for the same rows; see `combined`."""
        return combined(members)

    def check(self, target: Tensor) -> None:
        """Check labels once, before training, whose steps trust them.

        Args:
            target: Labels of all rows of a data set, or of one batch of a loader.

        Raises:
            InputError: If one is not valid; a `RowError` that counts rows of ``target`` is
                reported with the name of the batch.
        """

    def check_read(self, others: Mapping[str, Any]) -> None:
        """Check the tasks that it reads, before its head is built.

        Args:
            others: All tasks of the model, by name.

        Raises:
            InputError: If one does not fit.
        """

    def read_shapes(self, shapes: Any) -> None:
        """Adapt to the inputs of a run, such as their number of columns, before the head is built.

        Args:
            shapes: A `motet.data.inputs.shapes.InputShapes`.
        """

    def statistics(self, target: Tensor, weights: Tensor | None = None) -> LabelStatistics:
        """Return what is learned from labels (B, ...); those of batches are merged."""
        return self.label_kind.statistics(target, weights)

    def prepare(self, target: Tensor, weights: Tensor | None = None) -> None:
        """Learn what depends on the training labels, such as balanced weights, from all of them.

        Args:
            target: All training labels, (N, ...).
            weights: How much each row counts, (N,); every row alike if left out.
        """
        found = self.statistics(target) if weights is None else self.statistics(target, weights)
        self.learn_labels(found)

    def learn_labels(self, labels: LabelStatistics) -> None:
        """Learn the mean weight of the rows, and whatever `learn` does."""
        known = labels.weights
        self.row_weights.mean = None if known is None else known.mean(self.counts)
        self.learn(labels)

    def learn(self, labels: LabelStatistics) -> None:
        """Learn what depends on the training labels from their statistics."""

    @property
    def prepared(self) -> bool:
        """Whether everything that depends on the training labels is known."""
        return True

    def trivial(self, labels: LabelStatistics, metric: str) -> Prediction:
        """Predict one row without any input.

        Args:
            labels: Statistics of the training labels.
            metric: The metric that will score it: mae has the median, others the mean.

        Returns:
            The best constant, as a prediction of one row.

        Raises:
            InputError: If its kind of label has none; such a task has to define what is trivial.
        """
        found = self.label_kind.trivial(labels, metric, self.restore)
        if found is None:
            raise InputError(
                f"task {self.name!r} of kind {self.kind!r} has no trivial prediction to compare "
                "with; define trivial(labels, metric) -> Prediction in its class"
            )
        return found

    @property
    def without_weights(self) -> str:
        """Why its rows cannot have weights, and what to do; empty if they can."""
        return ""

    @property
    def uncertainty_kind(self) -> Likelihood:
        """The likelihood that uncertainty weighting should assume."""
        return self.label_kind.uncertainty_kind

    @property
    def default_metrics(self) -> tuple[str | Callable[..., Any], ...]:
        """Metrics to report if none were asked for; the first is the one that scores."""
        return self.label_kind.default_metrics

    # The same for all ----------------------------------------------------------------------------

    @property
    def metrics(self) -> tuple[str | Callable[..., Any], ...]:
        """Metrics to report: names and functions; the first is the one that scores."""
        return self._head_and_metrics[1] or self.default_metrics

    @property
    def head(self) -> Any:
        """The head option: a mapping, a module or a function that makes one."""
        return self._head_and_metrics[0]

    def check_words(self, words: Tensor, target: Tensor) -> None:
        """Check that only words have labels; called after a loss was not finite.

        Args:
            words: Where there is a word, (B, L), for a task that reads tokens.
            target: Labels of the same rows.

        Raises:
            RowError: If there is another label.
        """

    def use_head(self, head: nn.Module) -> None:
        """Take a module as the head, as the option ``head`` does; a model makes its head once."""
        self._head_and_metrics = head, self._head_and_metrics[1]

    def make_head(self, width: int) -> nn.Module:
        """Build the head, from what the task reads to raw outputs.

        A module given as ``head`` is used as it is, not copied; of a task that reads tokens it gets
        their states (B, L, width).

        Args:
            width: Features per row or token.

        Returns:
            Module that gives (B, outputs), or (B,) for one number per row, or (B, L, outputs).

        Raises:
            InputError: If the number of outputs is not known, or the head option does not fit.
        """
        head = self._bare_head(width)
        if self.reads_state == "tokens":
            return TokenHead(head)
        if self.reads_state == "map":
            return MapHead(head)
        return SingleOutput(head) if self.label_kind.flat and self.outputs == 1 else head

    def add_up(
        self,
        function: Callable[[Tensor, Tensor], Any],
        raw: Tensor,
        target: Tensor,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return (sum, count) of a loss ``function(raw, target)`` over the labels that are there.

        The function sees only rows with labels, and may return a loss per label or their mean,
        which cannot be weighted; see `motet.tasks.additive.sum_selected`.
        """
        target = self.counted(target, weights)
        labelled = self.label_kind.present(target)
        total, count = sum_selected(function, raw, target, labelled, weights)
        if weights is not None:
            count = self.row_weights.count(labelled, labelled, weights)
        return total, count

    def add_up_masked(
        self,
        function: Callable[..., Tensor],
        raw: Tensor,
        target: Tensor,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return (sum, count) of a built-in loss, which acts element by element.

        Shapes stay and the host never waits for the device; see `motet.tasks.additive.sum_masked`.
        """
        target = self.counted(target, weights)
        labelled = self.label_kind.present_or_none(target)
        total, count = sum_masked(function, raw, target, labelled, weights)
        if weights is not None:
            elements = target if labelled is None else labelled
            count = self.row_weights.count(elements, labelled, weights)
        return total, count

    def extra_repr(self) -> str:
        return f"{self.name!r}, outputs={self.outputs}"

    # The mean weight is written only where it is known: others have nothing more in their files

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.row_weights.mean is not None:
            destination[f"{prefix}{_MEAN}"] = torch.tensor(self.row_weights.mean).double()

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        mean = state_dict.pop(f"{prefix}{_MEAN}", None)
        self.row_weights.mean = None if mean is None else float(mean)
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _bare_head(self, width: int) -> nn.Module:
        self.require_outputs()
        if not isinstance(self.head, Mapping):
            return custom_head(self.head, width, self.outputs)
        options = {"type": "mlp", **self.head}
        head = create(HEADS, options.pop("type"), width, self.outputs, **options)
        return head if isinstance(head, TaskHead) else custom_head(head, width, self.outputs)

    def require_outputs(self) -> None:
        """Check that the number of outputs is known, which that of classes may not be yet.

        Raises:
            InputError: If it is not.
        """
        if self.outputs < 1:
            raise InputError(
                "the number of classes is not known; give classes, as a number or as names; only a "
                "run learns them from data",
                owner=f"task {self.name!r}",
            )

    def _expect(self, raw: Tensor, shape: tuple[int, ...]) -> None:
        self.require_outputs()
        if raw.shape != shape:
            if raw.ndim and raw.shape[1:] == shape[1:]:
                raise InputError(
                    f"task {self.name!r}: found {counted(len(raw), 'row')} of raw outputs and "
                    f"{counted(shape[0], 'label')}; expected a label for each row, missing ones too"
                )
            raise InputError(
                f"task {self.name!r}: the raw output has the shape {tuple(raw.shape)}, expected "
                f"{shape}; the last layer of its head must give {self.outputs} per row"
            )
