"""Metric learning by triplets: rows of the same class near each other, others farther away."""

from typing import ClassVar, Literal, final

from torch import Tensor

from motet.options import NonNegativeFloat, PositiveInt, TaskOptions, Unpack, checked
from motet.problems import InputError
from motet.tasks.additive import size_of
from motet.tasks.base import Prediction, Task
from motet.tasks.kinds import LabelKind
from motet.tasks.labels import as_vector, at_least_float32
from motet.tasks.losses.embeddings import anchors, batch_hard, unit
from motet.tasks.row_weights import COMPARED, refuse_weights
from motet.tasks.statistics import LabelStatistics


@final
class Triplet(Task):
    """Learn an embedding in which rows of the same class are near each other.

    Targets are classes (B,), -100 where missing; classes that training has not seen are fine. Each
    labelled row of a batch is compared with the farthest of its class and the nearest of another
    class in the same batch, and the loss is the mean over all rows that have both. A row without a
    label is neither. Batches need several rows of a class: give a large ``batch_size``.

    Args:
        name: The task's name.
        width: Numbers of the embedding.
        margin: By how much the other class has to be farther away.
        distance: euclidean, squared (Euclidean), or cosine (1 - cosine), for which predictions have
            length 1.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> import torch
        >>> likeness = Triplet("person", width=1)
        >>> raw, person = torch.tensor([[0.0], [1.0], [1.5], [4.0], [9.0]]), [7, 7, 8, 8, -100]
        >>> likeness.loss(raw, torch.tensor(person))
        (tensor(3.1000), tensor(4.))
    """

    kind: ClassVar[str] = "triplet"
    labels: ClassVar[LabelKind | str] = "identity"
    additive: ClassVar[bool] = False
    loss_name = "triplet"

    @checked
    def __init__(
        self,
        name: str,
        *,
        width: PositiveInt = 64,
        margin: NonNegativeFloat = 0.3,
        distance: Literal["euclidean", "squared", "cosine"] = "euclidean",
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.outputs = width
        self.margin, self.distance = margin, distance

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        refuse_weights(self, weights)
        raw, target = at_least_float32(raw), as_vector(target)
        self._expect(raw, (len(target), self.outputs))
        known = self.label_kind.present(target)
        losses = batch_hard(raw[known], target[known], margin=self.margin, distance=self.distance)
        return losses.sum(), size_of(losses)

    def count(self, target: Tensor, weights: Tensor | None = None) -> Tensor:
        refuse_weights(self, weights)
        target = as_vector(target)
        return size_of(anchors(target[self.label_kind.present(target)]))

    def statistics(self, target: Tensor, weights: Tensor | None = None) -> LabelStatistics:
        refuse_weights(self, weights)
        return super().statistics(target, weights)

    @property
    def without_weights(self) -> str:
        """Why anchors cannot have weights of rows."""
        return COMPARED

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(unit(raw.double()) if self.distance == "cosine" else raw.double())

    def check(self, target: Tensor) -> None:
        """Check that there is one class per row.

        Raises:
            InputError: If labels have another shape.
        """
        found = as_vector(target)
        if found.ndim != 1:
            raise InputError(
                f"task {self.name!r}: the labels have the shape {tuple(target.shape)}, expected "
                f"({len(target)},): one class per row"
            )

    def learn(self, labels: LabelStatistics) -> None:
        """Check that some class has two rows, and that there is another class.

        Raises:
            InputError: If not.
        """
        super().learn(labels)
        if labels.labelled and not len(anchors(labels.sample.rows)):
            raise InputError(
                f"task {self.name!r}: found no two rows of the same class beside one of another "
                "class in the training data, so there is no triplet; expected several rows of "
                "some classes"
            )
