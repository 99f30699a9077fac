"""Places in a config, such as "data/*.parquet" or "motet://adult", and the files they stand for."""

import re
from collections.abc import Iterator, Sequence
from glob import escape, glob
from pathlib import Path
from typing import Any, TypeGuard

from motet.data.sources.formats import near_files
from motet.data.sources.saved_datasets import DataFile, files_of_dataset, is_saved_dataset
from motet.problems import InputError
from motet.registry import DATASETS

Places = str | Path | Sequence[str | Path]
"""A path of a file or a saved data set, a pattern, ``motet://NAME``, or several of those."""

_BUNDLED = "motet://"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def are_places(given: Any) -> TypeGuard[Places]:
    """Return whether something is a path, or a list of paths."""
    if isinstance(given, (list, tuple)):
        return bool(given) and all(isinstance(each, (str, Path)) for each in given)
    return isinstance(given, (str, Path))


def files_of(places: Places, base: Path | None) -> list[DataFile]:
    """Return the files of places in order.

    Args:
        places: The places.
        base: Folder of relative paths; the working folder if left out.

    Returns:
        The files; a pattern without a match, or an unknown data set, raises `InputError`.
    """
    several = [places] if isinstance(places, (str, Path)) else places
    return [file for place in several for file in _files(place, base)]


def absolute(places: str | Sequence[str], base: Path) -> str | list[str]:
    """Return paths and patterns that mean the same from any folder.

    Args:
        places: A path, a pattern, ``motet://NAME``, or several of those.
        base: Folder of relative paths.

    Returns:
        The same with absolute paths; patterns are still patterns, and new files match them.
    """
    if not isinstance(places, str):
        return [str(absolute(each, base)) for each in places]
    if _ADDRESS.match(places):
        return places
    path = Path(places).expanduser()
    if _is_pattern(places, base / path):
        return str(Path(escape(str(base.resolve()))) / path)
    return str((base / path).resolve())


def _is_pattern(place: str | Path, path: Path) -> bool:
    return any(sign in str(place) for sign in "*?[") and not path.exists()


def _files(place: str | Path, base: Path | None) -> Iterator[DataFile]:
    if str(place).startswith(_BUNDLED):
        yield DataFile(str(place), DATASETS[str(place).removeprefix(_BUNDLED)]())
        return
    if _ADDRESS.match(str(place)):
        raise InputError(
            f"found the address {place}, expected a file on this machine, or motet://NAME; "
            "download it first"
        )
    given = Path(place).expanduser()
    path = (base or Path()) / given
    if is_saved_dataset(path):
        yield from files_of_dataset(str(place).rstrip("/"), path)
        return
    if not _is_pattern(place, path):
        yield DataFile(str(place), path)
        return
    found = glob(str(Path(escape(str(base or Path()))) / given), recursive=True)
    files = sorted(file for file in map(Path, found) if file.is_file())
    if not files:
        raise InputError(f"no file matches the pattern {str(path)!r}{near_files(path)}")
    yield from (DataFile(str(file), file) for file in files)
