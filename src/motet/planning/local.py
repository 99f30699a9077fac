"""Local processes: each executes one run at a time, and is replaced if it dies."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from motet.planning.planned import Outcome, Work
from motet.problems import InputError

ATTEMPTS = 3
"""How often a run is begun whose process dies."""
GUARD = (
    "each process of a plan reads the main script again, which must be a file with its calls under "
    '`if __name__ == "__main__":`'
)


class Worker:
    """One process, which executes runs until its connection is closed.

    Args:
        threads: Number of threads that torch computes with.
    """

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, threads))
        self.process.start()
        other.close()  # else the end of the process would not show here
        self.work: Work | None = None
        self._ready = False

    def begin(self, work: Work) -> None:
        """Let it execute a run."""
        self.work = work
        with suppress(OSError):  # it died, which `result` reports
            self.connection.send(work)

    def result(self) -> Outcome | str | None:
        """Return what became of the run, or how the process died; None when it is ready."""
        try:
            found: Outcome | None = self.connection.recv()
            self._ready = True
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            by = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited ({code})"
            return f"its process {by}" + (", perhaps for want of memory" if code == -9 else "")
        return found

    @property
    def cannot_start(self) -> bool:
        """Whether the process failed before it was ready."""
        return not self._ready and (self.process.exitcode or 0) > 0

    def interrupt(self) -> None:
        """Let a run in progress stop after its step, as Ctrl-C does."""
        if self.work is not None and self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, signal.SIGINT)

    def end(self) -> None:
        """Wait until the process has ended; call `interrupt` before."""
        self.connection.close()
        self.process.join()


def carried_out(
    works: Sequence[Work], *, processes: int, threads: int, say: Callable[[str], object]
) -> Generator[Outcome, None, None]:
    """Execute runs in local processes.

    Args:
        works: The runs.
        processes: Number of processes.
        threads: Number of threads of each.
        say: Called with a line where a process died.

    Yields:
        What became of each run, as they end. After Ctrl-C the runs in progress stop after their
        step, and others do not begin.

    Raises:
        InputError: If the processes cannot start.
    """
    waiting = list(works)
    attempts = dict.fromkeys((work.name for work in works), 0)
    workers = [Worker(threads) for _ in range(min(processes, len(works)))]
    stopping = False
    try:
        while True:
            if not stopping:
                for worker in workers:
                    if worker.work is None and waiting:
                        worker.begin(waiting.pop(0))
            busy = {worker.connection: worker for worker in workers if worker.work is not None}
            if not busy:
                return
            try:
                ready = wait(list(busy))
            except KeyboardInterrupt:
                stopping = True
                for worker in busy.values():
                    worker.interrupt()
                continue
            for connection in ready:
                worker = busy[connection]  # type: ignore[index]  # they are those that were given
                work, found = worker.work, worker.result()
                assert work is not None
                if found is None:
                    continue
                worker.work = None
                if isinstance(found, Outcome):
                    stopping |= found.status == "stopped"
                    yield found
                    continue
                if stopping:
                    yield Outcome(work.name, work.path, "stopped")
                    continue
                if worker.cannot_start:
                    raise InputError(f"{found} before it began a run, see above; {GUARD}")
                workers[workers.index(worker)] = Worker(threads)
                attempts[work.name] += 1
                if attempts[work.name] < ATTEMPTS:
                    say(f"{work.name}: {found}; it resumes")
                    waiting.insert(0, work)
                else:
                    error = f"{found}, {attempts[work.name]} times in all"
                    yield Outcome(work.name, work.path, "failed", error)
    finally:
        for worker in workers:
            worker.interrupt()
        for worker in workers:
            worker.end()


def _serve(connection: "Connection[Any, Any]", threads: int) -> None:
    """Execute the runs that come, in a process that ends with the one that began it."""
    os.setpgrp()  # Ctrl-C in a terminal reaches the first process, which passes it on
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):  # no more runs, or none to wait
        connection.send(None)
        from motet.planning.working import carry_out  # imports torch, once for all runs

        while True:
            work = connection.recv()
            try:
                found = carry_out(work, threads)
            except Exception as error:  # one of motet itself, which must not end the other runs
                found = Outcome(work.name, work.path, "failed", f"{type(error).__name__}: {error}")
            connection.send(found)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
