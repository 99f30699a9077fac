"""The interface of sources: where the rows of a run come from."""

from abc import ABC, abstractmethod
from collections.abc import Collection

import pyarrow as pa

from motet.data.row_names import row_name


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

    @property
    def title(self) -> str:
        """What messages call the source."""
        return type(self).__name__

    def row_name(self, row: int) -> str:
        """Return what messages call a row, such as "row 6"."""
        return row_name(row)
