"""What waits while the model is busy is computed together, if the same is asked for."""

import threading

import pyarrow as pa
import pytest

from motet import InputError
from motet.serving import Limits
from motet.serving.batching import Batcher
from motet.serving.metrics import Metrics
from motet.serving.refusals import Busy
from motet.serving.requests import Asked, Rows


class Model:
    """Returns the rows that it is given, once it may, and remembers its calls."""

    def __init__(self):
        self.calls, self.busy, self.may = [], threading.Event(), threading.Event()

    def __call__(self, table, asked):
        self.busy.set()
        assert self.may.wait(60)
        self.calls.append((asked.tasks, table["x"].to_pylist()))
        if "bad" in table["x"].to_pylist():
            raise InputError("found a bad row")
        if "broken" in table["x"].to_pylist():
            raise MemoryError
        return table


def rows(*values, tasks=("a",)):
    return Rows(pa.table({"x": pa.array(values)}), Asked(tasks))


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def batcher(model):
    """A batcher whose model is busy with a first request."""
    batcher = Batcher(model, Limits(rows=4, queue_rows=12, batch_rows=4), Metrics())
    batcher.submit(rows(0))
    assert model.busy.wait(60)
    yield batcher
    model.may.set()
    batcher.close()


def values(future):
    return future.result(60)["x"].to_pylist()


def test_requests_are_joined_by_what_they_ask_for_and_by_the_types_of_their_columns(batcher, model):
    given = [
        rows(1, 2),
        rows(3, tasks=("b",)),
        rows(4),
        rows("5"),
        rows(6, tasks=("b",)),
        rows(7, 8),
    ]
    found = [batcher.submit(each) for each in given]
    model.may.set()
    assert [values(each) for each in found] == [[1, 2], [3], [4], ["5"], [6], [7, 8]]
    assert model.calls[1:] == [
        (("a",), [1, 2, 4]),  # a fourth and fifth row would be more than batch_rows
        (("b",), [3, 6]),
        (("a",), ["5"]),
        (("a",), [7, 8]),
    ]


def test_what_waits_is_answered_when_the_server_stops_and_nothing_after_that(batcher, model):
    found = [batcher.submit(rows(number)) for number in range(3)]
    model.may.set()
    batcher.close()
    assert [values(each) for each in found] == [[0], [1], [2]]
    with pytest.raises(Busy, match="the server stops"):
        batcher.submit(rows(1))


def test_a_request_that_was_given_up_is_not_computed(batcher, model):
    given_up, other = batcher.submit(rows(1)), batcher.submit(rows(2))
    assert given_up.cancel()
    model.may.set()
    assert values(other) == [2]
    assert model.calls[1:] == [(("a",), [2])]
    assert batcher.queued == 0


def test_an_error_reaches_those_that_it_is_about_and_the_model_goes_to_the_next(batcher, model):
    bad, good = batcher.submit(rows("bad")), batcher.submit(rows("good"))
    model.may.set()
    assert values(good) == ["good"]
    with pytest.raises(InputError, match="a bad row"):
        bad.result(60)
    with pytest.raises(MemoryError):
        batcher.submit(rows("broken")).result(60)
    assert values(batcher.submit(rows(3))) == [3]


def test_a_queue_is_bounded_in_rows_and_in_bytes(batcher):
    for _ in range(3):
        batcher.submit(rows(1, 2, 3, 4))
    with pytest.raises(Busy, match="the queue is full, with 12 rows"):
        batcher.submit(rows(5))
    small = Limits(rows=4, queue_rows=12, megabytes=0.001)
    with pytest.raises(Busy, match="the queue is full, with 0 rows"):
        Batcher(Model(), small, Metrics()).submit(rows("x" * small.queue_bytes))
