"""Joining the processes of one run: those that torchrun, or ``--processes``, started together.

Every process reads and checks the same data and builds the same model; the first alone writes the
run folder and prints. What they must agree on before they begin is compared here.
"""

import os
import platform
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import torch
from torch import distributed
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from motet.problems import InputError
from motet.processes import Processes, ProcessLost, processes_of
from motet.run import folder
from motet.run.checkpoints import config_digest, digest
from motet.run.launching import LAUNCHER, note_run, started_together
from motet.run.lock import holding
from motet.run.prepared import AnyPrepared

PATIENCE = timedelta(days=1)
"""How long processes wait for each other, as for the first one's work with a frozen encoder. One
that ends is noticed at once, as its connections close."""
_MEETING = timedelta(minutes=10)
"""How long processes wait until all have started."""
_REPORT = 3.0
"""Seconds that a process that fails waits for the report of another."""


class Team:
    """The processes of a run: one of them reports what ends them all.

    Args:
        processes: The processes.
        attempt: Where those that were joined here meet beside their group.
        launcher: Where torchrun keeps what outlives the attempt.
    """

    def __init__(
        self,
        processes: Processes,
        attempt: Store | None = None,
        launcher: Store | None = None,
    ) -> None:
        self.processes, self._attempt, self._launcher = processes, attempt, launcher
        self._call = ""

    @property
    def name(self) -> str:
        """How messages call this process."""
        return f"process {self.processes.rank + 1} of {self.processes.count} on {platform.node()}"

    @contextmanager
    def reporting(self, error: BaseException) -> Iterator[bool]:
        """Around the report of what ends this process, while the others still wait for it.

        What ends all of them is reported by the first; what ends one, by this one. That a process
        is lost is reported by the first that notices, unless `motet.run.launching` will.

        Args:
            error: What ends this process.

        Yields:
            Whether to report it here.
        """
        if self._attempt is None:
            yield True
            return
        lost = isinstance(error, ProcessLost)
        mine = not (lost and LAUNCHER in os.environ)
        with suppress(RuntimeError):  # where the machine of the store is gone, each reports
            if not self.processes.first and not lost:
                _appears(self._attempt, "reported", _REPORT)
            mine = mine and self._attempt.add("failed", 1) == 1
        yield mine
        with suppress(RuntimeError):
            if mine:
                self._attempt.set("reported", "")
            elif not lost:
                _appears(self._attempt, "reported", _REPORT)

    def begun(self, call: str) -> Path | None:
        """Return the run folder that an earlier attempt, before a restart, made for the same call.

        Args:
            call: Describes the call of `motet.train`; alike calls, as with other rows,
                have their order as well.
        """
        _CALLS[call] += 1
        self._call = f"{_CALLS[call]} {call}"
        found = b""
        if self._launcher is not None and self.processes.first:
            found = self._launcher.get(self._call) if self._launcher.check([self._call]) else b""
        path = self.processes.of_first(found).decode()
        return Path(path) if path else None

    def remember(self, path: Path) -> None:
        """Keep the run folder for `begun`, and for the launcher's last message."""
        if self.processes.first:
            note_run(path)
            if self._launcher is not None:
                self._launcher.set(self._call, str(path))


_CALLS = Counter[str]()
_TEAM: ContextVar[Team | None] = ContextVar("team", default=None)


@contextmanager
def joined() -> Iterator[Team]:
    """Join the processes that torchrun started, if it did, and leave them at the end.

    Processes that are joined already, around this call or by the caller, stay so.

    Yields:
        The processes.

    Raises:
        InputError: If they do not find each other.
    """
    if not started_together() or distributed.is_initialized():
        yield _TEAM.get() or Team(processes_of())
        return
    try:
        attempt, launcher = _meet()
    except (RuntimeError, ValueError) as error:
        raise InputError(
            "the processes of this run did not find each other at MASTER_ADDR and MASTER_PORT "
            f"({str(error).splitlines()[0]}); start all of them with torchrun, or --processes"
        ) from error
    team = Team(processes_of(), attempt, launcher)
    token = _TEAM.set(team)
    try:
        with _ending_with_launcher():
            yield team
    finally:
        _TEAM.reset(token)
        distributed.destroy_process_group()


def _meet() -> tuple[Store, Store | None]:
    """Make the group of all processes; return its store, and that of torchrun, if it keeps one."""
    backend = "gloo"
    if torch.cuda.is_available():
        place = int(os.environ.get("LOCAL_RANK", "0"))
        torch.cuda.set_device(place % torch.cuda.device_count())  # what `device: cuda` then means
        backend = "cpu:gloo,cuda:nccl"
    store, rank, count = next(rendezvous("env://", timeout=_MEETING))
    attempt = PrefixStore(_attempt_of(store, rank, count), store)
    distributed.init_process_group(
        backend, store=attempt, rank=rank, world_size=count, timeout=PATIENCE
    )
    kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return attempt, store if kept else None


def _attempt_of(store: Store, rank: int, count: int) -> str:
    """Agree on a name for what these processes store.

    torchrun keeps one store for all attempts, where a restarted process would find the addresses
    of processes that have ended. The first names the attempt; another process takes a name only
    if the first knows this very process, as it may have read that of an earlier attempt.

    Returns:
        The name.
    """
    if rank == 0:
        name = uuid4().hex
        store.set("motet/attempt", name)
        for other in range(1, count):
            known = store.get(f"{name}/{other}").decode()  # waits for it
            store.set(f"{name}/{known}", "")
        return name
    own = uuid4().hex
    while True:
        name = str(store.get("motet/attempt").decode())
        store.set(f"{name}/{rank}", own)
        if _appears(store, f"{name}/{own}", 0.2):
            return name


def _appears(store: Store, key: str, seconds: float) -> bool:
    """Wait until a key is stored; return whether it was in time."""
    end = time.monotonic() + seconds
    while not store.check([key]):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def _ending_with_launcher() -> Iterator[None]:
    """End this process when the one that started it is killed, which cannot end it any more."""
    parent, done = os.getppid(), threading.Event()

    def watch() -> None:
        while not done.wait(1):
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


@contextmanager
def created(output: str | Path | None, name: str) -> Iterator[Path]:
    """Let the first process make and hold the run folder, see `motet.run.folder.created`.

    Yields:
        Its path, on all processes.
    """
    processes = processes_of()
    if not processes.first:
        yield Path(processes.of_first(""))
        return
    with folder.created(output, name) as path:
        yield Path(processes.of_first(str(path)))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Let the first process hold a run folder, see `motet.run.lock.holding`."""
    processes = processes_of()
    with holding(path) if processes.first else nullcontext():
        processes.wait()
        yield


def check_alike(prepared: AnyPrepared, processes: Processes) -> None:
    """Check that all processes read the same rows and config, with the same version of torch.

    Raises:
        InputError: If they did not; on all processes.
    """
    if not processes.several:
        return
    own = {
        "config": config_digest(prepared.config),
        "data": digest(prepared),
        "version of torch": torch.__version__,
    }
    of_each = processes.of_each((platform.node(), own))
    first, expected = of_each[0]
    for rank, (place, found) in enumerate(of_each):
        others = [name for name, value in expected.items() if found[name] != value]
        if others:
            raise InputError(
                f"process {rank + 1} of {processes.count}, on {place}, found another "
                f"{' and another '.join(others)} than the first one, on {first}; all processes of "
                "a run read the same files with the same versions, for example in a shared folder"
            )


def check_device(device: torch.device, processes: Processes) -> None:
    """Check that each process can have a device of its own.

    Raises:
        InputError: If not; of the option ``device``.
    """
    if not processes.several or device.type == "cpu":
        return
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type != "cuda":
        problem = f"{device.type}, which several processes cannot use"
    elif device.index not in (None, torch.cuda.current_device()):
        problem = f"{device} for {processes.count} processes"
    elif here > torch.cuda.device_count():
        problem = f"{here} processes on a machine with {torch.cuda.device_count()} CUDA devices"
    else:
        return
    raise InputError(
        f"found {problem}; expected auto, with a CUDA device for each process of a machine, or cpu",
        option="device",
    )
