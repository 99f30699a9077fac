"""One process at a time writes to a run folder.

The lock is held on an open file (``flock``), so that it ends with the process, however that ends.
Between machines it holds as far as their file system supports it.
"""

import errno
import os
import platform
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from motet.problems import InputError

LOCK = ".lock"


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Hold a run folder while a process writes to it.

    Args:
        path: The folder.

    Raises:
        InputError: If another process holds it, or it cannot be written.
    """
    file = _opened(path)
    try:
        _write_holder(file)
        yield
    finally:
        (path / LOCK).unlink(missing_ok=True)  # before another process can hold it
        os.close(file)


def _opened(path: Path) -> int:
    """Open the lock file and lock it."""
    while True:
        try:
            file = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise InputError(
                f"the run folder {path} cannot be written ({error.strerror}); copy it to where it "
                "can be, and use the copy"
            ) from None
        if not _locked(file, path):
            holder = os.read(file, 200).decode(errors="replace")
            os.close(file)
            raise InputError(
                f"the run folder {path} is in use by {holder or 'another process'}; wait until "
                "it ends, or stop it first"
            )
        if _is_still_there(file, path / LOCK):
            return file
        os.close(file)  # its holder just ended, and removed it


def _locked(file: int, path: Path) -> bool:
    """Lock an open file; return False if another process did."""
    try:
        import fcntl
    except ImportError:
        warnings.warn(
            f"{path}: this system has no flock, so start no second process on it", stacklevel=6
        )
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        warnings.warn(
            f"{path} cannot be locked ({error.strerror}), so start no second process on it",
            stacklevel=6,
        )
    return True


def _is_still_there(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _write_holder(file: int) -> None:
    since = time.strftime("%Y-%m-%d %H:%M")
    os.ftruncate(file, 0)
    os.write(file, f"process {os.getpid()} on {platform.node()}, since {since}".encode())
