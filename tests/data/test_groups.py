"""Rows that belong together are in one batch, whatever the sizes, the epoch and the seed."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from motet.data.arrays import ArrayData
from motet.data.batches import Batch
from motet.data.groups import RowGroups
from motet.training.plan import Part

NUMBERS = st.lists(st.integers(-1, 12), min_size=1, max_size=80)
SIZES = st.integers(1, 40)


def sets(numbers):
    """The rows of each group; a negative number stands alone."""
    found = {}
    for row, number in enumerate(numbers):
        found.setdefault(number if number >= 0 else -1 - row, set()).add(row)
    return list(found.values())


def check_whole(batches, numbers, size):
    assert sorted(row for rows in batches for row in rows.tolist()) == list(range(len(numbers)))
    held = [set(rows.tolist()) for rows in batches]
    groups = sets(numbers)
    for group in groups:
        assert any(group <= rows for rows in held)
    for rows in held:
        assert rows
        assert len(rows) <= size or rows in groups  # a large one is alone


@given(numbers=NUMBERS, size=SIZES, seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_batches_hold_whole_groups_and_as_many_in_every_epoch(numbers, size, seed, epoch):
    groups = RowGroups([torch.tensor(numbers)])
    batches = groups.epoch(size, seed=seed, number=epoch)
    check_whole(batches, numbers, size)
    assert len(batches) == groups.steps(size)
    check_whole(groups.in_order(size), numbers, size)


@given(numbers=NUMBERS, count=st.integers(1, 9))
def test_pieces_hold_whole_groups(numbers, count):
    pieces = RowGroups([torch.tensor(numbers)]).pieces(count)
    check_whole(pieces, numbers, len(numbers))
    assert len(pieces) <= count


def test_pieces_of_equal_groups_have_equal_sizes():
    pieces = RowGroups([torch.arange(40) // 5]).pieces(4)
    assert [len(rows) for rows in pieces] == [10] * 4


@given(one=NUMBERS, seed=st.integers(0, 9))
def test_rows_that_two_tasks_group_are_joined_through_both(one, seed):
    other = torch.randint(-1, 12, (len(one),), generator=torch.Generator().manual_seed(seed))
    groups = sets(one) + sets(other.tolist())
    joined = []
    for group in groups:  # by hand: merge whatever overlaps
        touching = [each for each in joined if each & group]
        joined = [each for each in joined if not each & group] + [group.union(*touching)]
    found = RowGroups([torch.tensor(one), other]).in_order(1)
    assert sorted(sorted(rows.tolist()) for rows in found) == sorted(map(sorted, joined))


def test_orders_differ_between_epochs_and_seeds_and_repeat():
    groups = RowGroups([torch.arange(300) // 3])
    drawn = [
        [rows.tolist() for rows in groups.epoch(32, seed=seed, number=number)]
        for seed, number in ((0, 1), (0, 1), (0, 2), (1, 1))
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2] != drawn[3] != drawn[0]


def data():
    numbers = torch.tensor([0, 1, 0, 2, 2, 1, 3, 0])
    made = ArrayData({"x": torch.arange(8.0)}, {"a": torch.arange(8)})
    made.groups = RowGroups([numbers])
    return made


def test_rows_in_memory_come_in_whole_groups_and_an_epoch_is_resumed_inside():
    rows = data()
    drawn = [batch.targets["a"].tolist() for batch in rows.epoch(4, seed=0, number=3)]
    assert len(drawn) == rows.steps(4)
    assert sorted(map(sorted, drawn)) != [[0, 1, 2, 3], [4, 5, 6, 7]]
    left = [batch.rows.tolist() for batch in rows.epoch(4, seed=0, number=3, done=1)]
    assert left == drawn[1:]
    once = list(rows.once(4))
    assert [numbers.tolist() for numbers, _ in once] == [[0, 2, 7], [1, 5, 3, 4], [6]]
    assert all(numbers.equal(batch.targets["a"]) for numbers, batch in once)


def test_groups_follow_the_rows():
    rows = data()
    assert rows.to("cpu").groups is rows.groups
    some = rows.rows([7, 3, 0, 4])
    assert [batch.targets["a"].tolist() for _, batch in some.once(2)] == [[7, 0], [3, 4]]


def test_a_part_with_groups_is_cut_between_them():
    numbers = torch.arange(8)
    groups = RowGroups([torch.tensor([0, 1, 0, 1, 2, 2, 3, 3])])
    pieces = Part(Batch(numbers, {"a": numbers}, numbers), ["a"], groups=groups).cut(2)
    assert [each.batch.rows.tolist() for each in pieces] == [[0, 2, 1, 3], [4, 5, 6, 7]]
    assert all(each.batch.rows.equal(each.batch.targets["a"]) for each in pieces)
