"""Recognises the rows that a run was made with, whatever file or frame they come in.

`fingerprint` is kept with the run: the number of rows, a digest of each task's labels, and one of
the split. So rows that trained the model are noticed when they are given for evaluation, and the
split can be drawn anew and checked.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.splits import Split
from motet.problems import InputError, hint
from motet.run.folder import ENVIRONMENT
from motet.run.label_counts import SPLITS
from motet.run.preparing import Prepared

Labels = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of the rows of a run."""

    rows: int
    """How many there are."""
    train: int
    """How many of them are for training."""
    split: str
    labels: Mapping[str, str]

    def like(self, labels: Labels) -> list[str]:
        """Name the tasks that have these labels, encoded, in the rows of the run, all in order."""
        return [task for task, own in labels.items() if self.labels.get(task) == _digest(own)]


def fingerprint(prepared: Prepared) -> Fingerprint:
    """Compute what to keep of the rows of a run."""
    split = prepared.rows.split
    return Fingerprint(
        len(prepared.rows.table),
        len(split.train),
        _split_digest(split),
        {task: _digest(values) for task, values in prepared.targets.items()},
    )


def read_fingerprint(run: Path) -> Fingerprint | None:
    """Read what was kept; None where there is only the model, or a run of motet before 0.2."""
    path = run / ENVIRONMENT
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return Fingerprint(**content["data"]) if "data" in content else None


def rows_of(split: Split, name: str, known: Fingerprint) -> NDArray[np.int64]:
    """Return the rows of one of the splits.

    Raises:
        InputError: If there is no such split, it has no rows, or it is not that of the run.
    """
    if name not in SPLITS:
        raise InputError(f"split: found {name!r}; {hint(name, SPLITS)}")
    if _split_digest(split) != known.split:
        raise InputError(
            "split: these rows are not split as they were for the run; expected the same version "
            "of motet, and the same values in the columns that split.column and stratify name"
        )
    rows: NDArray[np.int64] = getattr(split, name)
    if not len(rows):
        raise InputError(f"split: the run has no {name} rows; choose another split")
    return rows


def _split_digest(split: Split) -> str:
    return _digest(*(getattr(split, name) for name in SPLITS))


def _digest(*arrays: NDArray[Any]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
