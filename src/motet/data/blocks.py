"""Encoded rows in a file, in blocks of a few hundred, so that memory need not hold them.

Each block is one safetensors text with all arrays of its rows. Their places and checksums are in an
index, which is JSON; so a file that is damaged is recognised, and reading one runs no code. Blocks
are read by plain reads, which leave nothing in the memory of the process.
"""

import json
import os
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from motet.data.images.opening import Opening
from motet.data.images.stored import Images
from motet.data.label_arrays import joined_labels
from motet.data.lanes import Piece
from motet.data.ragged import Ragged
from motet.problems import InputError
from motet.writing import writing

ROWS = 512
"""Rows of a block: fewer mix better, more cost less to read."""
_LENGTHS = " lengths"

Arrays = dict[str, NDArray[Any]]
Openings = dict[tuple[str, ...], Opening]
"""How images are opened, by the names that lead to them."""


class Leaf(NamedTuple):
    """One array of a tree of rows."""

    path: tuple[str, ...]
    """The names that lead to it."""
    fill: int | None
    """Padding of rows of different length; None where all have one length."""

    @property
    def name(self) -> str:
        """Its name in a block."""
        return json.dumps(self.path)


class Entry(NamedTuple):
    """A block in the file."""

    rows: int
    size: int
    """Bytes; blocks follow each other without a gap."""
    checksum: int
    """CRC-32."""


class Blocks:
    """Rows in a file.

    Args:
        path: The file.
        leaves: The arrays of the rows.
        entries: The blocks, in order.
        images: For each branch whose leaves are the parts of images, how they are opened.
    """

    def __init__(
        self,
        path: Path,
        leaves: Sequence[Leaf],
        entries: Sequence[Entry],
        images: Openings | None = None,
    ) -> None:
        self._path, self.leaves, self.entries = path, tuple(leaves), tuple(entries)
        self.images = images or {}
        sizes = np.array([each.size for each in entries], np.int64)
        self._offsets = sizes.cumsum() - sizes
        self.sizes = np.array([each.rows for each in entries], np.int64)
        """Rows of each block."""
        self.starts = self.sizes.cumsum() - self.sizes
        """Number of the first row of each block."""

    def __len__(self) -> int:
        return int(self.sizes.sum())

    def reader(self) -> "Reader":
        """Return what reads the blocks; close it."""
        return Reader(self._path, self)

    def verify(self) -> None:
        """Read all blocks.

        Raises:
            InputError: If one is damaged.
        """
        with self.reader() as reader:
            for block in range(len(self.entries)):
                reader.arrays(block)

    def state(self) -> dict[str, Any]:
        """Return the index, as JSON can hold it."""
        return {
            "leaves": [list(each) for each in self.leaves],
            "blocks": [*map(list, self.entries)],
            "images": [[list(path), how.state()] for path, how in self.images.items()],
        }

    @staticmethod
    def of(path: Path, state: Mapping[str, Any]) -> "Blocks":
        """Return the rows of which `state` returned the index."""
        leaves = [Leaf(tuple(names), fill) for names, fill in state["leaves"]]
        images = {tuple(names): Opening.of(how) for names, how in state["images"]}
        return Blocks(path, leaves, [Entry(*each) for each in state["blocks"]], images)

    def pieces(self, start: int, end: int) -> list[Piece]:
        """Return where the rows from ``start`` up to ``end`` are; of no rows, one piece."""
        blocks = range(*np.searchsorted(self.starts, [start, end], side="right") - [1, 0])
        firsts = self.starts[blocks.start : blocks.stop].tolist()
        sizes = self.sizes[blocks.start : blocks.stop].tolist()
        return [
            Piece(block, max(start - first, 0), min(end - first, size))
            for block, first, size in zip(blocks, firsts, sizes, strict=True)
        ]

    def numbers(self, pieces: Sequence[Piece]) -> NDArray[np.int64]:
        """Return the numbers of the rows of pieces."""
        return np.concatenate([np.arange(p.start, p.end) + self.starts[p.block] for p in pieces])

    def offset(self, block: int) -> int:
        """Return the place of a block in the file, in bytes."""
        return int(self._offsets[block])


class Reader:
    """Reads blocks of an open file."""

    def __init__(self, path: Path, blocks: Blocks) -> None:
        self._path, self._blocks = path, blocks
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise _damaged(path, error.strerror or str(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def arrays(self, block: int) -> Arrays:
        """Read one block, verified."""
        entry = self._blocks.entries[block]
        content = os.pread(self._file, entry.size, self._blocks.offset(block))
        if len(content) != entry.size or zlib.crc32(content) != entry.checksum:
            raise _damaged(self._path, f"block {block:,} has another content")
        try:
            return load(content)
        except SafetensorError as error:
            raise _damaged(self._path, str(error)) from None

    def rows(self, pieces: Sequence[Piece], only: Collection[str] = ()) -> dict[str, Any]:
        """Read rows, one piece after the other.

        Args:
            pieces: Where they are, at least one.
            only: The first names of the leaves to return; all if left out.

        Returns:
            The tree of all rows: arrays, `Ragged`, and `Images`.
        """
        found = [(self.arrays(each.block), slice(each.start, each.end)) for each in pieces]
        tree: dict[str, Any] = {}
        for leaf in self._blocks.leaves:
            if not only or leaf.path[0] in only:
                branch = tree
                for name in leaf.path[:-1]:
                    branch = branch.setdefault(name, {})
                branch[leaf.path[-1]] = _joined(leaf, found)
        for path, how in self._blocks.images.items():
            if not only or path[0] in only:
                branch = tree
                for name in path[:-1]:
                    branch = branch[name]
                branch[path[-1]] = Images.of_parts(how, branch[path[-1]])
        return tree


class Writer:
    """Writes rows into a new file, block by block; `finish` ends it.

    Args:
        path: The file.
        rows: Rows of a block.

    Raises:
        WriteError: If the disk is full, or the like; so do all methods.
    """

    def __init__(self, path: Path, rows: int = ROWS) -> None:
        self._path, self._rows = path, rows
        with writing(path):
            self._file = path.open("wb")
        self._leaves: tuple[Leaf, ...] = ()
        self._images: Openings = {}
        self._entries: list[Entry] = []
        self._waiting: Arrays = {}
        self._count = 0

    def add(self, tree: Mapping[str, Any], count: int) -> None:
        """Add rows.

        Args:
            tree: Their arrays, the same ones each time.
            count: Number of rows.
        """
        if not count:
            return
        self._images = self._images or dict(_openings(tree, ()))
        leaves = dict(_leaves(tree, ()))
        self._leaves = self._leaves or tuple(leaves)
        arrays: Arrays = {}
        for leaf, values in leaves.items():
            arrays |= _plain(leaf, values)
        if self._count:
            both = [(self._waiting, slice(0, self._count)), (arrays, slice(0, count))]
            arrays = {}
            for leaf in leaves:
                arrays |= _plain(leaf, _joined(leaf, both))
        total, start = self._count + count, 0
        while total - start >= self._rows:
            self._write(self._cut(arrays, start, start + self._rows), self._rows)
            start += self._rows
        self._count = total - start
        self._waiting = self._cut(arrays, start, total) if self._count else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with writing(self._path):  # what a full disk did not take is written again
            self._file.close()

    def finish(self) -> Blocks:
        """Write what is left, close the file, and return all rows."""
        if self._count:
            self._write(self._waiting, self._count)
        with writing(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        return Blocks(self._path, self._leaves, self._entries, self._images)

    def _cut(self, arrays: Arrays, start: int, end: int) -> Arrays:
        found: Arrays = {}
        for leaf in self._leaves:
            found |= _plain(leaf, _joined(leaf, [(arrays, slice(start, end))]))
        return found

    def _write(self, arrays: Arrays, rows: int) -> None:
        content = save({name: np.ascontiguousarray(each) for name, each in arrays.items()})
        with writing(self._path):
            self._file.write(content)
        self._entries.append(Entry(rows, len(content), zlib.crc32(content)))


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[Leaf, Any]]:
    for name, each in tree.items():
        if isinstance(each, Mapping):
            yield from _leaves(each, (*path, name))
        elif isinstance(each, Images):
            yield from _leaves(each.parts(), (*path, name))
        else:
            yield Leaf((*path, name), each.fill if isinstance(each, Ragged) else None), each


def _openings(
    tree: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Opening]]:
    for name, each in tree.items():
        if isinstance(each, Mapping):
            yield from _openings(each, (*path, name))
        elif isinstance(each, Images):
            yield (*path, name), each.how


def _plain(leaf: Leaf, values: Any) -> Arrays:
    if leaf.fill is None:
        return {leaf.name: values}
    return {leaf.name: values.values.numpy(), leaf.name + _LENGTHS: values.lengths.numpy()}


def _joined(leaf: Leaf, parts: Sequence[tuple[Arrays, slice]]) -> Any:
    """Join some rows of blocks."""
    if leaf.fill is None:
        return joined_labels([arrays[leaf.name][rows] for arrays, rows in parts])
    values, lengths = [], []
    for arrays, rows in parts:
        own = arrays[leaf.name + _LENGTHS]
        ends = own.cumsum()
        first = int(ends[rows.start - 1]) if rows.start else 0
        last = int(ends[rows.stop - 1]) if rows.stop else 0
        values.append(arrays[leaf.name][first:last])
        lengths.append(own[rows])
    joined = torch.from_numpy(np.concatenate(values)), torch.from_numpy(np.concatenate(lengths))
    return Ragged(*joined, leaf.fill)


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(
        f"the encoded rows in {path} are damaged ({reason}); continue with motet resume, which "
        "makes them again"
    )
