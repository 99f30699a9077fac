"""The arithmetic of the forward pass."""

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a forward pass computes in ``precision``."""
    half = precision == "bfloat16"
    if not half and not torch.is_autocast_enabled(device.type):
        return nullcontext()  # ten times cheaper than an autocast that is off
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
