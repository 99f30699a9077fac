"""States: what encoders give, sharing schemes carry, and the heads of tasks read.

A state has a name. ``rows`` is one vector per row, (B, D); ``tokens`` one per word, (B, L, D), with
padding and one vector per row; ``map`` one per place of an image, (B, D, H, W); ``members`` one per
row and member of an ensemble of K, (B, K, D). Any other name is one of several states that an
encoder returns as ``{name: state}``. An encoder declares what it
gives (``gives``), a sharing scheme what it carries (``carries``), a task what it reads
(``reads_state``); a model checks that they fit.

Encoders return rows and maps as plain tensors; `record_of` makes the record that knows a state's
width, mask and pooling. One that gives members has their number K as ``members``, and returns them
as rows, those of a row next to each other, (B K, D): whatever treats rows alike treats members
alike, so that every sharing scheme carries them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, Union, final

from torch import Tensor, cat
from torch.nn.functional import pad

MISSING = -100
"""The value for "no token" or "no label" in whole numbers; in floating-point ones it is NaN."""

FORMS = {
    "rows": "one state per row",
    "tokens": "one state per word",
    "map": "a map",
    "members": "one state per row and member of an ensemble",
}
"""The names whose form is known, in words."""


class Record(Protocol):
    """What every state knows about itself."""

    @property
    def width(self) -> int:
        """Number of features, D."""

    @property
    def mask(self) -> Tensor | None:
        """True where there is a state, (B, L); None if there is one everywhere."""

    @property
    def pooled(self) -> Tensor:
        """One state per row, (B, D)."""

    def take(self, rows: Tensor | slice) -> Self:
        """Return some of the rows."""

    def read(self, name: str) -> Any:
        """Return what a task that reads the named state gets; None if there is none."""

    def misfit(self, width: int) -> str:
        """Describe what does not fit a head of a width, found and expected; empty if it fits."""


class TokenStates(NamedTuple):
    """States of a batch of B sequences of up to L words.

    Tasks that read rows get ``pooled``, tasks that read tokens get all of it. In each row the words
    come first and the padding after them; L is at least 1.

    An encoder that returns them declares ``gives = "tokens"``: sharing schemes that carry only rows
    then get ``pooled``. One that never does may declare ``gives = "rows"``: tasks that read tokens
    are then rejected when a model is made, not when it is called.
    """

    states: Tensor
    """One state per word, (B, L, D); sub-words are already joined."""
    padding: Tensor
    """True where there is no word, (B, L), bool."""
    pooled: Tensor
    """One state per sequence, (B, D)."""

    @property
    def width(self) -> int:
        return self.states.shape[-1]

    @property
    def mask(self) -> Tensor:
        return ~self.padding

    def take(self, rows: Tensor | slice) -> "TokenStates":
        return TokenStates(self.states[rows], self.padding[rows], self.pooled[rows])

    def read(self, name: str) -> Any:
        if name == "rows":
            return self.pooled
        return self if name == "tokens" else None

    def misfit(self, width: int) -> str:
        if self.states.shape[2:] == (width,) and self.padding.shape == self.states.shape[:2]:
            return ""
        return (
            f"states of shape {tuple(self.states.shape)} and padding of shape "
            f"{tuple(self.padding.shape)}, expected (B, L, {width}) and (B, L)"
        )


@final
@dataclass(frozen=True)
class RowStates:
    """One state per row."""

    states: Tensor
    """(B, D)."""

    @property
    def width(self) -> int:
        return self.states.shape[-1]

    @property
    def mask(self) -> None:
        return None

    @property
    def pooled(self) -> Tensor:
        return self.states

    def take(self, rows: Tensor | slice) -> "RowStates":
        return RowStates(self.states[rows])

    def read(self, name: str) -> Any:
        return self.states if name == "rows" else None

    def misfit(self, width: int) -> str:
        if self.states.dim() > 1 and self.width == width:
            return ""
        return f"features of shape {tuple(self.states.shape)}, expected (B, {width})"


@final
@dataclass(frozen=True)
class MapStates:
    """One state per place of an image."""

    states: Tensor
    """(B, D, H, W)."""

    @property
    def width(self) -> int:
        return self.states.shape[1]

    @property
    def mask(self) -> None:
        return None

    @property
    def pooled(self) -> Tensor:
        """The mean over all places, (B, D)."""
        return self.states.mean(dim=(2, 3))

    def take(self, rows: Tensor | slice) -> "MapStates":
        return MapStates(self.states[rows])

    def read(self, name: str) -> Any:
        if name == "rows":
            return self.pooled
        return self.states if name == "map" else None

    def misfit(self, width: int) -> str:
        if self.width == width:
            return ""
        return f"a map of shape {tuple(self.states.shape)}, expected (B, {width}, H, W)"


@final
@dataclass(frozen=True)
class MemberStates:
    """One state per row and member of an ensemble.

    Tasks that read rows get one state for each member, and have a head for each.
    """

    states: Tensor
    """(B, K, D)."""

    @property
    def width(self) -> int:
        return self.states.shape[-1]

    @property
    def mask(self) -> None:
        return None

    @property
    def pooled(self) -> Tensor:
        """The mean over members, (B, D)."""
        return self.states.mean(dim=1)

    def take(self, rows: Tensor | slice) -> "MemberStates":
        return MemberStates(self.states[rows])

    def read(self, name: str) -> Any:
        return self.states if name in ("rows", "members") else None

    def misfit(self, width: int) -> str:
        if self.states.dim() == 3 and self.width == width:
            return ""
        return f"members of shape {tuple(self.states.shape)}, expected (B, K, {width})"


State = Union[Tensor, TokenStates, Mapping[str, "State"]]  # noqa: UP007  # at run time
"""What an encoder returns: rows or a map, tokens, or several states by name."""
Gives = str | Mapping[str, int] | None
"""What an encoder declares: a name, or the width of each of several; None if nothing."""


def record_of(state: object, *, maps: bool = True, members: bool = False) -> Record | None:
    """Return the record of a state.

    Args:
        state: What an encoder returned.
        maps: Whether a tensor with four dimensions is a map; otherwise all tensors are rows.
        members: Whether one with three dimensions, (B, K, D), is of members.

    Returns:
        The record; None if it is not a single state.

    Example:
        >>> from torch import zeros
        >>> record_of(zeros(2, 8, 5, 5)).pooled.shape
        torch.Size([2, 8])
    """
    if isinstance(state, Tensor):
        if members and state.dim() == 3:
            return MemberStates(state)
        return MapStates(state) if maps and state.dim() == 4 else RowStates(state)
    return state if isinstance(state, TokenStates) else None


def provided(gives: Gives) -> tuple[str, ...] | None:
    """Return the names of states that tasks can read; None if an encoder declares nothing.

    >>> provided("tokens")
    ('rows', 'tokens')
    """
    if gives is None:
        return None
    if isinstance(gives, str):
        return ("rows",) if gives == "rows" else ("rows", gives)
    return tuple(gives)


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
        numbers: The numbers (B,) of each batch's rows, if the rows are in another order.

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
