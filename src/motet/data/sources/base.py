"""The interface of sources: where the rows of a run come from."""

from abc import ABC, abstractmethod
from collections.abc import Collection

import pyarrow as pa

from motet.data.row_names import row_name
from motet.data.sources.streams import RowStream
from motet.problems import InputError


class Source(ABC):
    """Where rows come from.

    Your own kind takes keyword-only arguments, which become its options in a config, and
    defines `read`. After ``motet.register("source", "mine", Mine)`` a config can name it:
    ``data: {sources: {main: {type: mine}}}``.
    """

    @abstractmethod
    def read(self, strings: Collection[str] = ()) -> pa.Table:
        """Read all rows.

        Args:
            strings: Columns to keep as text, if their type is not known otherwise: text in training
                must not become a number because today's values happen to be digits.

        Returns:
            A table of plain types with at least one row, whose empty cells are null, as
            `motet.data.sources.as_table` makes it of any frame or mapping of columns.

        Raises:
            InputError: If the rows cannot be read.
        """

    def stream(self, strings: Collection[str] = ()) -> RowStream:
        """Read the rows in parts: the same rows, of the same types, as `read` returns.

        Args:
            strings: As for `read`.

        Returns:
            The rows, in constant memory.

        Raises:
            InputError: If they cannot be read, or not in parts.
        """
        raise InputError(
            f"{self.title} cannot be read in parts; define stream() in {type(self).__name__}, or "
            "remove stream, so that the whole table is read"
        )

    def signature(self) -> str | None:
        """Return what changes when the rows do, without reading them; None if that is unknown."""
        return None

    @property
    def title(self) -> str:
        """What messages call the source."""
        return type(self).__name__

    @property
    def split_column(self) -> str | None:
        """Column that names the split of each row, if the source is split already."""
        return None

    def row_name(self, row: int) -> str:
        """Return what messages call a row, such as "row 6"."""
        return row_name(row)
