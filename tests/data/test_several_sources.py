"""Several sources: every row once per pass, in orders of their own, from any position on."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motet.data import Sources
from motet.data.batches import Batch
from motet.data.joining import joined
from motet.data.lacking import lacking, with_none
from motet.data.ragged import Ragged
from motet.problems import InputError


def source(rows, task, first=0):
    numbers = torch.arange(first, first + rows).float()
    return numbers[:, None], {task: numbers}


def drawn(data, size, epochs, **options):
    """Return the rows of each source, batch by batch."""
    found = {name: [] for name in data.names}
    for number in range(epochs):
        for draw in data.epoch(size, seed=3, number=number, **options):
            for batch in draw.of(data.labelled):
                found[batch.source].append(batch.inputs[:, 0].int().tolist())
    return found


@given(
    rows=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    size=st.integers(1, 5),
    epochs=st.integers(1, 3),
)
def test_every_pass_through_a_source_has_each_of_its_rows_once(rows, size, epochs):
    data = Sources({f"s{n}": source(n_rows, f"t{n}") for n, n_rows in enumerate(rows)})
    steps = data.steps(size)
    assert steps == max(-(-n // size) for n in rows)
    for name, batches in drawn(data, size, epochs).items():
        own = rows[int(name[1:])]
        assert len(batches) == steps * epochs
        per_pass = -(-own // size)
        for start in range(0, len(batches) - per_pass + 1, per_pass):
            rows_of_pass = [row for batch in batches[start : start + per_pass] for row in batch]
            assert sorted(rows_of_pass) == list(range(own))


def test_passes_have_different_orders_and_so_have_sources():
    data = Sources({"a": source(20, "a"), "b": source(20, "b")})
    found = drawn(data, 20, 2)
    orders = [tuple(batch) for name in "ab" for batch in found[name]]
    assert len(set(orders)) == 4


def test_the_order_of_a_source_does_not_depend_on_the_others():
    alone, both = Sources({"a": source(9, "a")}), {"a": source(9, "a"), "b": source(30, "b")}
    short = drawn(Sources(both), 4, 1)["a"]
    assert short[:3] == drawn(alone, 4, 1)["a"]


def test_draws_go_on_from_any_position():
    data = Sources({"a": source(7, "a"), "b": source(13, "b")})
    counts = {}
    whole = [
        [batch.inputs[:, 0].tolist() for batch in draw.of({"a", "b"} if n % 2 else {"b"})]
        for n, draw in enumerate(data.draws(3, seed=0, drawn=counts))
    ]
    assert counts == {"a": 2, "b": 5}
    again = Sources({"a": source(7, "a"), "b": source(13, "b")})
    rest = again.draws(3, seed=0, drawn={"a": 1, "b": 3}, done=3)
    found = [
        [batch.inputs[:, 0].tolist() for batch in draw.of({"a", "b"} if n % 2 else {"b"})]
        for n, draw in enumerate(rest, 3)
    ]
    assert found == whole[3:]


def test_a_source_that_no_task_needs_loses_no_rows():
    data = Sources({"a": source(4, "a"), "b": source(8, "b")})
    counts, seen = {}, []
    for number in range(2):
        for draw in data.draws(2, seed=0, drawn=counts):
            tasks = ["b"] if counts.get("b", 0) % 2 else ["a", "b"]
            seen += [b for b in draw.of(tasks) if b.source == "a"]
        assert counts["b"] == 4 * (number + 1)
    assert counts["a"] == 4
    for half in (seen[:2], seen[2:]):
        assert sorted(torch.cat([b.inputs[:, 0] for b in half]).tolist()) == [0, 1, 2, 3]


def test_evaluation_has_every_row_of_every_source_once_under_a_number_of_its_own():
    ragged = Ragged.of([[1], [2, 3], [4, 5, 6]], fill=0)
    data = Sources({"a": source(5, "a"), "b": (ragged, {"b": [0, 1, 0]})})
    numbers, sources = [], []
    for rows, batch in data.once(2):
        numbers += rows.tolist()
        sources += [batch.source] * len(batch)
    assert sorted(numbers) == list(range(8))
    assert [number < 5 for number in numbers] == [name == "a" for name in sources]


def test_sources_may_have_batch_sizes_of_their_own():
    both = {"a": source(6, "a"), "b": source(8, "b")}
    data = Sources(both, batch_sizes={"a": 1})
    assert data.steps(4) == 6
    assert [len(batch) for batch in drawn(data, 4, 1)["a"]] == [1] * 6
    with pytest.raises(InputError, match="batch_sizes: found 0 for 'a'"):
        Sources(both, batch_sizes={"a": 0})


def test_only_inputs_of_the_same_shapes_share_a_batch():
    numbers = torch.zeros(3, 2), {"a": [0, 1, 0]}
    assert Sources({"x": numbers, "y": numbers}).joinable
    assert not Sources({"x": numbers, "y": (torch.zeros(3, 4), {})}).joinable
    assert not Sources({"x": numbers, "y": (torch.zeros(3, 2).long(), {})}).joinable
    texts = Ragged.of([[1], [2]], fill=0), {"a": [0, 1]}
    assert not Sources({"x": texts, "y": texts}).joinable
    assert not Sources({"x": numbers, "y": [{"inputs": torch.zeros(1, 2)}]}).joinable


def test_a_source_gets_none_in_place_of_inputs_that_only_others_have():
    first = {"age": torch.zeros(2, 1), "texts": {"note": torch.ones(2, 3).long()}}
    second = {"texts": {"title": torch.ones(1, 3).long()}}
    data = Sources({"a": (first, {"a": [0, 1]}), "b": (second, {"b": [0]})})
    (draw,) = data.epoch(4, seed=0, number=0)
    one, two = draw.of(["a", "b"])
    assert one.inputs["texts"]["title"] is None
    assert two.inputs["age"] is None
    assert two.inputs["texts"]["note"] is None
    assert len(two) == 1
    without = lacking({"a": first, "b": second})
    assert with_none(first, {}) is first
    assert with_none(second, without["b"])["texts"]["title"] is second["texts"]["title"]


def test_a_joined_batch_has_the_rows_of_each_task():
    numbers = torch.arange(6).float()
    first = Batch(numbers[:2, None], {"a": numbers[:2], "b": None}, weights={"a": numbers[:2]})
    second = Batch(numbers[2:3, None], {"b": numbers[2:3]})
    rest = numbers[3:]
    third = Batch(rest[:, None], {"a": rest, "c": rest}, weights={"a": rest})
    batch, rows = joined([first, second, third])
    assert len(batch) == 6
    assert rows["b"] == slice(2, 3)
    for task, target in batch.targets.items():
        assert batch.inputs[rows[task]][:, 0].equal(target)
    assert batch.weights["a"].equal(batch.targets["a"])


def test_a_batch_that_is_a_source_keeps_what_a_teacher_predicts():
    given = {"inputs": torch.zeros(2, 1), "targets": {"a": [0, 1]}, "soft": {"a": torch.eye(2)}}
    (batch,) = Sources({"x": given}).whole().of(["a"])
    assert batch.soft["a"].equal(torch.eye(2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "found no source; expected {name: data"),
        ({3: source(2, "a")}, "found the name 3; expected a text"),
        ({"visits": (torch.zeros(0, 2), {})}, "source 'visits': found no rows"),
        ({"visits": 7}, "source 'visits': data: found a int"),
    ],
)
def test_what_are_no_sources_is_one_error_with_the_name(given, message):
    with pytest.raises(InputError, match=message):
        Sources(given).steps(2)
