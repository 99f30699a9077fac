"""What an encoder of token sequences hands on, and how rows of different length are joined."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, cat
from torch.nn.functional import pad

MISSING = -100
"""What stands for "no token" or "no label" in whole numbers; in floating-point ones it is NaN."""


class TokenStates(NamedTuple):
    """A batch of B sequences of up to L words, as an encoder sees them.

    Tasks that read rows get ``pooled``, tasks that read tokens get all of it. In each row the words
    come first and the padding after them; L is at least 1.

    An encoder that returns them says so by ``gives_tokens = True``: schemes of sharing that have
    one state per row are then given ``pooled``. One that never does may say ``gives_tokens =
    False``: tasks that read tokens are then refused when a model is made, not when it is called.
    """

    states: Tensor
    """One state per word, (B, L, D); sub-words are already joined."""
    padding: Tensor
    """True where there is no word, (B, L), bool."""
    pooled: Tensor
    """One state per sequence, (B, D)."""


def lengthened(values: Tensor, length: int) -> Tensor:
    """Return (N, L, ...) as (N, length, ...), filled up with NaN or -100; never cut."""
    missing = length - values.shape[1]
    if missing <= 0:
        return values
    filler = float("nan") if values.is_floating_point() else MISSING
    return pad(values, [0, 0] * (values.ndim - 2) + [0, missing], value=filler)


def join_rows(parts: Sequence[Tensor], numbers: Sequence[Tensor | None] = ()) -> Tensor:
    """Put batches of rows one below the other; sequences are filled up to the longest.

    Args:
        parts: Tensors (B, ...), or (B, L, ...) whose lengths L differ.
        numbers: The numbers (B,) of each batch's rows, if they come in an order of their own.

    Returns:
        All rows, with NaN or -100 after those of shorter batches; sorted by their numbers.

    Example:
        >>> from torch import tensor
        >>> join_rows([tensor([[1, 2]]), tensor([[3]])])
        tensor([[   1,    2],
                [   3, -100]])
        >>> join_rows([tensor([30, 10]), tensor([20])], [tensor([2, 0]), tensor([1])])
        tensor([10, 20, 30])
    """
    if len({part.shape[1:] for part in parts}) > 1:
        longest = max(part.shape[1] for part in parts)
        parts = [lengthened(part, longest) for part in parts]
    joined = cat(list(parts))
    known = [each for each in numbers if each is not None]
    return joined[cat(known).argsort().to(joined.device)] if known else joined
