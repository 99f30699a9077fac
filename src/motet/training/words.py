"""Finds a label where there is no word, after a loss that was not finite."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from motet.data.batches import Batch, RowsOnce
from motet.data.loaders import LoaderData
from motet.data.several import Sources
from motet.model import MultiTaskModel
from motet.problems import RowError
from motet.states import TokenStates

Placed = Iterable[tuple[Tensor | str, Batch]]
"""Batches, each with the numbers of its rows, or with what messages call it."""


def check_words(model: MultiTaskModel, batches: Placed, tasks: Iterable[str]) -> None:
    """Check that only words have labels.

    Args:
        model: The model, in evaluation mode.
        batches: Where to look.
        tasks: The tasks whose loss was not finite.

    Raises:
        RowError: If there is another label.
    """
    names = [name for name in tasks if model.tasks[name].reads_state == "tokens"]
    for where, batch in batches if names else ():
        targets = {
            name: target for name in names if (target := batch.targets.get(name)) is not None
        }
        states = model.states(batch.inputs, targets) if targets else {}
        for name, state in states.items():
            words = _words(state)
            try:
                if words is not None:
                    model.tasks[name].check_words(words, targets[name])
            except RowError as error:
                at = error.within(where) if isinstance(where, str) else error.of(where)
                if batch.source is not None:
                    at = at.within(f"source {batch.source!r}")
                raise at from None


def placed(data: RowsOnce, size: int) -> Iterator[tuple[Tensor | str, Batch]]:
    """Yield every batch, with the numbers of its rows; the batches of a loader by their own."""
    if isinstance(data, Sources):
        for name, each in data.parts.items():
            own = placed(each, data.size_of(name, size))
            yield from ((where, data.completed(name, batch)) for where, batch in own)
        return
    start = 0
    for number, (rows, batch) in enumerate(data.once(size)):
        if isinstance(data, LoaderData):
            yield f"batch {number}", batch
        else:
            yield torch.arange(start, start + size) if rows is None else rows, batch
        start += size


def _words(state: Tensor | TokenStates) -> Tensor | None:
    """Return where there is a word, (B, L); None where all scores of a wrapped module are NaN."""
    if isinstance(state, TokenStates):
        return state.mask
    words = ~state.isnan().any(dim=-1)
    return words if bool(words.any()) else None
