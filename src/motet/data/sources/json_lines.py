"""JSON lines: one object per line, whose keys are the columns; Arrow infers types.

A key that a line does not have is missing there, and so are null and empty texts among other
values, see `motet.data.empty`. Empty lines are skipped. A column whose texts are all dates or times
without a zone gets that type, unless it is in ``strings``. Lists of texts stay so.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from motet.data.empty import is_empty
from motet.data.sources.signatures import refuse_binary
from motet.data.sources.streams import FileRows
from motet.problems import InputError, shown

_BLOCK = 1 << 20
_ROW = re.compile(r"in row (\d+)")
"""The row of a block in a message of Arrow."""
_ZONED = r"\d[T ]\d.*(Z|[+-]\d{2}(:?\d{2})?)$"
_KINDS = {
    bool: "a truth value",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}


def read_json_lines(path: Path, strings: Collection[str] = ()) -> pa.Table:
    """Read a file of JSON lines.

    Args:
        path: The file.
        strings: Columns whose texts stay texts, even if they are all dates.

    Returns:
        The table, perhaps without rows.

    Raises:
        InputError: If a line is not an object, or a column changes its type; the message names it.
    """
    refuse_binary(path, "JSON lines")
    longest = _longest_line(path)
    try:
        return _read(lambda: path, strings, longest)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        complaint = _complaint(path)
        if not complaint:  # a text among other values may be an empty cell
            with suppress(pa.ArrowInvalid):
                content = _without_empty(path)
                return _read(lambda: BytesIO(content), strings, longest)
            complaint = f"{error} (the first row is 0); correct that row"
        raise InputError(f"{path}: {complaint}") from None


@final
class JsonLinesRows(FileRows):
    """The rows of a file of JSON lines, block by block; see `read_json_lines`.

    The types are those of the whole file, as all of it is parsed once for them. A text among other
    values may be an empty cell, and the file is then read slowly, line by line.
    """

    def __init__(self, path: Path, strings: Collection[str] = ()) -> None:
        self._path = path
        refuse_binary(path, "JSON lines")
        _longest_line(path)
        try:
            self._cleaned = False
            self.schema, self.count = self._typed(strings)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            complaint = _complaint(path)
            if complaint:
                raise InputError(f"{path}: {complaint}") from None
            self._cleaned = True
            try:
                self.schema, self.count = self._typed(strings)
            except pa.ArrowException:
                raise InputError(
                    f"{path}: {error} (the first row is 0); correct that row"
                ) from None

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        chosen = pa.schema([self.schema.field(name) for name in columns])
        for block in self._blocks():
            yield _parsed(block, chosen, others="ignore")

    def _typed(self, strings: Collection[str]) -> tuple[pa.Schema, int]:
        found, count = pa.schema([]), 0
        for block in self._blocks():
            table = _inferred(block, count)
            table.validate(full=True)  # Arrow does not check that texts are UTF-8
            found = _merged(found, _with_texts(table, strings, partial(_parsed, block)).schema)
            count += len(table)
        return found, count

    def _blocks(self) -> Iterator[bytes]:
        """Yield whole lines, of about ``_BLOCK`` bytes together."""
        lines: list[bytes] = []
        size = 0
        for _, line in numbered_lines(self._path):
            lines.append(_cleaned(line) if self._cleaned else line)
            size += len(line)
            if size >= _BLOCK:
                yield b"\n".join(lines)
                lines, size = [], 0
        if lines:
            yield b"\n".join(lines)


def _inferred(block: bytes, first: int) -> pa.Table:
    """Parse a block, whose first row has a number that errors are to count from."""
    try:
        return _parsed(block)
    except pa.ArrowInvalid as error:
        message = _ROW.sub(lambda row: f"in row {int(row[1]) + first}", str(error))
        raise pa.ArrowInvalid(message) from None


def _parsed(block: bytes, schema: pa.Schema | None = None, others: str = "infer") -> pa.Table:
    return pa.json.read_json(
        BytesIO(block),
        pa.json.ReadOptions(block_size=len(block) + 1),
        pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others),
    )


def _merged(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    """Return the columns of two blocks, with the types that both have in one file."""
    found = {field.name: field for field in one}
    for field in other:
        known = found.get(field.name)
        kind = field.type if known is None else _common(known.type, field.type)
        found[field.name] = pa.field(field.name, kind)
    return pa.schema(list(found.values()))


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type that Arrow gives values of two types in one column of JSON.

    Raises:
        ArrowTypeError: If they go together in none.
    """
    kinds = pa.types
    if kinds.is_struct(one) and kinds.is_struct(other):
        return pa.struct(list(_merged(pa.schema(list(one)), pa.schema(list(other)))))
    if kinds.is_list(one) and kinds.is_list(other):
        return pa.list_(_common(one.value_type, other.value_type))
    if {one, other} == {pa.string(), pa.timestamp("s")}:
        return pa.string()
    schemas = [pa.schema([("", kind)]) for kind in (one, other)]
    common: pa.DataType = pa.unify_schemas(schemas, promote_options="permissive").types[0]
    if kinds.is_string(common) != (kinds.is_string(one) or kinds.is_string(other)):
        raise pa.ArrowTypeError(f"{one} and {other}")
    return common


def _read(source: Callable[[], Path | BytesIO], strings: Collection[str], longest: int) -> pa.Table:
    table = _parse(source(), None, longest)
    table.validate(full=True)  # Arrow does not check that texts are UTF-8
    return _with_texts(table, strings, lambda schema: _parse(source(), schema, longest))


def _with_texts(
    table: pa.Table, strings: Collection[str], again: Callable[[pa.Schema], pa.Table]
) -> pa.Table:
    """Return a table with texts for points in time in lists, with a zone, or in ``strings``.

    Arrow converts them to UTC and forgets the zone.

    Args:
        table: What Arrow inferred.
        strings: Columns to keep as texts.
        again: Parses the same rows, with types for some columns.
    """
    wanted = {field.name: _untimed(field.type) for field in table.schema}
    changed = [n for n, kind in wanted.items() if kind != table.schema.field(n).type]
    if not changed:
        return table
    texts = again(pa.schema([(name, wanted[name]) for name in changed]))
    for name in changed:
        column = texts[name]
        if name in strings or pa.types.is_list(column.type) or _has_zone(column):
            table = table.set_column(table.column_names.index(name), name, column)
    return table


def _has_zone(texts: pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, _ZONED)).as_py())


def _untimed(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(_untimed(kind.value_type))
    return pa.string() if pa.types.is_timestamp(kind) else kind


def _without_empty(path: Path) -> bytes:
    return b"\n".join(_cleaned(line) for _, line in numbered_lines(path))


def _cleaned(line: bytes) -> bytes:
    row = json.loads(line)
    return json.dumps({n: None if is_empty(value) else value for n, value in row.items()}).encode()


def _parse(source: Path | BytesIO, schema: pa.Schema | None, longest: int) -> pa.Table:
    return pa.json.read_json(
        source,
        pa.json.ReadOptions(block_size=max(_BLOCK, 2 * longest)),  # a line must fit in two blocks
        pa.json.ParseOptions(explicit_schema=schema),
    )


def _longest_line(path: Path) -> int:
    """Check that every line is an object, as a bare `null` can crash Arrow."""
    longest = 0
    for number, line in numbered_lines(path):
        longest = max(longest, len(line))
        if not (line.startswith(b"{") and line.endswith(b"}")):
            raise InputError(f"{path}: {_no_object(number, line)}")
    return longest


def _complaint(path: Path) -> str | None:
    """Find the first line that cannot be read, slowly, and return the reason."""
    seen: dict[str, tuple[str, int]] = {}
    for number, line in numbered_lines(path):
        try:
            row = json.loads(line.decode(), object_pairs_hook=_distinct)
        except UnicodeDecodeError:
            return f"line {number} is not UTF-8 text; save the file as UTF-8"
        except (ValueError, RecursionError) as error:
            return f"{_no_object(number, line)} ({error})"
        for name, value in row.items():
            kind = None if is_empty(value) else _KINDS.get(type(value))
            first, where = seen.setdefault(name, (kind, number)) if kind else (None, 0)
            if first != kind:
                return (
                    f"column {name!r} is {kind} in line {number}, but {first} in line {where}; "
                    "expected one type in all lines"
                )
    return None


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number, from 1, and the trimmed content of each line that is not empty."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            trimmed = line.removeprefix(b"\xef\xbb\xbf").strip()
            if trimmed:
                yield number, trimmed


def _no_object(number: int, line: bytes) -> str:
    text = line[:200].decode(errors="replace")
    return f'line {number} is {shown(text)}, expected one object per line, such as {{"age": 30}}'


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return row
