"""JSON lines: one object per line, whose keys are the columns; Arrow infers types.

A key that a line does not have is missing there, and so are null and empty texts among other
values, see `motet.data.empty`. Empty lines are skipped. A column whose texts are all dates or times
gets that type, unless it is in ``strings``.
"""

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json

from motet.data.empty import is_empty
from motet.data.sources.signatures import refuse_binary
from motet.problems import InputError, shown

_BLOCK = 1 << 20
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


def _read(source: Callable[[], Path | BytesIO], strings: Collection[str], longest: int) -> pa.Table:
    table = _parse(source(), (), longest)
    dates = [
        field.name
        for field in table.schema
        if field.name in strings and pa.types.is_timestamp(field.type)
    ]
    if dates:
        table = _parse(source(), dates, longest)
    table.validate(full=True)  # Arrow does not check that texts are UTF-8
    return table


def _without_empty(path: Path) -> bytes:
    rows = (json.loads(line) for _, line in numbered_lines(path))
    cleaned = (
        {name: None if is_empty(value) else value for name, value in row.items()} for row in rows
    )
    return "\n".join(json.dumps(row) for row in cleaned).encode()


def _parse(source: Path | BytesIO, texts: Collection[str], longest: int) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in texts])
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
