"""What encoders of images are given: normalised pixels (B, C, H, W)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from motet.problems import InputError


def checked_pixels(pixels: Any, channels: int) -> Tensor:
    """Check the pixels that an encoder of images is given; the host never waits for the device.

    Args:
        pixels: A tensor (B, C, H, W), normalised; or the tree of an input, with it as ``"pixels"``.
        channels: How many channels it must have.

    Returns:
        The pixels.

    Raises:
        InputError: If they are not floating-point numbers of this shape.
    """
    given = pixels.get("pixels") if isinstance(pixels, Mapping) else pixels
    if not isinstance(given, Tensor) or given.dim() != 4 or given.shape[1] != channels:
        found = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise InputError(
            f"found images {found}, expected a tensor (B, {channels}, H, W), channels before rows "
            "and columns"
        )
    if not given.is_floating_point():
        raise InputError(
            f"found images of {given.dtype}, expected normalised numbers: (images.float() / 255 - "
            "mean) / std"
        )
    return given
