"""Writing files so that each appears whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it takes the place of ``path`` only when writing succeeded.

    Processes and threads that write the same file at the same time each get a separate path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.stem}-{own}{path.suffix}")
    temporary.touch()
    usual = temporary.stat().st_mode
    try:
        yield temporary
        temporary.chmod(usual)  # some writers narrow it
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
