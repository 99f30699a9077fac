"""Several files as one stream of rows, of the types that the whole table of them has."""

from collections.abc import Collection, Iterator, Sequence
from typing import final

import pyarrow as pa

from motet.data.empty import TextCells
from motet.data.plain import check_names, plain, plain_type, require_rows
from motet.data.row_folders import with_folder
from motet.data.sources.formats import open_file
from motet.data.sources.saved_datasets import DataFile, with_names
from motet.data.sources.streams import ROWS, FileRows, RowStream, in_parts
from motet.data.sources.uniting import texts_in_some, unite


@final
class FileStream(RowStream):
    """The rows of files, one file after the other.

    A pass through the columns whose type depends on their values, such as those of texts, which may
    all be numbers and empty cells, decides the types.

    Args:
        files: The files.
        strings: Columns to keep as text, if the format has no types of its own.

    Raises:
        InputError: If a file cannot be read, or they have different columns.
    """

    def __init__(self, files: Sequence[DataFile], strings: Collection[str] = ()) -> None:
        self._files = [_PlainFile(file, strings) for file in files]
        empty = [each.schema.empty_table() for each in self._files]
        texts = texts_in_some(empty)
        if texts:  # a column with digits in one file and texts in another is text
            strings = {*strings, *texts}
            self._files = [_PlainFile(file, strings) for file in files]
            empty = [each.schema.empty_table() for each in self._files]
        names = [file.name for file in files]
        schema = unite(dict(zip(names, empty, strict=True))).schema
        self.schema = with_folder(schema, [file.path.parent for file in files])
        self.count = sum(each.count for each in self._files)

    def tables(self, rows: int = ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        names = self.schema.names if columns is None else list(columns)
        fields = [self.schema.field(name) for name in names]
        schema = pa.schema(fields, self.schema.metadata)
        return in_parts(
            (
                table.select(names).cast(schema, safe=False)
                for file in self._files
                for table in file.tables(names)
            ),
            rows,
        )


class _PlainFile:
    """One file, its columns reduced to plain types; its empty cells are null."""

    def __init__(self, file: DataFile, strings: Collection[str]) -> None:
        self._file = file
        self._rows: FileRows = open_file(file.path, strings)
        self.count = self._rows.count
        found = self._rows.schema
        check_names(found.names, file.name)
        require_rows(found, self.count, file.name)
        types = {field.name: plain_type(field.type) for field in found}
        is_csv = file.path.suffix.lower() == ".csv"
        self._cells = {
            name: TextCells(name in strings, is_csv)
            for name, kind in types.items()
            if pa.types.is_string(kind)
        }
        wide = [name for name, kind in types.items() if pa.types.is_uint64(kind)]
        types |= dict.fromkeys(wide, pa.int64())
        if self._cells or wide:
            for table in self._plain([*self._cells, *wide]):
                for name, cells in self._cells.items():
                    cells.add(table[name])
                for name in wide:
                    if pa.types.is_floating(table[name].type):
                        types[name] = pa.float64()
        types |= {name: cells.type for name, cells in self._cells.items()}
        self.schema = with_names(pa.schema(list(types.items())).empty_table(), file).schema

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        own = set(self._rows.schema.names)
        # the column of the split is not in the file, and rows need some column
        there = [name for name in columns if name in own] or self._rows.schema.names[:1]
        for table in self._plain(there):
            for place, name in enumerate(there):
                if name in self._cells:
                    column = self._cells[name].converted(table[name])
                    table = table.set_column(place, name, column)
            yield with_names(table, self._file)

    def _plain(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        first = 0
        for table in self._rows.tables(columns):
            yield plain(table.select(columns), self._file.name, first)
            first += len(table)
