"""What a task predicts, and what metrics need of it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from motet.problems import InputError
from motet.states import join_rows


class Prediction(NamedTuple):
    """What a task predicts for each row of a batch; every field is cut, moved and joined alike."""

    value: Tensor
    """Class index (B,) int64; number(s) in original units (B,) or (B, K) float64; 0/1 (B, C);
    tags (B, L) int64, -100 where there is no word; or tokens (B, L) int64, -100 after the last."""
    probabilities: Tensor | None = None
    """Of each class or label (B, C), where the task has them."""
    spread: Tensor | None = None
    """Standard deviation over the members of an ensemble, in the shape of the probabilities, or of
    the numbers where there are none; see `motet.tasks.combining.spread_of`."""

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


def check_prediction(task: str, method: str, found: object, rows: int) -> None:
    """Check what a method of a user's own class returned.

    Args:
        task: Name of the task.
        method: The method, for messages.
        found: What it returned.
        rows: Number of rows that it was called for.

    Raises:
        InputError: If it is no prediction of so many rows.
    """
    fields = found if isinstance(found, Prediction) else (found,)
    shapes = [None if each is None else getattr(each, "shape", ()) for each in fields]
    tensors = all(each is None or isinstance(each, Tensor) for each in fields)
    whole = shapes[0] is not None and all(each is None or each[:1] == (rows,) for each in shapes)
    if isinstance(found, Prediction) and tensors and whole:
        return
    kinds = ", ".join(
        type(each).__name__ + (f" {tuple(shape)}" if shape else "")
        for each, shape in zip(fields, shapes, strict=True)
    )
    raise InputError(
        f"task {task!r}: {method} returned {kinds}; expected motet.tasks.Prediction(value, "
        f"probabilities), tensors of {rows:,} rows"
    )


class Kept(NamedTuple):
    """What metrics need of the B rows of a batch."""

    prediction: Prediction
    target: Tensor
    """Labels in original units, (B, ...)."""
    labelled: Tensor
    """Which rows have a label, (B,)."""
    weights: Tensor | None = None
    """How much each row counts in metrics, (B,); every row alike if there are none."""

    @property
    def size(self) -> int:
        """How many numbers the prediction holds."""
        return sum(each.numel() for each in self.prediction if each is not None)

    @staticmethod
    def joined(parts: Sequence["Kept"], numbers: Sequence[Tensor | None] = ()) -> "Kept":
        """Join what was kept of batches as `motet.states.join_rows` joins tensors."""
        predictions, targets, labelled, weights = zip(*parts, strict=True)
        return Kept(
            Prediction.joined(predictions, numbers),
            join_rows(targets, numbers),
            join_rows(labelled, numbers),
            None if weights[0] is None else join_rows(weights, numbers),
        )
