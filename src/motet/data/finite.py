"""Inputs that no model can read: NaN and infinity, searched for once in a data set.

The search costs one sum, which either makes non-finite; only then are rows searched.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from motet.data.images.stored import Images
from motet.data.ragged import Ragged
from motet.problems import InputError


def refuse_not_finite(inputs: Any, what: str, *, nan: bool = True) -> None:
    """Reject inputs with NaN or infinity.

    Args:
        inputs: Rows of numbers, or a mapping, perhaps nested, of those.
        what: What they are, to begin the message with.
        nan: Whether NaN is rejected, too.

    Raises:
        InputError: If there are any; the message names the number of rows, and the first.

    Example:
        >>> refuse_not_finite(torch.tensor([[1.0], [torch.nan]]), "data")
        Traceback (most recent call last):
        motet.problems.InputError: data: inputs has NaN in 1 of 2 rows, first in row 1; fill in ...
    """
    for name, values in _leaves(inputs, "inputs"):
        if isinstance(values, Images):
            continue  # checked when they were read
        flat = values.values if isinstance(values, Ragged) else values
        if not flat.is_floating_point() or bool(flat.sum(dtype=_wide(flat)).isfinite()):
            continue
        wrong = ~flat.isfinite() if nan else flat.isinf()
        rows = _rows(values, wrong)
        if len(rows):
            kinds = {"NaN": bool(flat.isnan().any()) and nan, "infinity": bool(flat.isinf().any())}
            found = " or ".join(kind for kind, there in kinds.items() if there)
            raise InputError(
                f"{what}: {name} has {found} in {len(rows):,} of {len(values):,} rows, first in "
                f"row {int(rows[0]):,}; fill in numbers, e.g. with numpy.nan_to_num, or leave the "
                "rows out" + (_HOW if kinds["NaN"] else "")
            )


_HOW = "; for an encoder that reads NaN as missing, set encoder.takes_nan = True"


def _leaves(tree: Any, name: str) -> Iterator[tuple[str, Tensor | Ragged | Images]]:
    if not isinstance(tree, dict):
        yield name, tree
        return
    for key, each in tree.items():
        yield from _leaves(each, f"{name}[{key!r}]")


def _wide(values: Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)


def _rows(values: Tensor | Ragged, wrong: Tensor) -> Tensor:
    """Return the numbers of the rows with wrong values."""
    there = wrong.flatten(1).any(dim=1) if wrong.ndim > 1 else wrong
    if isinstance(values, Ragged):
        ends = values.lengths.cumsum(0)
        found = torch.searchsorted(ends, there.nonzero()[:, 0], right=True)
        return found[found.diff(prepend=found.new_tensor([-1])) > 0]  # each row once
    return there.nonzero()[:, 0]
