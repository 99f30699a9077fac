"""Limits the shapes of products where torch compiles and keeps a kernel for every shape.

It does so in half precision on a CPU: some megabytes for each shape, for the thousand newest.
Batches of texts have a new length nearly every time, so memory would grow by gigabytes. Therefore
lengths are filled up to multiples of 16, and recurrent layers, whose shapes follow the lengths of
all rows, compute in float32 where autocast would narrow them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

MULTIPLE = 16


def steady_length(length: int, numbers: Tensor, longest: int | None = None) -> int:
    """Return the length to which padding fills up sequences.

    Args:
        length: Of the longest sequence in a batch.
        numbers: Weights or states of the products; their device and dtype decide.
        longest: The largest length that is possible, if there is one.

    Returns:
        A length >= ``length``; the same where no kernels are kept.
    """
    narrow = numbers.dtype in (torch.float16, torch.bfloat16) or torch.is_autocast_enabled("cpu")
    if numbers.device.type != "cpu" or not narrow:
        return length
    filled = -(-length // MULTIPLE) * MULTIPLE
    return filled if longest is None else max(length, min(filled, longest))


def run_recurrent(layer: nn.LSTM, packed: PackedSequence) -> PackedSequence:
    """Return the states that a recurrent layer computes."""
    found: PackedSequence
    if not _narrowed(packed.data):
        found, _ = layer(packed)
        return found
    with wide_recurrent(layer, packed.data):
        found, _ = layer(packed.to(next(layer.parameters()).dtype))
    return found


@contextmanager
def wide_recurrent(layer: nn.RNNBase, *given: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Keep autocast from narrowing a recurrent layer, where kernels are kept.

    Args:
        layer: The layer.
        *given: What it is called with.

    Yields:
        The same, in the type of the layer's weights there.
    """
    if not _narrowed(given[0]):
        yield given
        return
    with torch.autocast("cpu", enabled=False):
        yield tuple(each.to(next(layer.parameters()).dtype) for each in given)


def _narrowed(given: Tensor) -> bool:
    return given.device.type == "cpu" and torch.is_autocast_enabled("cpu")
