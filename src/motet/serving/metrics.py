"""Counts and durations in the text format of Prometheus."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import final

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0)


@final
class _Histogram:
    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterator[str]:
        total = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum}"
        yield f"{name}_count {total}"


@final
class Metrics:
    """What a server did since it was started; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds, self._batch_rows = _Histogram(_SECONDS), _Histogram(_ROWS)
        self._model_seconds = _Histogram(_SECONDS)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request; durations are of predictions alone."""
        with self._lock:
            self._requests[path, status] += 1
            if path == "/predict" and status == 200:
                self._seconds.add(seconds)

    def batch(self, rows: int, seconds: float) -> None:
        """Count rows that the model computed together."""
        with self._lock:
            self._batch_rows.add(rows)
            self._model_seconds.add(seconds)

    def text(self, queued: int) -> str:
        """Return all metrics.

        Args:
            queued: Rows that wait now.
        """
        with self._lock:
            return "\n".join((*self._lines(queued), ""))

    def _lines(self, queued: int) -> Iterator[str]:
        yield from _head("motet_requests_total", "counter", "Requests by path and status.")
        for (path, status), count in sorted(self._requests.items()):
            yield f'motet_requests_total{{path="{path}",status="{status}"}} {count}'
        yield from _head("motet_queue_rows", "gauge", "Rows that wait for the model.")
        yield f"motet_queue_rows {queued}"
        for name, each, words in (
            ("motet_predict_seconds", self._seconds, "Duration of answered requests."),
            ("motet_batch_rows", self._batch_rows, "Rows computed together."),
            ("motet_model_seconds", self._model_seconds, "Duration of a batch in the model."),
        ):
            yield from _head(name, "histogram", words)
            yield from each.lines(name)


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
