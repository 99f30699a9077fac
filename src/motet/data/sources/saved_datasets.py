"""Folders that ``save_to_disk`` of Hugging Face `datasets` writes, read without that package.

::

    reviews/                     a DatasetDict: one folder for each split
      dataset_dict.json          {"splits": ["train", "test"]}
      train/                     a Dataset
        state.json               the names of its files, in order
        dataset_info.json        its features; the names of classes
        data-00000-of-00002.arrow ...

Labels that `datasets` stores as numbers of named classes, alone or in lists, become these names;
negative ones are missing. The rows of a DatasetDict are those of all its splits, whose names, if it
has several, are in the column ``split``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from motet.problems import InputError, reason

SPLIT = "split"
"""Column of the names of splits."""
_STATE, _INFO, _SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"


@dataclass(frozen=True)
class DataFile:
    """A file with rows of a source."""

    name: str
    """What messages call it."""
    path: Path
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns that hold numbers of named classes, with the names."""
    split: str | None = None
    """The split of all its rows, where the source is split already."""


def is_saved_dataset(path: Path) -> bool:
    """Return whether a folder is what ``save_to_disk`` writes."""
    return (path / _SPLITS).is_file() or (path / _STATE).is_file()


def files_of_dataset(name: str, path: Path) -> Iterator[DataFile]:
    """Yield the files of a saved data set in order.

    Args:
        name: What messages call the folder.
        path: The folder.

    Yields:
        The files; of several splits, those of one after the other.

    Raises:
        InputError: If the folder lacks files, or names some outside of it.
    """
    if not (path / _SPLITS).is_file():
        yield from _files(name, path, None)
        return
    splits = _names(path / _SPLITS, "splits", lambda content: content["splits"])
    for split in splits:
        if not is_saved_dataset(path / split):
            raise InputError(
                f"{path / _SPLITS} names the split {split!r}, and there is no data set in "
                f"{path / split}; save it again, or name the folder of another split"
            )
        marked = split if len(splits) > 1 else None
        yield from _files(f"{name}/{split}", path / split, marked)


def _files(name: str, path: Path, split: str | None) -> Iterator[DataFile]:
    state = path / _STATE
    found = _names(state, "_data_files", lambda c: [e["filename"] for e in c["_data_files"]])
    if _read(state).get("_indices_data_files"):
        raise InputError(
            f"{path} holds all rows and a choice of them, as old versions of `datasets` saved it; "
            "load it there and save it again"
        )
    classes = dict(_classes(path / _INFO))
    yield from (DataFile(f"{name}/{each}", path / each, classes, split) for each in found)


def _classes(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the columns of named classes; a list has them under "feature", or is a list itself."""
    if not path.is_file():
        return
    features = _read(path).get("features") or {}
    for name, kind in features.items():
        while isinstance(kind, list) or (isinstance(kind, dict) and "feature" in kind):
            kind = kind[0] if isinstance(kind, list) else kind["feature"]
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and kind.get("names"):
            yield name, tuple(map(str, kind["names"]))


def _names(path: Path, key: str, get: Any) -> list[str]:
    """Read names of files or folders, which must be inside the folder itself."""
    try:
        names = list(get(_read(path)))
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path} has no list {key!r} ({reason(error)}); save the data set again with "
            "save_to_disk"
        ) from None
    for name in names:
        if not isinstance(name, str) or name in ("", ".", "..") or Path(name).name != name:
            raise InputError(f"{path} names {name!r}; expected names without folders")
    return names


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read ({reason(error)}); save the data set again with save_to_disk"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is not what save_to_disk of `datasets` writes")
    return content


def with_names(table: pa.Table, file: DataFile) -> pa.Table:
    """Replace numbers of classes by their names, and add the column of the split.

    Args:
        table: Rows of plain types.
        file: The file that they are from.

    Returns:
        The rows, with texts and lists of texts where classes have names.

    Raises:
        InputError: If a number has no name, or the column of splits is there already.
    """
    for name, classes in file.classes.items():
        place = table.schema.get_field_index(name)
        if place >= 0:
            what = f"{file.name}: column {name!r}"
            chunks = table[name].chunks or [pa.array([], table[name].type)]
            named = pa.chunked_array([_named(chunk, classes, what) for chunk in chunks])
            table = table.set_column(place, name, named)
    if file.split is None:
        return table
    if SPLIT in table.column_names:
        raise InputError(
            f"{file.name} has a column {SPLIT!r}, which is to name the split of each row; give the "
            f"folders of the splits instead, such as {file.name.rpartition('/')[0]}"
        )
    return table.append_column(SPLIT, pa.repeat(file.split, len(table)))


def _named(column: pa.Array, classes: tuple[str, ...], what: str) -> pa.Array:
    if pa.types.is_integer(column.type):
        numbers = pc.if_else(pc.less(column, 0), None, column)
        most = pc.max(numbers).as_py()
        if most is not None and most >= len(classes):
            raise InputError(f"{what} has the class {most:,}, but {len(classes):,} have names")
        return pa.array(classes, pa.string()).take(numbers)
    if not hasattr(column.type, "value_type"):
        return column
    names = _named(column.flatten(), classes, what)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array([0, *lengths.cumsum()], pa.int32())
    mask = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(offsets, names, mask=mask)
