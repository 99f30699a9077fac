"""Labels that training did not have: counted over parts of the rows, and reported."""

from typing import Any

import pyarrow as pa

from motet.data.row_names import RowName
from motet.data.selection import LISTED, listed
from motet.data.targets.base import Target


class Unseen:
    """Labels that no training row has, with their numbers, and the first rows that have them."""

    def __init__(self) -> None:
        self._counts: dict[Any, int] = {}
        self._places: dict[Any, tuple[RowName, int] | None] = {}

    def add(self, target: Target, table: pa.Table, name_row: RowName) -> None:
        """Count the labels of further rows.

        Args:
            target: The target of the task.
            table: The rows.
            name_row: Names each by its number among them.
        """
        for label, count in target.unseen(table).items():
            self._counts[label] = self._counts.get(label, 0) + count
            if label not in self._places and len(self._places) < LISTED:
                row = target.first_row(table, label)
                self._places[label] = None if row is None else (name_row, row)

    @property
    def note(self) -> str:
        """The report; empty if there are none."""
        if not self._counts:
            return ""
        found = [f"{label!r} ({self._described(label)})" for label in self._counts]
        return f"labels that no training row has count as missing: {listed(found)}"

    def _described(self, label: Any) -> str:
        place = self._places.get(label)
        where = "" if place is None else f", first in {place[0](place[1])}"
        return f"{self._counts[label]:,}{where}"
