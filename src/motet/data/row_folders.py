"""Where rows came from: the folder that paths in them are relative to, kept with their schema."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import pyarrow as pa

from motet.problems import InputError

_FOLDER = b"motet.folder"
_SEVERAL = b""


def with_folder(schema: pa.Schema, folders: Collection[Path]) -> pa.Schema:
    """Return a schema of rows of files in some folders."""
    distinct = {each.resolve() for each in folders}
    name = os.fsencode(next(iter(distinct))) if len(distinct) == 1 else _SEVERAL
    return schema.with_metadata({**(schema.metadata or {}), _FOLDER: name})


def together(schemas: Iterable[pa.Schema]) -> dict[bytes, bytes] | None:
    """Return the metadata of the rows of several tables in one: the folder, if they share it."""
    found = {(each.metadata or {}).get(_FOLDER) for each in schemas}
    name = found.pop() if len(found) == 1 else _SEVERAL
    return None if name is None else {_FOLDER: name}


def folder_of(schema: pa.Schema, what: str) -> Path:
    """Return the folder that relative paths in rows start from; the working folder of frames.

    Args:
        schema: Schema of the rows.
        what: What reads them, to begin a message with.

    Raises:
        InputError: If the rows are of files in several folders.
    """
    found = (schema.metadata or {}).get(_FOLDER)
    if found is None:
        return Path.cwd()
    if found == _SEVERAL:
        raise InputError(
            f"{what} holds relative paths, and the rows are of files in several folders; give "
            "root, the folder that they start from, or absolute paths"
        )
    return Path(os.fsdecode(found))
