"""Random numbers of a forward pass whose rows are divided among processes, as one would draw them.

Every process draws for the rows of all, and keeps those of its own: so a row has the same dropout
wherever it is computed, and the generators of all processes stay alike. What draws is recognised by
its mark in torch, below the modules, so functions such as attention take part. The rows are the
first axis, alone or with others of theirs, as in (B x heads, L, L).

A checkpointed module runs once more in the backward pass, where it must draw the same again: what
it drew is known by the state that the generator had.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from motet.problems import InputError
from motet.training.plan import Share

_IN_PLACE = {
    "bernoulli_.float",
    "cauchy_",
    "exponential_",
    "geometric_",
    "log_normal_",
    "normal_",
    "random_",
    "uniform_",
}
"""Operations that fill a tensor, whatever is in it."""
_NEW = {"rand", "randint", "randn"}
"""Operations that make a tensor of some size."""
_LIKE = {"rand_like", "randint_like", "randn_like"}


Recorded = dict[bytes, tuple[int, Share]]
"""Rows and share of each draw, by the state of the generator before it."""


class RowDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Within it, every draw is that of the rows of all processes, cut to those of one.

    Args:
        rows: Number of rows of this process.
        share: Which rows they are.
        recorded: Receives what checkpointed modules draw.

    Raises:
        InputError: At a draw that is not made row by row.
    """

    def __init__(self, rows: int, share: Share, recorded: "Recorded") -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.begin(rows, share)
        self._recorded = recorded

    def begin(self, rows: int, share: Share) -> None:
        """Continue with draws for other rows."""
        self.rows, self.share = rows, share

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        form = _form(func)
        if form == "" or _is_off(func, args, kwargs):
            return func(*args, **kwargs)
        return self._replaced(form, func, args, kwargs)

    def _replaced(self, form: str, func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Draw what this process's rows have of all, in place of an operation that draws."""
        state = _state(args) if _is_recorded() else b""
        self._recorded.pop(state, None)  # of another forward pass that began alike
        found = self._drawn(form, func, args, kwargs)
        if state:
            self._recorded[state] = self.rows, self.share
        return found

    def _drawn(self, form: str, func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        if form == "in place":
            filled: Tensor = args[0]
            if filled.dim() == 0:
                return func(*args, **kwargs)
            return filled.copy_(self._own(func(self._of_all(filled), *args[1:], **kwargs), filled))
        if form == "like":
            like: Tensor = args[0]
            if like.dim() == 0:
                return func(*args, **kwargs)
            return self._own(func(self._of_all(like), *args[1:], **kwargs), like)
        if form == "new":
            place = _place_of_size(func)
            size = args[place]
            if not len(size):
                return func(*args, **kwargs)
            whole = [self._count(size) * self.share.rows, *size[1:]]
            found = func(*args[:place], whole, *args[place + 1 :], **kwargs)
            return self._cut(found, self._count(size))
        if form == "dropout":
            given: Tensor = args[0]
            ones = torch.ones_like(self._of_all(given))
            kept, mask = func(ones, *args[1:], **kwargs)
            return given * self._own(kept, given), self._own(mask, given)
        raise InputError(
            f"found the operation {func}, whose draws are not made row by row, or inside a kernel, "
            "so they cannot be those that one process would draw; leave it out (a dropout of 0), "
            "or train in one process"
        )

    def _count(self, size: Any) -> int:
        """Return how many places of the first axis each row has."""
        if not self.rows:
            return 1
        count, rest = divmod(int(size[0]), self.rows)
        if rest:
            raise InputError(
                f"found random numbers of the shape {tuple(size)} in a forward pass of {self.rows} "
                "rows; expected rows along the first axis, as each process draws for its own; "
                "draw them by row (batch_first=True), or train in one process"
            )
        return count

    def _of_all(self, own: Tensor) -> Tensor:
        """Return an empty tensor for the rows of all processes, in the same order of memory."""
        size = [self._count(own.shape) * self.share.rows, *own.shape[1:]]
        # of two axes with one stride, that of size 1 is the inner one
        order = sorted(range(own.dim()), key=lambda axis: (own.stride(axis), own.shape[axis]))[::-1]
        empty = own.new_empty([size[axis] for axis in order])
        return empty.permute([order.index(axis) for axis in range(own.dim())])

    def _own(self, drawn: Tensor, own: Tensor) -> Tensor:
        return self._cut(drawn, self._count(own.shape))

    def _cut(self, drawn: Tensor, count: int) -> Tensor:
        places = self.share.places
        if isinstance(places, slice):
            return drawn[places.start * count : places.stop * count]
        by_row = drawn.view(self.share.rows, count, *drawn.shape[1:])
        return by_row[places].flatten(0, 1)


class Redraws(RowDraws):  # type: ignore[no-untyped-call]  # torch's
    """Within it, modules that run again in a backward pass draw what they drew.

    Args:
        recorded: What they drew.
    """

    def __init__(self, recorded: Recorded) -> None:
        super().__init__(0, Share(slice(0), 0), recorded)

    def _replaced(self, form: str, func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Draw again what was recorded."""
        known = self._recorded.get(_state(args))
        if known is None:  # another draw
            return func(*args, **kwargs)
        self.begin(*known)
        return self._drawn(form, func, args, kwargs)


def _is_recorded() -> bool:
    """Return whether the operation in progress may run again in a backward pass."""
    hooks: Any = torch._C._autograd._top_saved_tensors_default_hooks(True)
    return hooks is not None or not torch.is_grad_enabled()  # the latter in reentrant checkpoints


def _state(args: Any) -> bytes:
    """Return the state of the generator that an operation draws from."""
    device = next((each.device for each in args if isinstance(each, Tensor)), torch.device("cpu"))
    state = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
    return state.numpy().tobytes()


@cache
def _form(func: Any) -> str:
    """Return how an operation draws: "" if it does not, "other" if it cannot be divided."""
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return ""
    packet, overload = func._schema.name.removeprefix("aten::"), func._schema.overload_name
    if packet in _IN_PLACE or f"{packet}.{overload}" in _IN_PLACE:
        return "in place"
    if packet in _NEW and overload != "out":
        return "new"
    if packet in _LIKE:
        return "like"
    return "dropout" if packet == "native_dropout" else "other"


@cache
def _place_of_size(func: Any) -> int:
    return [each.name for each in func._schema.arguments].index("size")


@cache
def _switch(func: Any) -> tuple[int, str] | None:
    """Return the argument that switches the draws of an operation off at 0 or False."""
    for place, each in enumerate(func._schema.arguments):
        if each.name in ("dropout", "dropout_p", "train", "training"):
            return place, each.name
    return None


def _is_off(func: Any, args: Any, kwargs: Mapping[str, Any]) -> bool:
    switch = _switch(func)
    if switch is None:
        return False
    place, name = switch
    value = args[place] if place < len(args) else kwargs.get(name, 0)
    return not value
