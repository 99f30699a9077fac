"""The order of streams: every row once, the same on any number of processes, resumable."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.lanes import LaneOrder

BLOCKS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def rows(order: LaneOrder, own: range | None = None) -> list[list[int]]:
    return [each.tolist() for each in order.rows(own)]


@given(BLOCKS, st.integers(1, 50), st.integers(1, 9), st.integers(1, 100), st.integers(0, 3))
def test_every_row_once_in_batches_of_the_size(
    blocks: list[int], size: int, lanes: int, buffer: int, epoch: int
) -> None:
    order = LaneOrder(blocks, size, seed=1, epoch=epoch, lanes=lanes, buffer=buffer)
    batches = rows(order)
    total = sum(blocks)
    assert sorted(row for batch in batches for row in batch) == list(range(total))
    assert [len(batch) for batch in batches] == [
        size,
    ] * (total // size) + [total % size] * (total % size > 0)


@given(BLOCKS, st.integers(1, 50), st.sampled_from([(4, 2), (8, 4), (8, 2), (6, 3)]))
def test_processes_have_the_rows_of_their_lanes(
    blocks: list[int], size: int, lanes: tuple[int, int]
) -> None:
    count, processes = lanes
    order = LaneOrder(blocks, size, seed=1, epoch=2, lanes=count, buffer=30)
    own = [range(r * count // processes, (r + 1) * count // processes) for r in range(processes)]
    shares = [rows(order, each) for each in own]
    whole = rows(order)
    joined = [[row for share in batch for row in share] for batch in zip(*shares, strict=True)]
    assert joined == whole
    for batch in range(len(whole)):
        is_rest = len(whole[batch]) < size
        for each, share in zip(own, shares, strict=True):
            assert whole[batch][order.shares(each)[is_rest]] == share[batch]
    blocks_read = [
        {piece.block for n in range(order.windows) for piece in order.window(n, each).pieces}
        for each in own
    ]
    for one, other in pairwise(blocks_read):  # but for the block in which one lane ends
        assert len(one & other) <= 1


def test_the_order_is_that_of_seed_and_epoch() -> None:
    def of(seed: int, epoch: int) -> list[list[int]]:
        return rows(LaneOrder([100] * 10, 32, seed=seed, epoch=epoch))

    assert of(0, 0) == of(0, 0)
    assert of(0, 0) != of(0, 1) != of(1, 0)


def test_a_window_is_computed_alone() -> None:
    order = LaneOrder([64] * 40, 50, seed=0, epoch=0, buffer=400)
    batches, found = rows(order), []
    starts = np.arange(40) * 64
    for number in reversed(range(order.windows)):
        window = order.window(number)
        assert {order.window_of(window.first + n) for n in range(len(window.sizes))} == {number}
        joined = [starts[p.block] + np.arange(p.start, p.end) for p in window.pieces]
        there = np.split(np.concatenate(joined)[window.order()], np.cumsum(window.sizes)[:-1])
        found = [*(each.tolist() for each in there), *found]
    assert found == batches


def test_no_rows_have_no_batches() -> None:
    assert rows(LaneOrder([], 5, seed=0, epoch=0)) == []


def test_rows_of_a_batch_have_similar_lengths() -> None:
    order = LaneOrder([1000] * 20, 100, seed=0, epoch=0, buffer=8000)
    lengths = np.random.default_rng(0).permutation(20_000)
    for number in range(order.windows):
        window = order.window(number)
        own = np.concatenate([lengths[p.block * 1000 :][p.start : p.end] for p in window.pieces])
        places = window.order(own)
        assert sorted(places) == list(range(len(own)))
        spread = np.ptp(own[places[: len(places) // 100 * 100]].reshape(-1, 100), axis=1)
        assert spread.mean() < 1500


@pytest.mark.parametrize("sorted_by", ["nothing", "class"])
def test_batches_are_mixed(sorted_by: str) -> None:
    """Shares of a class in batches of 512 vary little more than by chance, even in sorted rows."""
    blocks, size, total = [1024] * 400, 512, 400 * 1024
    labels = np.arange(total) < total // 2
    if sorted_by == "nothing":
        labels = np.random.default_rng(0).permutation(labels)
    shares = [labels[batch].mean() for batch in LaneOrder(blocks, size, seed=0, epoch=0).rows()]
    by_chance = 0.5 / np.sqrt(size)
    assert 0.8 < np.std(shares) / by_chance < (1.2 if sorted_by == "nothing" else 2.5)
