"""Rows of different length: padded per batch, batched by length, every row once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motet.data.arrays import ArrayData
from motet.data.ragged import POOL, Ragged, bucketed
from motet.problems import InputError

ROWS = st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=30)


def unpadded(batch):
    return [[value for value in row if value] for row in batch.tolist()]


@given(rows=ROWS, start=st.integers(0, 30), size=st.integers(1, 30))
def test_a_slice_holds_its_rows_padded_to_the_longest_of_them(rows, start, size):
    batch = Ragged.of(rows, fill=0)[start : start + size]
    chosen = rows[start : start + size]
    assert unpadded(batch) == chosen
    assert batch.shape[1] == max([1, *map(len, chosen)])


@given(rows=ROWS, size=st.integers(1, 8), seed=st.integers(0, 3))
def test_an_epoch_has_every_row_once_with_its_own_target(rows, size, seed):
    data = ArrayData({"ids": Ragged.of(rows, fill=0)}, {"y": list(range(len(rows)))})
    batches = list(data.epoch(size, seed=seed, number=1))
    assert [len(batch.targets["y"]) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    seen = {}
    for batch in batches:
        seen |= zip(batch.targets["y"].tolist(), unpadded(batch.inputs["ids"]), strict=True)
    assert seen == dict(enumerate(rows))


@given(rows=ROWS, size=st.integers(1, 8))
def test_evaluation_takes_every_row_once_with_its_number_and_the_longest_first(rows, size):
    data = ArrayData({"ids": Ragged.of(rows, fill=0)}, {"y": list(range(len(rows)))})
    batches = list(data.once(size))
    seen, lengths = {}, []
    for numbers, batch in batches:
        assert numbers.tolist() == batch.targets["y"].tolist()
        found = unpadded(batch.inputs["ids"])
        seen |= zip(numbers.tolist(), found, strict=True)
        lengths += map(len, found)
    assert seen == dict(enumerate(rows))
    assert lengths == sorted(lengths, reverse=True)
    assert len(batches) == data.steps(size)


def test_an_epoch_that_was_left_goes_on_with_the_same_batches():
    data = ArrayData(Ragged.of([[1] * (n % 7) for n in range(40)], fill=0), {"y": range(40)})
    whole = [batch.targets["y"].tolist() for batch in data.epoch(3, seed=1, number=2)]
    rest = [batch.targets["y"].tolist() for batch in data.epoch(3, seed=1, number=2, done=5)]
    assert rest == whole[5:]


def test_rows_of_a_batch_have_like_lengths_and_batches_come_at_random():
    lengths = torch.randint(1, 100, (4000,), generator=torch.Generator().manual_seed(0))
    order = torch.randperm(4000, generator=torch.Generator().manual_seed(1))
    batches = lengths[bucketed(order, lengths, 16, seed=0, epoch=1)].reshape(-1, 16)
    padding = 1 - batches.sum() / (batches.max(dim=1).values * 16).sum()
    assert padding < 0.02
    first = batches[:POOL].float().mean(dim=1)
    assert not torch.equal(first, first.sort().values)


def test_lengths_that_do_not_add_up_are_refused():
    with pytest.raises(InputError, match="3 rows add up to 6, but there are 5 values"):
        Ragged(torch.zeros(5), torch.tensor([1, 2, 3]), fill=0)


@given(rows=ROWS, chosen=st.lists(st.integers(0, 29), max_size=9))
def test_rows_that_are_taken_keep_their_length(rows, chosen):
    chosen = [each % len(rows) for each in chosen]
    found = Ragged.of(rows, fill=0).take(chosen)
    assert [unpadded(found[place : place + 1])[0] for place in range(len(found))] == [
        rows[each] for each in chosen
    ]
    assert found.lengths.tolist() == [len(rows[each]) for each in chosen]
