"""Word labels, checked against the words that an encoder gave."""

from torch import Tensor

from motet.problems import InputError, RowError
from motet.states import lengthened
from motet.tasks.base import Task


def fitting_words(task: Task, raw: Tensor, target: Tensor) -> Tensor:
    """Return the labels of the words that raw outputs are for.

    Args:
        task: The task.
        raw: Raw outputs (B, L, outputs).
        target: Labels (B, L'); L' may be more, if no further word has a label, or fewer.

    Returns:
        Labels (B, L).

    Raises:
        InputError: If raw outputs have another shape, or there are labels for more words.
    """
    task.require_outputs()
    if raw.ndim != 3 or (len(raw), raw.shape[2]) != (len(target), task.outputs):
        raise InputError(
            f"task {task.name!r}: the raw output has the shape {tuple(raw.shape)}, expected "
            f"({len(target)}, L, {task.outputs}); the last layer of its head must give "
            f"{task.outputs} per word"
        )
    words, labels = raw.shape[1], target.shape[1]
    if words < labels and bool(task.label_kind.present(target[:, words:]).any()):
        raise InputError(
            f"task {task.name!r}: the encoder gave {words} words per row, but there are "
            f"labels for more, up to {labels}; give as many labels as words"
        )
    return lengthened(target[:, :words], words)


def check_labelled_words(task: Task, words: Tensor, target: Tensor, missing: str) -> None:
    """Check that only words have labels.

    Args:
        task: The task.
        words: Where there is a word, (B, L).
        target: Labels of the same rows.
        missing: What a missing label is, for the message.

    Raises:
        RowError: If there is another label.
    """
    length = words.shape[1]
    labelled = task.label_kind.present(lengthened(target[:, :length], length))
    wrong = (labelled & ~words).nonzero()
    if len(wrong):
        row, place = wrong[0].tolist()
        raise RowError(
            f"task {task.name!r}: found a label where there is no word, in",
            row,
            f" at place {place}; expected {missing} there, or an encoder that does not read the "
            "word as padding",
        )
