"""Devices by name."""

import torch

from motet.problems import InputError


def find_device(name: str) -> torch.device:
    """Return a device that works here; "auto" is a GPU if there is one.

    Raises:
        InputError: If the name is unknown or the device does not work.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"found {name!r}, which cannot be used here: {reason}", option="device"
        ) from None
    return device
