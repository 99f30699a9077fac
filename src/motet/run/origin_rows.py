"""Recognises the rows of a run, whatever file or frame they come from.

A `Fingerprint` is stored with the run: the number of rows, a digest of each task's labels, and one
of the splits. So evaluation warns about rows that trained the model, and splits can be drawn again
and verified.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.digests import RowsDigest, places_digest
from motet.data.preprocessing import Preprocessing
from motet.data.split_labels import SPLITS, WITH_CALIBRATION
from motet.data.splits import Splits
from motet.problems import MALFORMED, InputError, hint, reason
from motet.run.folder import ENVIRONMENT
from motet.run.prepared import AnyPrepared, Part
from motet.run.sealed import read_sealed
from motet.run.stream_prepared import PreparedStream

Labels = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Fingerprint:
    """What is stored about the rows of a run."""

    rows: int
    """Number of rows."""
    train: int
    """Number of training rows."""
    split: str
    labels: Mapping[str, str]
    streamed: bool = False
    """Whether digests are those of `motet.data.digests`, which add up over parts of the rows."""

    def like_parts(self, labels: Callable[[], Iterator[Labels]], rows: int) -> list[str]:
        """Return the tasks whose encoded labels are those of the run, for all rows in order.

        Args:
            labels: Returns the encoded labels of one part after the other, as often as called.
            rows: Their number of rows.

        Returns:
            Names of the tasks.
        """
        if rows != self.rows:
            return []
        if self.streamed:
            digests: dict[str, RowsDigest] = {}
            for part in labels():
                for task, own in part.items():
                    digests.setdefault(task, RowsDigest()).add(own)
            return self._equal(digests)
        widest: dict[str, tuple[int, ...]] = {}
        for part in labels():  # lists of labels are as long as the longest of their rows
            for task, own in part.items():
                shape = widest.setdefault(task, own.shape[1:])
                widest[task] = tuple(map(max, shape, own.shape[1:]))
        found: dict[str, Any] = {}
        for part in labels():
            for task, own in part.items():
                shape = (rows, *widest[task])
                digest = found.setdefault(task, _begun(own.dtype, shape))
                digest.update(_padded(own, shape[1:]).data)
        return self._equal(found)

    def _equal(self, digests: Mapping[str, Any]) -> list[str]:
        return [task for task, each in digests.items() if self.labels.get(task) == each.hexdigest()]


def stored(prepared: AnyPrepared) -> dict[str, Any]:
    """Return what a run stores about its rows: under "data", or by source under "sources"."""
    found = {name: asdict(fingerprint(part)) for name, part in prepared.parts.items()}
    return {"data": found[""]} if "" in found else {"sources": found}


def fingerprint(prepared: Part) -> Fingerprint:
    """Compute what to store about the rows of a source."""
    if isinstance(prepared, PreparedStream):
        found = prepared.counted
        count = prepared.counts["train"]
        return Fingerprint(found.rows, count, found.split, found.labels, streamed=True)
    split = prepared.rows.split
    return Fingerprint(
        len(prepared.rows.table),
        len(split.train),
        _split_digest(split),
        {task: _digest(values) for task, values in prepared.targets.items()},
    )


def read_fingerprint(run: Path, source: str = "") -> Fingerprint | None:
    """Read what was stored; None for a model folder, or a run of motet before 0.2."""
    path = run / ENVIRONMENT
    content = read_sealed(path) if path.is_file() else {}
    try:
        found = content.get("sources", {}).get(source) if source else content.get("data")
        if not found:
            return None
        rows, train = int(found["rows"]), int(found["train"])
        streamed = bool(found.get("streamed"))  # earlier runs were not
        return Fingerprint(rows, train, str(found["split"]), dict(found["labels"]), streamed)
    except MALFORMED as error:
        raise InputError(f"{path} is not what motet writes: {reason(error)}") from None


def seen_in_other_split(
    part: Part, run: Path, preprocessing: Preprocessing, source: str = ""
) -> bool:
    """Return whether a finished run was trained on these rows, split in another way.

    Args:
        part: The rows.
        run: Its folder.
        preprocessing: Its preprocessing, which encodes their labels as it did then.
        source: Name of the source, if there are several.
    """
    known = read_fingerprint(run, source)
    if known is None or known.rows != part.row_count:
        return False
    if isinstance(part, PreparedStream):
        own = part.counted
        same = any(known.labels.get(task) == each for task, each in own.labels.items())
        return same and known.split != own.split
    if known.split == _split_digest_like(known, part.rows.split):
        return False
    labels: dict[str, NDArray[Any]] = {}
    for task in preprocessing.tasks:
        with suppress(InputError):  # a column of this name may hold something else here
            labels |= preprocessing.targets(part.rows.table, only=[task])
    return bool(known.like_parts(lambda: iter([labels]), known.rows))


def rows_of_known_split(split: Splits, name: str, known: Fingerprint) -> NDArray[np.int64]:
    """Return the rows of one of the splits.

    Raises:
        InputError: If the split is unknown, empty, or not that of the run.
    """
    if name not in WITH_CALIBRATION:
        raise InputError(f"split: found {name!r}; {hint(name, WITH_CALIBRATION)}")
    if known.split != _split_digest_like(known, split):
        raise InputError(
            "split: these rows are not split as they were for the run; expected the same version "
            "of motet, and the same values in the columns that split.column and stratify name"
        )
    rows: NDArray[np.int64] = getattr(split, name)
    if not len(rows):
        raise InputError(f"split: the run has no {name} rows; choose another split")
    return rows


def _split_digest_like(known: Fingerprint, split: Splits) -> str:
    """Compute the digest of a split as that of a run was computed."""
    streamed = known.streamed and not len(split.calibration)  # which streams do not have
    return places_digest(split.places) if streamed else _split_digest(split)


def _split_digest(split: Splits) -> str:
    calibration = [split.calibration] if len(split.calibration) else []
    return _digest(*(getattr(split, name) for name in SPLITS), *calibration)


def _digest(*arrays: NDArray[Any]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(_header(array.dtype, array.shape))
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _begun(kind: Any, shape: tuple[int, ...]) -> Any:
    found = hashlib.blake2b(digest_size=16)
    found.update(_header(kind, shape))
    return found


def _header(kind: Any, shape: tuple[int, ...]) -> bytes:
    return f"{kind} {shape}".encode()


def _padded(labels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return labels in rows of a shape, missing where they have none."""
    if labels.shape[1:] == shape:
        return np.ascontiguousarray(labels)
    missing = -100 if np.issubdtype(labels.dtype, np.integer) else np.nan
    rows = np.full((len(labels), *shape), missing, labels.dtype)
    rows[tuple(map(slice, labels.shape))] = labels
    return rows
