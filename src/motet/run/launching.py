"""``--processes N``: starts the processes of one run on this machine, and explains how they end.

PyTorch's own launcher starts them, as torchrun would, each with the same command line; what they do
then is in `motet.run.joining`.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM, Signals
from typing import TYPE_CHECKING
from uuid import uuid4

from motet.problems import InputError

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

LAUNCHER = "MOTET_LAUNCHER"
"""Environment variable with the folder of `launch`, where the first process notes its run."""
LOST = 3
"""Exit code of a process that ends because another one did."""
_NOTE = "run"
_STARTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_TIME_TO_STOP = "600"
"""Seconds until processes that were asked to stop are killed: a long step, and its checkpoint."""


def started_together() -> bool:
    """Return whether torchrun, or `launch`, started this process together with others."""
    return all(name in os.environ for name in _STARTED)


def resume_command(path: Path) -> str:
    """Return what to type to continue a run as it was started."""
    several = f" --processes {os.environ['WORLD_SIZE']}" if LAUNCHER in os.environ else ""
    return f"motet resume {path}{several}"


def note_run(path: Path) -> None:
    """Let the launcher know the run folder, which its last message names."""
    if LAUNCHER in os.environ:
        (Path(os.environ[LAUNCHER]) / _NOTE).write_text(str(path))


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run a command in several processes of this machine that train one model together.

    Each gets an equal part of the processors' cores (`threads_of_each`). Ctrl-C reaches each of
    them once; a second one ends them at once.

    Args:
        arguments: The command line, without the program.
        processes: Number of processes.

    Returns:
        The exit code, of the process that failed.

    Raises:
        InputError: If this process was itself started together with others.
        TrainingError: If a process was killed.
    """
    if started_together():
        raise InputError("--processes: found processes of torchrun already; leave it out")
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory(prefix="motet-") as folder, _silent_launcher():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(folder),
        )
        os.environ[LAUNCHER] = folder
        os.environ["OMP_NUM_THREADS"] = str(threads_of_each(processes))
        os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", _TIME_TO_STOP)
        # -P: modules of the working directory are not imported, as with the program `motet`
        command = ["-P", "-m", "motet", *(each.replace("$", "$$") for each in arguments)]
        try:
            elastic_launch(config, sys.executable)(*command)
        except SignalException as error:
            return 128 + error.sigval
        except ChildFailedError as error:
            return _explained(error.failures, processes, Path(folder))
    return 0


def threads_of_each(processes: int) -> int:
    """Return the threads of each process: OMP_NUM_THREADS, or its part of the cores."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else max(1, _cores() // processes)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _silent_launcher() -> Iterator[None]:
    """Keep the launcher from logging what the message of `_explained` says."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _explained(failures: Mapping[int, "ProcessFailure"], processes: int, folder: Path) -> int:
    """Return the exit code of processes of which one reported why it failed.

    Raises:
        TrainingError: If none could, as it was killed.
    """
    ends = {rank: each.exitcode for rank, each in failures.items()}
    # the launcher itself ends those that are left by SIGTERM
    killed = [rank for rank, code in ends.items() if code < 0 and code != -SIGTERM]
    reported = [code for code in ends.values() if code > 0 and code != LOST]
    if reported and not killed:
        return max(reported)
    from motet.training import TrainingError

    rank = min(ends, key=lambda each: (each not in killed, ends[each] == LOST))
    how = f"ended with exit code {ends[rank]}"
    if ends[rank] < 0:
        name = Signals(-ends[rank]).name
        how = f"was ended by {name}{', as when memory runs out' if name == 'SIGKILL' else ''}"
    raise TrainingError(
        f"process {rank + 1} of {processes} (pid {failures[rank].pid}) {how}, and the others were "
        f"stopped; {_what_is_left(folder / _NOTE, processes)}"
    )


def _what_is_left(note: Path, processes: int) -> str:
    if not note.is_file():
        return "nothing was written"
    from motet.run.checkpoints import what_is_kept

    run = note.read_text()
    return f"{what_is_kept(Path(run))}; continue with: motet resume {run} --processes {processes}"
