"""The rows of one split of a finished run, drawn again from the data that it was made with."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.config import Config
from motet.data.sources import as_source, read, stream_of
from motet.problems import InputError
from motet.run.given_rows import LabelledRows
from motet.run.origin_rows import Fingerprint, read_fingerprint, rows_of_known_split
from motet.run.reading import split_rows, streamed_splits


def rows_of_split(
    path: Path, config: Config, data: Any, rows: LabelledRows, name: str
) -> NDArray[np.int64]:
    """Return the numbers of the rows of a split.

    Args:
        path: The run folder.
        config: The config of the run.
        data: The data that the user gave.
        rows: Its rows.
        name: The split.

    Raises:
        InputError: If the rows are not those of the run, or there is no such split.
    """
    known = read_fingerprint(path, rows.source)
    if known is None:
        raise InputError(
            f"split: {path} holds only a model, not how rows were split; expected the run folder"
        )
    if len(known.like_parts(rows.labels, rows.count)) < len(rows.tasks):
        raise InputError(
            f"split: found rows that are not the {known.rows:,} rows, in order, that the run "
            f"was made with; give those, or leave split out to evaluate all rows given"
        )
    if known.streamed:
        splits = streamed_splits(config, stream_of(as_source(data)))
    else:
        table = rows.reader.as_split(read(data), rows.source)
        splits = split_rows(config, table, rows.source)
    return rows_of_known_split(splits, name, known)


def seen_by(path: Path, rows: LabelledRows) -> Fingerprint | None:
    """Return what is known of the rows of a run, if these are them."""
    known = read_fingerprint(path, rows.source)
    return known if known and known.like_parts(rows.labels, rows.count) else None
