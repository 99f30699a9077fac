"""What a task predicts, and what metrics need of it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from motet.states import join_rows


class Prediction(NamedTuple):
    """What a task predicts for each row of a batch; every field is cut, moved and joined alike."""

    value: Tensor
    """Class index (B,) int64; number(s) in original units (B,) or (B, K) float64; 0/1 (B, C); or
    tags (B, L) int64, -100 where there is no word."""
    probabilities: Tensor | None = None
    """Of each class or label (B, C), where the task has them."""

    def map(self, function: Callable[[Tensor], Tensor]) -> "Prediction":
        """Return the prediction with a function applied to every field that is there."""
        return Prediction(*(None if each is None else function(each) for each in self))  # type: ignore[arg-type]  # a value is there

    @staticmethod
    def joined(
        parts: Sequence["Prediction"], numbers: Sequence[Tensor | None] = ()
    ) -> "Prediction":
        """Join predictions of batches as `motet.states.join_rows` joins tensors."""
        columns = zip(*parts, strict=True)
        return Prediction(*(None if c[0] is None else join_rows(c, numbers) for c in columns))  # type: ignore[arg-type]  # as above


class Kept(NamedTuple):
    """What metrics need of the B rows of a batch."""

    prediction: Prediction
    target: Tensor
    """Labels in original units, (B, ...)."""
    labelled: Tensor
    """Which rows have a label, (B,)."""

    @property
    def size(self) -> int:
        """How many numbers the prediction holds."""
        return sum(each.numel() for each in self.prediction if each is not None)

    @staticmethod
    def joined(parts: Sequence["Kept"], numbers: Sequence[Tensor | None] = ()) -> "Kept":
        """Join what was kept of batches as `motet.states.join_rows` joins tensors."""
        predictions, targets, labelled = zip(*parts, strict=True)
        return Kept(
            Prediction.joined(predictions, numbers),
            join_rows(targets, numbers),
            join_rows(labelled, numbers),
        )
