"""Rows of the data that a run was made from, read again for reports, where they still can be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from motet.config import Config, Origin
from motet.data.preprocessing import Preprocessing
from motet.data.sources import stream_of
from motet.data.sources.streams import TakenRows
from motet.problems import InputError
from motet.report.facts import Integers
from motet.run.given_sources import sources_of


class SourceRows:
    """Rows of the data that a run was made from, where they can still be read.

    Args:
        config: The config of the run.
        data: The rows, if the run got them from Python.
    """

    def __init__(self, config: Config, data: Any) -> None:
        self._config, self._data = config, data
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """Why rows could not be read."""
        return tuple(self._notes)

    def take(
        self, source: str, rows: Integers, columns: Sequence[str] | None, strings: Sequence[str]
    ) -> pa.Table | None:
        """Read some rows.

        Args:
            source: Name of the source.
            rows: Numbers of the rows.
            columns: Which columns; all if left out.
            strings: Columns that held texts.

        Returns:
            The rows, in their order; None, with a note, if they cannot be read.
        """
        try:
            return self._read(source, rows, columns, strings)
        except (InputError, OSError, KeyError, pa.ArrowInvalid) as error:
            self._notes[f"Inputs of rows are not shown: {error}"] = None
            return None

    def _read(
        self, source: str, rows: Integers, columns: Sequence[str] | None, strings: Sequence[str]
    ) -> pa.Table:
        given = sources_of(self._config, Origin(), self._data)[source]
        stream = stream_of(given, strings)
        if len(rows) and rows.max() >= stream.count:
            raise InputError(f"{given.title} has {stream.count:,} rows, fewer than the run had")
        order = np.argsort(rows, kind="stable")
        parts = list(TakenRows(stream, rows[order]).tables(columns=columns))
        table = pa.concat_tables(parts) if parts else stream.schema.empty_table()
        return table.take(pa.array(np.argsort(order, kind="stable")))

    def inputs(
        self, wanted: Mapping[str, Sequence[int]], preprocessing: Preprocessing
    ) -> dict[tuple[str, int], dict[str, str]]:
        """Return the inputs of some rows as texts.

        Args:
            wanted: Numbers of rows by source.
            preprocessing: What reads the inputs.

        Returns:
            By source and row, texts by column; nothing where rows cannot be read.
        """
        found = {}
        for source, rows in wanted.items():
            table = self.take(source, np.array(rows, dtype=np.int64), None, preprocessing.strings)
            if table is None:
                continue
            inputs = preprocessing.fitted_inputs.values()
            names = [name for each in inputs for name in each.columns(table.column_names)]
            there = [name for name in dict.fromkeys(names) if name in table.column_names]
            for row, values in zip(rows, table.select(there).to_pylist(), strict=True):
                found[source, row] = {name: _text(value) for name, value in values.items()}
        return found


def _text(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    if isinstance(value, list) and len(value) > 12:
        return f"[{', '.join(map(str, value[:12]))}, … {len(value) - 12:,} more]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
