"""Sequences of vectors, such as frames of a video or of sound, for encoders of sequences."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from motet.encoders.tokens import check_padding
from motet.problems import InputError

FRAMES, REAL = "frames", "real"


def as_frames(given: Any, padding_mask: Tensor | None, width: int) -> tuple[Tensor, Tensor]:
    """Take a batch of sequences of vectors as a user may give it, and find its padding.

    Args:
        given: Frames (B, L, D), or ``{"frames": (B, L, D), "real": bool (B, L)}``, in which frames
            come first in every row and padding, where ``real`` is False, after them.
        padding_mask: True at padding, (B, L); from ``real`` if left out, else there is none.
        width: D.

    Returns:
        The frames, at least (B, 1, D), zeros at padding, and the padding mask.

    Raises:
        InputError: If they are not frames of this width, or the mask does not fit them.
    """
    frames = given.get(FRAMES) if isinstance(given, Mapping) else given
    if not isinstance(frames, Tensor) or frames.ndim != 3 or frames.shape[2] != width:
        found = tuple(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
        raise InputError(f"found frames {found}, expected a tensor (B, L, {width}) of vectors")
    if padding_mask is not None:
        check_padding(padding_mask, frames.shape[:2], "~real, for real True where a frame is")
    elif isinstance(given, Mapping) and REAL in given:
        padding_mask = _padding_of(given[REAL], frames)
    else:
        padding_mask = torch.zeros(frames.shape[:2], dtype=torch.bool, device=frames.device)
    if not frames.shape[1]:
        frames = frames.new_zeros(frames.shape[0], 1, width)
        padding_mask = padding_mask.new_ones(frames.shape[0], 1)
    return frames.masked_fill(padding_mask[..., None], 0.0), padding_mask


def _padding_of(real: Any, frames: Tensor) -> Tensor:
    if not isinstance(real, Tensor) or real.shape != frames.shape[:2]:
        found = tuple(real.shape) if isinstance(real, Tensor) else type(real).__name__
        raise InputError(
            f"found {REAL!r} {found}, expected a tensor {tuple(frames.shape[:2])}, True where a "
            "frame is"
        )
    return ~real.bool()
