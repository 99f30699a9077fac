"""Limits the shapes of products where torch compiles and keeps a kernel for every shape.

It does so in half precision on a CPU: some megabytes for each shape, for the thousand newest.
Batches of texts have a new length nearly every time, so memory would grow by gigabytes. Therefore
lengths are filled up to multiples of 16, and recurrent layers, whose shapes follow the lengths of
all rows, compute in float32 where autocast would narrow them.
"""

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
    device = packed.data.device.type
    found: PackedSequence
    if device != "cpu" or not torch.is_autocast_enabled(device):
        found, _ = layer(packed)
        return found
    with torch.autocast(device, enabled=False):
        found, _ = layer(packed.to(next(layer.parameters()).dtype))
    return found
