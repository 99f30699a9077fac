"""A plan lists the parts of a step; its micro-batches hold every row of every part once."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from motet.data.batches import Batch
from motet.training.plan import Part, Plan


def part(rows, name=""):
    numbers = torch.arange(rows)
    return Part(Batch(numbers, {"a": numbers, "b": None}, numbers), ["a"], name)


@given(rows=st.integers(1, 40), count=st.integers(1, 12))
def test_pieces_of_a_part_have_every_row_once_and_equal_sizes_but_the_last(rows, count):
    pieces = part(rows, "view").cut(count)
    assert 1 <= len(pieces) <= count
    assert torch.cat([each.batch.rows for each in pieces]).tolist() == list(range(rows))
    assert len({len(each.batch) for each in pieces[:-1]}) <= 1
    assert all(each.tasks == ["a"] and each.name == "view" for each in pieces)


def test_a_part_without_rows_has_no_pieces():
    assert part(0).cut(3) == []
    plan = Plan(0, (part(4), part(0, "view")), (), 2)
    assert [[each.name for each in parts] for parts in plan.pieces()] == [[""], [""]]


def test_a_plan_without_micro_batches_is_not_cut():
    plan = Plan(3, (part(5), part(4, "view")))
    (parts,) = plan.pieces()
    assert parts is plan.balanced
    assert plan.first().balanced is plan.balanced


@given(rows=st.integers(1, 20), others=st.integers(1, 20), count=st.integers(2, 6))
def test_micro_batches_have_pieces_of_every_balanced_part(rows, others, count):
    plan = Plan(0, (part(rows), part(others, "view")), (part(3, "beside"),), count)
    pieces = plan.pieces()
    for name, size in (("", rows), ("view", others)):
        found = [each.batch.rows for parts in pieces for each in parts if each.name == name]
        assert torch.cat(found).tolist() == list(range(size))
    assert [each.name for each in pieces[0]] == ["", "view"]
    first = plan.first()
    assert [len(each.batch) for each in first.balanced] == [len(each.batch) for each in pieces[0]]
    assert first.micro_batches == 1
    assert not first.beside


def test_a_plan_without_balanced_parts_has_no_micro_batch():
    assert list(Plan(0, (), (), 2).pieces()) == []
    assert Plan(0, (), (), 2).first().balanced == ()
