"""Many images: from their paths or bytes to pixels, in threads."""

import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.images.reading import Corrupt, Resize, decode, file_of

T = TypeVar("T")

_MOST_WORKERS = 16


@dataclass(frozen=True)
class Opening:
    """How the pixels of an input are made; a plain record, as blocks of a stream keep it."""

    channels: int
    size: tuple[int, int]
    """Height and width."""
    resize: Resize
    mean: tuple[float, ...]
    """Mean of each channel, of pixels from 0 to 1; of arrays of other numbers, of those."""
    std: tuple[float, ...]
    lacking: bool = False
    """Whether batches say which rows have an image, even where all have one."""
    augmentation: dict[str, Any] | None = None
    workers: int | None = None
    """Threads; as many as this process has cores, 16 at most, if None."""

    def state(self) -> dict[str, Any]:
        """Return everything, as JSON can hold it."""
        return asdict(self)

    @staticmethod
    def of(state: dict[str, Any]) -> "Opening":
        """Return what `state` returned."""
        made: dict[str, Any] = {
            name: tuple(each) if isinstance(each, list) else each for name, each in state.items()
        }
        return Opening(**made)


class Encoded(NamedTuple):
    """Images as rows have them."""

    content: pa.Array
    """Paths, absolute, or bytes; null where there is none. Of the type large_binary, (N,)."""
    paths: NDArray[np.bool_]
    """Which are paths, (N,)."""
    checksums: NDArray[np.int64]
    """CRC-32 of the file of each image, (N,), -1 where it was not read yet, so that a file that
    changes while a model trains is noticed."""

    def at(self, row: int) -> bytes | Path | None:
        """Return the image of a row."""
        found = self.content[row].as_py()
        if found is None:
            return None
        return Path(os.fsdecode(found)) if self.paths[row] else found

    def take(self, rows: Any) -> "Encoded":
        """Return some rows."""
        chosen = np.asarray(rows)
        content = self.content.take(pa.array(chosen))
        return Encoded(content, self.paths[chosen], self.checksums[chosen])


def opened(
    images: Encoded, rows: Sequence[int], how: Opening, into: NDArray[Any] | None
) -> dict[int, str]:
    """Decode images.

    Args:
        images: All images; checksums that are unknown are filled in, others are compared.
        rows: The numbers of those to decode, (B,).
        how: How.
        into: Where to, uint8 (B, H, W, C); rows without an image stay as they are. None only tries
            whether they can be decoded.

    Returns:
        The problem of each image that cannot be decoded, by the number of its row.
    """

    def one(numbered: tuple[int, int]) -> str:
        place, row = numbered
        found = images.at(row)
        if found is None:
            return ""
        try:
            content = found if isinstance(found, bytes) else file_of(found)
            checksum, known = zlib.crc32(content), int(images.checksums[row])
            if known not in (-1, checksum):
                raise Corrupt("has changed since it was checked")
            images.checksums[row] = checksum
            pixels = decode(content, how.channels, how.size, how.resize)
        except Corrupt as error:
            return str(error)
        if into is not None:
            into[place] = pixels
        return ""

    found = in_threads(one, list(enumerate(rows)), how.workers)
    return {row: problem for row, problem in zip(rows, found, strict=True) if problem}


def in_threads(function: Callable[[Any], T], items: Sequence[Any], workers: int | None) -> list[T]:
    """Apply a function to items in threads, which is fast where it waits for files or decodes."""
    count = min(workers or _cores(), len(items))
    if count <= 1:
        return list(map(function, items))
    return list(_pool(workers or _cores(), os.getpid()).map(function, items))


def _cores() -> int:
    return min(len(os.sched_getaffinity(0)), _MOST_WORKERS) if _AFFINITY else os.cpu_count() or 1


_AFFINITY = hasattr(os, "sched_getaffinity")


@cache
def _pool(workers: int, process: int) -> ThreadPoolExecutor:
    """Return threads that live as long as the process, one set after a fork too."""
    return ThreadPoolExecutor(workers, thread_name_prefix=f"motet-images-{process}")
