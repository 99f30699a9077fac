"""What a run prints and records about the processes that train it together."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import distributed

from motet.figures import counted
from motet.processes import processes_of
from motet.run.layout import line


def process_lines(batch_size: int) -> Iterator[str]:
    """Report how several processes share the rows of a step."""
    count = processes_of().count
    if count == 1:
        return
    least, more = divmod(batch_size, count)
    rows = f"{least:,} or {least + 1:,}" if more else f"{least:,}"
    threads = torch.get_num_threads()
    own = counted(threads, "thread")
    yield line("processes", f"{count}, {rows} rows each of {batch_size:,}, with {own} each")
    if not least:
        idle = count - batch_size
        yield line(
            "note", f"{idle} of {count} processes have no row, as batch_size is {batch_size}"
        )


def processes_used() -> dict[str, Any]:
    """Return what a run records about its processes: their number, and how they communicate."""
    count = processes_of().count
    return {"processes": count} | ({"backend": distributed.get_backend()} if count > 1 else {})
