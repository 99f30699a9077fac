"""Limits the shapes of products where torch compiles and keeps a kernel for every shape.

It does so in half precision on a CPU: some megabytes for each shape, for the thousand newest.
Batches of texts have a new length nearly every time, so memory would grow by gigabytes. Therefore
lengths are filled up to multiples of 16, and recurrent layers, whose shapes follow the lengths of
all rows, compute in float32 where autocast would narrow them.
"""

import warnings
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
    with wide_recurrent(layer, packed.data) as (given,):
        found: PackedSequence = layer(packed._replace(data=given))[0]
    return found


def run_layer(network: nn.LSTM, packed: PackedSequence, weights: list[Tensor]) -> PackedSequence:
    """Return the states that one layer of a recurrent network computes; see `weights_by_layer`."""
    with wide_recurrent(network, packed.data) as (given,), _without_advice(given):
        first = given.new_zeros(
            1 + network.bidirectional, int(packed.batch_sizes[0]), network.hidden_size
        )
        found = torch.lstm(
            given,
            packed.batch_sizes,
            (first, first),
            weights,
            True,
            1,
            0.0,
            True,
            network.bidirectional,
        )
    return packed._replace(data=found[0])


def run_gru(states: Tensor, before: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the states (B, L, D) of one layer, and the last of them (1, B, D)."""
    with _without_advice(states):
        found: tuple[Tensor, Tensor] = torch.gru(
            states, before, weights, True, 1, 0.0, True, False, True
        )
    return found


@contextmanager
def _without_advice(given: Tensor) -> Iterator[None]:
    """Leave out the advice to keep the weights of a whole network together on a GPU."""
    if not given.is_cuda:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RNN module weights are not part of single")
        yield


def weights_by_layer(network: nn.RNNBase) -> list[list[Tensor]]:
    """Return the weights of each layer of a recurrent network, as torch's functions take them.

    The network draws its dropout inside, for all rows at once and in no order of rows; layers that
    run one after the other leave it to the caller, who draws row by row.
    """
    each = 2 if network.bidirectional else 1
    found = network.all_weights
    return [
        [one for weights in found[place : place + each] for one in weights]
        for place in range(0, len(found), each)
    ]


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
