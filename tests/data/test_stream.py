"""Rows on disk: the same rows as in memory, in an order that resumes anywhere."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from motet.data.ahead import ahead
from motet.data.batches import Batch
from motet.data.blocks import Blocks, Writer
from motet.data.ragged import Ragged
from motet.data.stream import StreamData
from motet.data.tensors import map_leaves
from motet.problems import InputError

N = 1000


def tree(start: int, end: int) -> dict[str, object]:
    rows = np.arange(start, end)
    lengths = torch.from_numpy(rows % 7)
    values = torch.from_numpy(np.repeat(rows, rows % 7))
    width = 2 + (start > 300)
    tags = np.full((len(rows), width), -100)
    tags[:, :2] = rows[:, None]
    return {
        "inputs": {
            "numbers": np.stack([rows, -rows], axis=1).astype(np.float32),
            "texts": {"review": Ragged(values, lengths, -1)},
        },
        "targets": {"a": rows.astype(np.float32), "tags": tags},
        "weights": {"a": np.ones(len(rows), np.float32)},
    }


@pytest.fixture
def blocks(tmp_path: Path) -> Blocks:
    writer = Writer(tmp_path / "rows", rows=64)
    for start, end in ((0, 10), (10, 10), (10, 400), (400, 999), (999, N)):
        writer.add(tree(start, end), end - start)
    return Blocks.of(tmp_path / "rows", writer.finish().state())


def check(batch: Batch) -> None:
    """Check that a batch has the rows it names."""
    assert batch.rows is not None
    rows = batch.rows
    assert torch.equal(batch.inputs["numbers"], torch.stack([rows, -rows], 1).float())
    review = batch.inputs["texts"]["review"]
    assert torch.equal((review >= 0).sum(1), rows % 7)
    assert torch.equal(review.max(1).values, torch.where(rows % 7 > 0, rows, -1))
    assert batch.targets["a"] is not None
    assert batch.targets["tags"] is not None
    assert torch.equal(batch.targets["a"], rows.float())
    assert torch.equal(batch.targets["tags"][:, 1], rows)
    assert bool((batch.targets["tags"][:, 2:] == -100).all())


def same(one: Batch, other: Batch) -> bool:
    equal: list[bool] = []
    for name in ("inputs", "targets", "weights"):
        theirs: list[torch.Tensor] = []
        map_leaves(theirs.append, getattr(other, name))
        ours: list[torch.Tensor] = []
        map_leaves(ours.append, getattr(one, name))
        equal += [torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)]
    return all(equal)


def test_epochs_have_every_row_once(blocks: Blocks) -> None:
    data = StreamData(blocks, buffer=200)
    assert (len(data), data.steps(32)) == (N, 32)
    assert (data.labelled, data.weighted) == ({"a", "tags"}, {"a"})
    found = list(data.epoch(32, seed=1, number=0))
    assert [len(batch) for batch in found] == [32] * 31 + [8]
    for batch in found:
        check(batch)
    rows = torch.cat([batch.rows for batch in found if batch.rows is not None])
    assert rows.sort().values.tolist() == list(range(N))
    again = torch.cat([b.rows for b in data.epoch(32, seed=1, number=1) if b.rows is not None])
    assert not torch.equal(rows, again)


@pytest.mark.parametrize("done", [0, 1, 5, 6, 7, 31, 32])
def test_an_epoch_resumes_at_any_batch(blocks: Blocks, done: int) -> None:
    data = StreamData(blocks, buffer=200)
    whole = list(data.epoch(32, seed=1, number=2))
    rest = list(data.epoch(32, seed=1, number=2, done=done))
    assert len(rest) == 32 - done
    assert all(same(*each) for each in zip(whole[done:], rest, strict=True))


def test_resuming_reads_only_what_is_left(blocks: Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    from motet.data.blocks import Reader

    read: list[int] = []
    arrays = Reader.arrays
    monkeypatch.setattr(
        Reader, "arrays", lambda self, block: (read.append(block), arrays(self, block))[1]
    )
    list(StreamData(blocks, buffer=200).epoch(32, seed=1, number=2, done=30))
    assert len(read) <= 8 * 2  # each lane's rows of one window are in two blocks at most


def test_processes_have_shares_of_the_same_batches(blocks: Blocks) -> None:
    whole = list(StreamData(blocks, buffer=200).epoch(30, seed=1, number=0))
    shares = [
        list(StreamData(blocks, buffer=200, rank=rank, processes=4).epoch(30, seed=1, number=0))
        for rank in range(4)
    ]
    for batch, *own in zip(whole, *shares, strict=True):
        rows = [each.rows for each in own if each.rows is not None]
        if all(len(each) for each in rows):
            check(own[0])
        assert batch.rows is not None
        assert sorted(torch.cat(rows).tolist()) == sorted(batch.rows.tolist())
    with pytest.raises(InputError, match="8 lanes and 3 processes; expected a multiple"):
        StreamData(blocks, processes=3)


def test_evaluation_has_every_row_once(blocks: Blocks) -> None:
    batches = list(StreamData(blocks).once(48))
    numbers = torch.cat([rows for rows, _ in batches if rows is not None])
    assert numbers.sort().values.tolist() == list(range(N))
    for rows, batch in batches:
        assert torch.equal(rows, batch.rows)
        check(batch)


def test_rows_are_checked_and_learned_from_once(blocks: Blocks) -> None:
    class Sum:
        def __init__(self, target: torch.Tensor, weights: torch.Tensor | None = None) -> None:
            self.total = float(target.sum())

        def merged(self, other: "Sum") -> "Sum":
            self.total += other.total
            return self

    data, seen = StreamData(blocks), []
    data.inspect(lambda batch, what: seen.append(len(batch)), {"a": Sum})
    assert data.label_statistics({"a": Sum})["a"].total == N * (N - 1) / 2
    assert data.label_statistics({"a": Sum})["a"].total == N * (N - 1) / 2
    assert sum(seen) == N


def test_damage_is_recognised(blocks: Blocks, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"block 15 has another content.*motet resume"):
        list(StreamData(blocks).once(64))
    path.write_bytes(content[:5000])
    with pytest.raises(InputError, match="damaged"):
        list(StreamData(blocks).epoch(64, seed=0, number=0))
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        list(StreamData(blocks).once(64))


def test_threads_end_with_their_readers(blocks: Blocks) -> None:
    epoch = StreamData(blocks, buffer=64).epoch(8, seed=0, number=0)
    next(epoch)
    assert any(each.name == "motet-ahead" for each in threading.enumerate())
    epoch.close()  # type: ignore[attr-defined]
    assert not any(each.name == "motet-ahead" for each in threading.enumerate())


def test_errors_come_after_the_items_before_them() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise InputError("bad row")

    found: list[int] = []
    with pytest.raises(InputError, match="bad row"):
        found.extend(ahead(items()))
    assert found == [1, 2]
