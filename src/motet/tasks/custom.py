"""A task with your own loss, head, metrics or predictions, without a class of its own."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, final

from torch import Tensor

from motet.options import (
    Callable,
    Named,
    OnlyWith,
    PositiveInt,
    TaskOptions,
    Unpack,
    checked,
)
from motet.problems import InputError, shown
from motet.states import MISSING
from motet.tasks.base import Prediction, Task
from motet.tasks.classification import Classification
from motet.tasks.kinds import LabelKind, label_kind
from motet.tasks.labels import as_vector, at_least_float32, is_soft
from motet.tasks.losses.finding import CLASS_LOSSES, NUMBER_LOSSES, find_loss
from motet.tasks.multi_label import MultiLabel
from motet.tasks.regression import Regression
from motet.tasks.statistics import LabelStatistics


@final
class Custom(Task):
    """Predict whatever you bring a loss for.

    Labels are those of a kind: numbers, in original units; one class; several labels at once; or
    your own kind. All that is not given follows from it, as in the built-in task with such labels:
    the number of raw outputs, predictions, metrics, and what ignores the inputs.

    Args:
        name: The task's name.
        loss: Loss to train on, by name, or from Python a function or module ``(raw, target)`` that
            returns a loss per label or row, or their mean. It sees rows with labels only; the
            parameters of a module are trained with the model. If it has a method ``decode(raw)``,
            that makes the predictions. A built-in loss has to fit ``labels``: poisson, for example,
            needs ``decode``, as its raw outputs are logarithms.
        labels: Kind of label: number, class, indicators, or from Python a
            `motet.tasks.kinds.LabelKind`.
        outputs: Numbers per row of the labels; a run from a config learns it from them if left out.
        classes: Number of classes or labels, or their names; a run from a config learns them from
            the labels if left out.
        columns: Columns of the labels, one each, or a pattern; see `MultiLabel`.
        raw_outputs: Numbers per row that the head gives; as many as the labels need if left out.
            With another number, something has to decode them.
        decode: Function from raw outputs to a prediction: a tensor in the form of the labels, or a
            `motet.tasks.Prediction`.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> import torch
        >>> relative = Custom("price", loss=lambda raw, y: (raw - y).abs() / y)
        >>> relative.loss(torch.tensor([11.0, 5.0]), torch.tensor([10.0, torch.nan]))
        (tensor(0.1000), tensor(1.))
    """

    kind: ClassVar[str] = "custom"
    labels: ClassVar[LabelKind | str] = "number"

    @checked
    def __init__(
        self,
        name: str,
        *,
        loss: Annotated[
            str,
            Named(
                "loss",
                (
                    "cross_entropy",
                    "focal",
                    "binary_cross_entropy",
                    "mse",
                    "mae",
                    "huber",
                    "log_cosh",
                    "poisson",
                ),
            ),
        ]
        | Callable[..., Any],
        labels: Literal["number", "class", "indicators"] | LabelKind = "number",
        outputs: Annotated[PositiveInt | None, OnlyWith("labels", ("number",))] = None,
        classes: Annotated[
            PositiveInt | Sequence[str] | None, OnlyWith("labels", ("class", "indicators"))
        ] = None,
        columns: Annotated[str | Sequence[str] | None, OnlyWith("labels", ("indicators",))] = None,
        raw_outputs: PositiveInt | None = None,
        decode: Callable[..., Any] | None = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.label_kind = label_kind(labels)
        if isinstance(loss, str) and isinstance(labels, str):
            _require_fitting(name, loss, labels, decoded=decode is not None)
        self.loss_name = loss if isinstance(loss, str) else "custom"
        self.loss_function = find_loss(loss)
        own = {"outputs": outputs, "classes": classes, "columns": columns}
        like = _like(name, labels, {key: each for key, each in own.items() if each})
        self._like = (like,)  # not as a submodule: it has no head, and is not a task of the model
        self.outputs = raw_outputs or (self.like.outputs if self.like else 1)
        self.class_names = self.like.class_names if self.like else None
        self._decode = decode or getattr(self.loss_function, "decode", None)
        self._require_decoding(raw_outputs)

    @property
    def like(self) -> Task | None:
        """The built-in task with such labels, of which everything comes that is not given."""
        return self._like[0]

    @classmethod
    def label_kind_of(cls, options: Mapping[str, Any]) -> LabelKind:
        return label_kind(options.get("labels", cls.labels))

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        raw, target = self.label_kind.squeezed(at_least_float32(raw), target)
        if raw.ndim <= 2:
            single = self.label_kind.flat and self.outputs == 1
            self._expect(raw, (len(target),) if single else (len(target), self.outputs))
        return self.add_up(self.loss_function, raw, self._read(raw, target), weights)

    def decode(self, raw: Tensor) -> Prediction:
        if self._decode is None:
            assert self.like is not None  # else it was required
            return self.like.decode(raw)
        found = self._decode(raw)
        if not isinstance(found, Prediction | Tensor):
            raise InputError(
                f"task {self.name!r}: decode returned {shown(found)}, expected a tensor, one row "
                "per row, or a motet.tasks.Prediction"
            )
        return found if isinstance(found, Prediction) else Prediction(found)

    def combine(self, members: Sequence[Prediction]) -> Prediction:
        """Combine as the built-in task with such labels does, if that makes the predictions."""
        if self._decode is None and self.like is not None:
            return self.like.combine(members)
        return super().combine(members)

    def restore(self, target: Tensor) -> Tensor:
        return (self.like or self.label_kind).restore(target)

    def check(self, target: Tensor) -> None:
        """Check labels as the built-in task with such labels does.

        Raises:
            InputError: If they are not valid.
        """
        if self.like is not None:
            self.like.check(target)

    def trivial(self, labels: LabelStatistics, metric: str) -> Prediction:
        return self.like.trivial(labels, metric) if self.like else super().trivial(labels, metric)

    @property
    def default_metrics(self) -> tuple[str | Callable[..., Any], ...]:
        """Those of the built-in task with such labels."""
        return (self.like or self.label_kind).default_metrics

    def _read(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return labels in the type that losses expect: floating-point numbers, or indices."""
        if self.label_kind.name == "class" and not is_soft(target):
            labelled = self.label_kind.present(target)
            return as_vector(target).where(labelled, MISSING).long()
        return target.to(raw.dtype) if self.like is not None else target

    def _require_decoding(self, raw_outputs: int | None) -> None:
        usual = None if self.like is None else self.like.outputs
        if self._decode is None and (usual is None or raw_outputs not in (None, usual)):
            need = f"{usual} raw outputs" if usual else "its kind of label"
            raise InputError(
                "nothing makes predictions of the raw outputs; give decode, a function (raw), or "
                f"a loss with a method decode(raw); without one, expected {need}",
                option="decode" if usual is None else "raw_outputs",
                owner=f"task {self.name!r}",
            )


_BUILT_IN = {"number": Regression, "class": Classification, "indicators": MultiLabel}


_BY_ELEMENT = (*NUMBER_LOSSES, "binary_cross_entropy", "poisson")
_FITTING = {
    "number": NUMBER_LOSSES,
    "class": CLASS_LOSSES,
    "indicators": ("binary_cross_entropy",),
}
"""Built-in losses of raw outputs that the built-in task with such labels decodes."""


def _require_fitting(task: str, loss: str, labels: str, *, decoded: bool) -> None:
    """Refuse a built-in loss of raw outputs that nothing decodes to such labels."""
    fitting = _BY_ELEMENT if decoded and labels != "class" else _FITTING[labels]
    if loss in (*_BY_ELEMENT, *CLASS_LOSSES) and loss not in fitting:
        raise InputError(
            f"found {loss}, whose raw outputs are not decoded to labels: {labels}; expected "
            f"{', '.join(fitting)}, or a loss of your own",
            option="loss",
            owner=f"task {task!r}",
        )


def _like(name: str, labels: Any, options: dict[str, Any]) -> Task | None:
    """Return the built-in task with such labels; None for a user's kind."""
    if not isinstance(labels, str):
        return None
    made: Task = _BUILT_IN[labels](name, **options)
    return made
