"""The peak of the memory that training used, of a GPU or of this process."""

import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def begin_measuring(device: torch.device) -> bool:
    """Forget earlier peaks of a device.

    Returns:
        Whether that is possible here: for CUDA, and on Linux for the process.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    if device.type != "cpu" or sys.platform != "linux":
        return False
    try:
        _RESET.write_text("5")  # the peak of the resident memory, see proc(5)
    except OSError:
        return False
    return True


def peak_memory(device: torch.device) -> int | None:
    """Return the peak in bytes since `begin_measuring`.

    On a GPU these are the tensors of this process, on a CPU all its resident memory, with the data
    and the libraries that it loaded.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
