"""Requests wait in a bounded queue, are joined, and one thread runs the model.

Requests are joined only where the same is predicted from columns of the same types, and each gets
its own rows back. While the model is busy, others gather; so batches grow with the load, without
waiting. If rows of a batch cannot be predicted, its requests are computed one by one, so that the
error reaches the one that it is about.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, final

import pyarrow as pa

from motet.problems import InputError
from motet.serving.limits import Limits
from motet.serving.metrics import Metrics
from motet.serving.refusals import Busy
from motet.serving.requests import Asked, Rows

Predict = Callable[[pa.Table, Asked], pa.Table]
Key = tuple[Asked, pa.Schema]


@dataclass(eq=False)
class _Job:
    """A request that waits."""

    rows: Rows
    arrived: float
    found: "Future[pa.Table]" = field(default_factory=Future)

    @property
    def count(self) -> int:
        return len(self.rows.table)

    @property
    def size(self) -> int:
        return int(self.rows.table.nbytes)


@final
class Batcher:
    """Joins requests for a model that runs in a thread of its own, from now until `close`.

    Args:
        predict: Predicts for rows, in their order; it is never called twice at the same time.
        limits: The limits of the server.
        metrics: Counts what happens.
    """

    def __init__(self, predict: Predict, limits: Limits, metrics: Metrics) -> None:
        self._predict, self._limits, self._metrics = predict, limits, metrics
        self._waiting: dict[Key, deque[_Job]] = {}
        self._rows = self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="motet-model", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Number of rows that wait."""
        return self._rows

    @property
    def open(self) -> bool:
        """Whether requests are accepted."""
        return not self._closed and self._thread.is_alive()

    def submit(self, rows: Rows) -> "Future[pa.Table]":
        """Put a request into the queue.

        Returns:
            Its predictions, once they are there.

        Raises:
            Busy: If the queue is full or the server stops.
        """
        job = _Job(rows, time.monotonic())
        with self._changed:
            if not self.open:
                raise Busy("the server stops")
            count, size = self._rows + job.count, self._bytes + job.size
            if count > self._limits.queue_rows or size > self._limits.queue_bytes:
                raise Busy(f"the queue is full, with {self._rows:,} rows")
            self._rows, self._bytes = count, size
            self._waiting.setdefault((rows.asked, rows.table.schema), deque()).append(job)
            self._changed.notify()
        return job.found

    def close(self) -> None:
        """Compute what waits, refuse what comes, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while (jobs := self._next()) is not None:
            if jobs:
                self._compute(jobs)

    def _next(self) -> list[_Job] | None:
        """Wait for requests that can be computed together; None once closed and empty."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if not self._waiting:
                return None
            key = min(self._waiting, key=lambda each: self._waiting[each][0].arrived)
            self._wait_for_more(key)
            return self._taken(key)

    def _wait_for_more(self, key: Key) -> None:
        jobs = self._waiting[key]
        until = jobs[0].arrived + self._limits.wait_ms / 1000
        while sum(each.count for each in jobs) < self._limits.batch_rows and not self._closed:
            left = until - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _taken(self, key: Key) -> list[_Job]:
        jobs, taken, count = self._waiting[key], list[_Job](), 0
        while jobs and (not taken or count + jobs[0].count <= self._limits.batch_rows):
            job = jobs.popleft()
            self._rows, self._bytes = self._rows - job.count, self._bytes - job.size
            if job.found.set_running_or_notify_cancel():
                taken.append(job)
                count += job.count
        if not jobs:
            del self._waiting[key]
        return taken

    def _compute(self, jobs: list[_Job]) -> None:
        start = time.monotonic()
        tables = [each.rows.table for each in jobs]
        try:
            found = self._predict(pa.concat_tables(tables), jobs[0].rows.asked)
        except InputError as error:
            if len(jobs) == 1:
                jobs[0].found.set_exception(error)
                return
            for each in jobs:
                self._compute([each])
            return
        except BaseException as error:
            for each in jobs:
                each.found.set_exception(error)
            return
        self._metrics.batch(len(found), time.monotonic() - start)
        first = 0
        for each in jobs:
            each.found.set_result(found.slice(first, each.count))
            first += each.count


def of_run(run: Any) -> Predict:
    """Return what predicts with a run."""

    def predict(table: pa.Table, asked: Asked) -> pa.Table:
        found: pa.Table = run.predict(
            table, tasks=asked.tasks, intervals=asked.intervals, spread=asked.spread
        )
        return found

    return predict
