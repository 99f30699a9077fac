"""Writing files so that each appears whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


class WriteError(OSError):
    """A file cannot be written, as on a full disk; the message names it and the reason."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file in errors of writing it."""
    try:
        yield
    except WriteError:
        raise
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise WriteError(f"{path} cannot be written: {reason}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it takes the place of ``path`` only when writing succeeded.

    Processes and threads that write the same file at the same time each get a separate path.

    Raises:
        WriteError: If the disk is full, the folder is read-only, or the like.
    """
    own = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.stem}-{own}{path.suffix}")
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch()
            usual = temporary.stat().st_mode
            yield temporary
            temporary.chmod(usual)  # some writers narrow it
            sync(temporary)  # on the disk before it takes the place of the old one
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until the disk has what was written to a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
