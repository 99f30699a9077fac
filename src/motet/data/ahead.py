"""Work done ahead of time, in a thread: what is needed next is ready when it is asked for."""

import threading
from collections.abc import Generator, Iterable
from queue import Full, Queue
from typing import Any, TypeVar, cast

T = TypeVar("T")

_PATIENCE = 0.1
"""Seconds after which the thread looks whether anybody still waits."""


def ahead(items: Iterable[T], count: int = 1) -> Generator[T]:
    """Yield items that a thread makes, as many ahead as asked for, while the caller works.

    Args:
        items: What to yield; iterated in the thread.
        count: Number of items that wait at most.

    Yields:
        The items in order. An error in the thread is raised after the items before it. When the
        iterator is closed, the thread ends.

    Example:
        >>> list(ahead(range(3)))
        [0, 1, 2]
    """
    ready: Queue[tuple[str, Any]] = Queue(count)
    closed = threading.Event()

    def put(kind: str, item: Any) -> bool:
        while not closed.is_set():
            try:
                ready.put((kind, item), timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
        except BaseException as error:
            put("error", error)
        else:
            put("end", None)

    worker = threading.Thread(target=work, name="motet-ahead", daemon=True)
    worker.start()
    try:
        while True:
            kind, item = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield cast("T", item)
    finally:
        closed.set()
        worker.join()
