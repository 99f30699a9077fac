"""Imports without garbage collection."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Import what a command needs, torch among it, without looking for garbage meanwhile.

    What is imported stays, and Python would look through all of it again and again. Afterwards it
    is left out of collections for good, so that those of the run are short, too.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
