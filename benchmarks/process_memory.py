"""The memory that a process took; for scripts that measure each run in a process of its own."""

from pathlib import Path


def peak():
    """Return the most memory in MiB that this process held, on Linux.

    ``resource.getrusage`` would count what the process held that started this one, too.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
