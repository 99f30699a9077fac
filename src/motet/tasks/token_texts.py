"""Texts as rows of tokens: how they end, and what a decoder is given and has to predict.

Labels are (B, L). Token 0, `END`, ends a text; so does -100, and the last column. A row without
any token, only -100, has no label; the empty text is ``[0, -100, ...]``. Token 1, `UNKNOWN`, stands
for what is in no vocabulary: it may be in labels, but is never generated.
"""

import torch
from torch import Tensor

from motet.states import MISSING

END = 0
UNKNOWN = 1


def bare(target: Tensor) -> Tensor:
    """Return texts without their end: tokens (B, L) int64, -100 from the end on.

    Example:
        >>> bare(torch.tensor([[7, 5, 0], [0, -100, -100]]))
        tensor([[   7,    5, -100],
                [-100, -100, -100]])
    """
    tokens = _whole(target)
    going = (tokens > END).cummin(dim=1).values if tokens.shape[1] else tokens > END
    return tokens.where(going, MISSING)


def expected(target: Tensor, max_length: int) -> Tensor:
    """Return what a decoder has to predict: each text and its end; -100 elsewhere.

    A text of more than ``max_length`` tokens has its first ``max_length + 1`` and no end, so it is
    never learned to be complete there.

    Args:
        target: Labels (B, L).
        max_length: Tokens of the longest text that can be generated.

    Returns:
        Tokens (B, M) int64, M at most ``max_length + 1``.

    Example:
        >>> expected(torch.tensor([[7, 5, 6], [7, -100, -100], [-100, -100, -100]]), 2)
        tensor([[   7,    5,    6],
                [   7,    0, -100],
                [-100, -100, -100]])
    """
    tokens = bare(target)
    known = (_whole(target) != MISSING).any(dim=1)
    found = torch.nn.functional.pad(tokens, (0, 1), value=MISSING)
    length = (tokens != MISSING).sum(dim=1, keepdim=True)
    end = torch.where(known, END, MISSING)[:, None]
    return found.scatter(1, length, end)[:, : max_length + 1]


def given(expected: Tensor) -> Tensor:
    """Return what a decoder is given to predict tokens (B, M): those before, from `END` on.

    Example:
        >>> given(torch.tensor([[7, 5, 0], [7, 0, -100]]))
        tensor([[0, 7, 5],
                [0, 7, 0]])
    """
    before = torch.nn.functional.pad(expected[:, :-1], (1, 0), value=END)
    return before.where(before != MISSING, END)


def _whole(target: Tensor) -> Tensor:
    if target.is_floating_point():  # NaN where missing
        target = target.nan_to_num(nan=MISSING)
    return target.long()
