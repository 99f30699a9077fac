"""Which modalities each row has: read from the inputs, drawn in training, and applied to features.

An input that rows can lack has the leaf ``"present"``, bool (B,), in its tree; encoders do not see
it. A source without an input has None in place of its tree. A text without any word is missing,
too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from motet.encoders.tokens import create_padding_mask
from motet.problems import InputError

PRESENT, VALUES = "present", "values"


def without_present(given: Any) -> Any:
    """Return what an encoder takes: the tree of an input without ``"present"``.

    Args:
        given: A tensor, or a mapping; ``{"values": tensor, "present": ...}`` stands for the tensor.

    Returns:
        The same tree without the leaf.

    Example:
        >>> without_present({"values": torch.zeros(1, 2), "present": torch.tensor([True])}).shape
        torch.Size([1, 2])
    """
    if not isinstance(given, Mapping) or PRESENT not in given:
        return given
    kept = {name: each for name, each in given.items() if name != PRESENT}
    return kept[VALUES] if [*kept] == [VALUES] else kept


def present_in(name: str, given: Any, empty: int | None = None) -> Tensor | None:
    """Return which rows have an input, (B,); None if all have it.

    Args:
        name: The name of the input.
        given: Its tree.
        empty: Of a text, the number of tokens that one without words has, or of n-grams where it
            has no tokens; None of other inputs, and of texts that are never missing.

    Returns:
        Whether each row has it.

    Raises:
        InputError: If ``"present"`` is not bool (B,).
    """
    if isinstance(given, Mapping) and PRESENT in given:
        found = given[PRESENT]
        if not (isinstance(found, Tensor) and found.dtype == torch.bool and found.ndim == 1):
            kind = f"{tuple(found.shape)} of {found.dtype}" if isinstance(found, Tensor) else found
            raise InputError(
                f"input {name!r}: found {PRESENT!r} {kind}; expected a bool tensor (B,), True "
                "where a row has the input"
            )
        return found
    read = given.get("ids", given.get("grams")) if isinstance(given, Mapping) else given
    if empty is None or not isinstance(read, Tensor) or read.ndim != 2:
        return None
    return (~create_padding_mask(read)).sum(1) > empty


def joined_mask(
    marks: Sequence[Tensor | bool | None], rows: int, device: torch.device
) -> Tensor | None:
    """Put the marks of all modalities side by side.

    Args:
        marks: For each modality which rows have it, (B,); None and True if all have it, False if
            none has.
        rows: Number of rows, B.
        device: Where to put the mask.

    Returns:
        Whether each row has each modality, (B, M); None if all rows have all.
    """
    if all(mark is None or mark is True for mark in marks):
        return None
    columns = [
        mark
        if isinstance(mark, Tensor)
        else torch.full((rows,), mark is not False, dtype=torch.bool, device=device)
        for mark in marks
    ]
    return torch.stack(columns, dim=1)


def dropped(present: Tensor, probability: float) -> Tensor:
    """Draw which modalities count as missing, with torch's generator, row by row.

    Each is missing with the given probability, but the last one that a row has stays: of two, a row
    lacks one with probability 2 p - p².

    Args:
        present: Whether each row has each modality, (B, M).
        probability: p, with which one that is present is left out.

    Returns:
        Whether each row still has each modality, (B, M).
    """
    drawn = torch.rand_like(present, dtype=torch.float32).masked_fill(~present, -1.0)
    highest = drawn == drawn.amax(dim=1, keepdim=True)
    return present & ((drawn >= probability) | highest)


def masked(features: Sequence[Tensor], present: Tensor | None) -> list[Tensor]:
    """Return features (B, Dᵢ) that are zeros where a row lacks the modality."""
    if present is None:
        return list(features)
    columns = present.unbind(1)
    return [
        torch.where(there[:, None], each, torch.zeros((), dtype=each.dtype, device=each.device))
        for each, there in zip(features, columns, strict=True)
    ]
