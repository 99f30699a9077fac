"""Where rows come from: files, bundled data sets, frames and arrays, all read into one table.

Several files, by a pattern or a list, are the parts of one table, in the order of their names or of
the list.

The whole table is in memory, about the size of the columns; types are brought down to a few by
`motet.data.plain`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from glob import escape, glob
from numbers import Number
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa

from motet.data.empty import is_empty, without_empty
from motet.data.files import near_files, read_file
from motet.data.plain import check_names, plain
from motet.data.uniting import texts_in_some, unite
from motet.problems import InputError, shown
from motet.registry import DATASETS

_BUNDLED = "motet://"
_UNREADABLE = (pa.ArrowException, TypeError, ValueError, RuntimeError, OverflowError)
"""What Arrow and NumPy raise for values that are no column."""


def read(source: Any, base: Path | None = None, *, strings: Collection[str] = ()) -> pa.Table:
    """Read rows from wherever they are; what cannot be read as a table raises `InputError`.

    Args:
        source: A path of a .csv, .parquet or .jsonl file, a pattern such as "data/*.parquet", or a
            list of those; ``motet://NAME``, a bundled data set; a frame of pandas or polars, or any
            other object with the Arrow stream interface; or a mapping from column to array, (N,) or
            (N, D).
        base: Folder that relative paths start from; the working folder if left out.
        strings: Columns to keep as text, whatever they look like: what was a text in training must
            not become a number because today's values happen to be digits.

    Returns:
        Table with at least one row; empty cells are null, see `motet.data.empty`.

    Example:
        >>> read({"age": [30.0, float("nan")], "clip": np.zeros((2, 3))}).schema
        age: double
        clip: fixed_size_list<item: double>[3]
          child 0, item: double
    """
    if are_places(source):
        return _read_files(files_of(source, base), strings)
    if isinstance(source, pa.Table):
        table = plain(source, "the table")
    elif isinstance(source, Mapping):
        table = plain(_from_arrays(source), "the mapping of columns")
    else:
        table = plain(_from_frame(source), "the frame")
    return without_empty(table, strings)


def absolute(source: str | Sequence[str], base: Path) -> str | list[str]:
    """Return paths and patterns as they are to be written down, to mean the same from any folder.

    Args:
        source: What a config gives: a path, a pattern, ``motet://NAME``, or several of those.
        base: Folder that relative paths start from.

    Returns:
        The same with absolute paths; patterns are still patterns, and new files match them.
    """
    if not isinstance(source, str):
        return [str(absolute(each, base)) for each in source]
    if source.startswith(_BUNDLED):
        return source
    path = Path(source).expanduser()
    if _is_pattern(source, base / path):
        return str(Path(escape(str(base.resolve()))) / path)
    return str((base / path).resolve())


def are_places(source: Any) -> TypeGuard[str | Path | Sequence[str | Path]]:
    """Tell whether something is a path, or a list of paths."""
    if isinstance(source, (list, tuple)):
        return bool(source) and all(isinstance(each, (str, Path)) for each in source)
    return isinstance(source, (str, Path))


def files_of(
    source: str | Path | Sequence[str | Path], base: Path | None
) -> list[tuple[str, Path]]:
    """Return the files of a source in order, each with its name in messages.

    Raises:
        InputError: If a pattern matches no file, or no bundled data set has the name.
    """
    places = [source] if isinstance(source, (str, Path)) else source
    return [file for place in places for file in _files(place, base)]


def _is_pattern(source: str | Path, path: Path) -> bool:
    return any(sign in str(source) for sign in "*?[") and not path.exists()


def _files(source: str | Path, base: Path | None) -> Iterator[tuple[str, Path]]:
    """Yield the files that a place stands for, each with its name in messages."""
    if str(source).startswith(_BUNDLED):
        yield str(source), DATASETS[str(source).removeprefix(_BUNDLED)]()
        return
    given = Path(source).expanduser()
    path = (base or Path()) / given
    if not _is_pattern(source, path):
        yield str(source), path
        return
    found = glob(str(Path(escape(str(base or Path()))) / given), recursive=True)
    files = sorted(file for file in map(Path, found) if file.is_file())
    if not files:
        raise InputError(f"no file matches the pattern {str(path)!r}{near_files(path)}")
    yield from ((str(file), file) for file in files)


def _read_files(files: Sequence[tuple[str, Path]], strings: Collection[str]) -> pa.Table:
    seen: set[Path] = set()
    for name, path in files:
        if path.resolve() in seen:
            raise InputError(f"the source has {name} twice; name it once, or its rows count double")
        seen.add(path.resolve())
    tables = {name: _read_file(name, path, strings) for name, path in files}
    texts = texts_in_some(tables.values())
    if texts:  # what one file holds as digits another holds as texts, so it is a column of texts
        strings = {*strings, *texts}
        tables = {name: _read_file(name, path, strings) for name, path in files}
    return unite(tables)


def _read_file(name: str, path: Path, strings: Collection[str]) -> pa.Table:
    table = plain(read_file(path, strings), name)
    return without_empty(table, strings, is_csv=path.suffix.lower() == ".csv")


def _from_frame(frame: Any) -> pa.Table:
    kind = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
    try:
        if kind == "pandas.DataFrame":
            check_names(list(frame.columns), "the frame")
            return pa.table({str(name): _from_values(frame[name], name) for name in frame.columns})
        if hasattr(frame, "__arrow_c_stream__"):
            return pa.table(frame)
    except (pa.ArrowException, TypeError) as error:
        reason = "; ".join(str(part) for part in error.args)
        raise InputError(
            f"the {kind} cannot be read as a table ({reason}); expected a frame whose columns "
            "hold one type each, e.g. frame['column'].astype(str)"
        ) from None
    collect = "; call .collect() first" if hasattr(frame, "collect") else ""
    raise InputError(
        f"the data are a {kind}, expected a path, a frame of pandas or polars, a pyarrow table, or "
        f"a mapping from column to array{collect}"
    )


def _from_values(values: Any, name: Any) -> pa.Array | pa.ChunkedArray:
    """Read one value per row; empty texts among values of another type are missing."""
    try:
        return pa.array(values, from_pandas=True)
    except _UNREADABLE as found:
        error = found
    known = [None if is_empty(value) else value for value in values]
    with suppress(*_UNREADABLE):
        return pa.array(known, from_pandas=True)
    texts = [row for row, value in enumerate(known) if isinstance(value, str)]
    numbers = sum(isinstance(value, Number) for value in known)
    if texts and numbers:
        raise InputError(
            f"column {name!r} mixes numbers ({numbers:,}) and texts ({len(texts):,}), first "
            f"{shown(known[texts[0]])} in row {texts[0]:,}; expected one type in all rows: correct "
            "them, or turn all into texts, e.g. frame['column'].astype(str)"
        )
    raise InputError(
        f"column {name!r} cannot be read ({error}); expected one number or text per row"
    )


def _from_arrays(columns: Mapping[Any, Any]) -> pa.Table:
    check_names(list(columns), "the mapping of columns")
    arrays = {str(name): _from_array(values, name) for name, values in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name!r} {length:,}" for name, length in lengths.items())
        raise InputError(f"the columns have different lengths: {found}; expected one per row")
    return pa.table(arrays)


def _from_array(values: Any, name: Any) -> Any:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if isinstance(values, (list, tuple)):
        return _from_values(values, name)
    try:
        array = np.asarray(values)
        if array.ndim == 2 and array.shape[1]:
            flat = pa.array(np.ascontiguousarray(array).ravel(), from_pandas=True)
            return pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
    except _UNREADABLE as error:
        raise InputError(
            f"column {name!r} cannot be read ({error}); expected an array with one number or text "
            "per row, (N,), or one row of numbers per row, (N, D)"
        ) from None
    if array.ndim == 1:
        return _from_values(array, name)
    raise InputError(
        f"column {name!r} is {shown(values) if array.ndim == 0 else f'of shape {array.shape}'}, "
        "expected an array (N,) or (N, D); reshape it to two axes"
    )
