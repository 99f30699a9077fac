"""The cache that runs share, outside of their folders, and its size limits.

Files are in ``frozen/`` under the folder that MOTET_CACHE names, else under ``~/.cache/motet``. No
run depends on the cache: missing files are computed again.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from motet.figures import counted

LARGEST_TOTAL = 10e9
"""Maximum total size in bytes; a larger file, which only ``cache_frozen: true`` makes, is kept
alone."""
DAYS = 30
"""Days after which an unused file is removed."""


@dataclass(frozen=True)
class Entry:
    """A file of the cache."""

    path: Path
    size: int
    used: float
    """When a run last used it, in seconds since 1970."""


def cache_folder() -> Path:
    """Return the folder of the files, which may not exist yet."""
    return Path(os.path.expanduser(os.environ.get("MOTET_CACHE") or "~/.cache/motet")) / "frozen"


def entries() -> list[Entry]:
    """Return all files, the most recently used first."""
    return sorted(_found(), key=lambda entry: entry.used, reverse=True)


def make_room(size: int) -> None:
    """Remove files unused for `DAYS` days, then the least recently used, so that one more fits."""
    room, oldest = LARGEST_TOTAL - size, time.time() - DAYS * 24 * 3600
    for entry in entries():
        room -= entry.size
        if room < 0 or entry.used < oldest:
            _remove(entry)
            room += entry.size


def clear() -> list[Entry]:
    """Remove all files.

    Returns:
        The removed files.
    """
    found = entries()
    for entry in found:
        _remove(entry)
    return [entry for entry in found if not entry.path.exists()]


def cache_lines() -> Iterator[str]:
    """List the files, with when each was last used."""
    found = entries()
    for entry in found:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        yield f"{used}  {size_text(entry.size):>10}  {entry.path}"
    yield f"{usage(found)} in {cache_folder()}"


def usage(found: list[Entry]) -> str:
    """Describe the size of the cache, and its limit."""
    files = counted(len(found), "file")
    total = size_text(sum(entry.size for entry in found))
    return f"{files}, {total} of at most {size_text(LARGEST_TOTAL)}"


def size_text(size: float) -> str:
    """Format a number of bytes."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def _found() -> Iterator[Entry]:
    with suppress(OSError):  # no such folder, or no permission to read it
        for path in cache_folder().iterdir():
            with suppress(OSError):  # another run may remove it
                status = path.stat()
                yield Entry(path, status.st_size, status.st_mtime)


def _remove(entry: Entry) -> None:
    with suppress(OSError):  # another run may be using it
        entry.path.unlink()
