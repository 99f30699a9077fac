"""The run folder: its layout, and functions that never leave a file half written.

::

    runs/<name>-NNN/
      config.yaml  metrics.jsonl  environment.json  analysis.json  data.json
      predictions/test.parquet
      model/{model.safetensors, config.json, preprocessing.json, learned.json, README.md}
      checkpoints/{last,best}/
      from_run.json  from_run/  what tasks of an earlier run lost, and a copy of its model
      export/                   models for other programs, with what they need
      cache/                    encoded rows, while a run streams them
"""

import hashlib
import json
import math
import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from motet.problems import InputError
from motet.run.lock import LOCK, holding
from motet.writing import replacing, sync, writing

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
ENVIRONMENT = "environment.json"
DATA = "data.json"
"""What the run was made from: rows and labels by split, inputs, and settings that data chose."""
ANALYSIS = "analysis.json"
"""How the gradients of tasks agreed while training, if there are several."""
MODEL = "model"
FROM_RUN = "from_run"
"""Folder of copies of the models of earlier runs that a run starts from."""
EARLIER = "from_run.json"
"""What the tasks of these runs lost."""
CACHE = "cache"
"""Folder of encoded rows, if they are streamed."""
LOGGERS = "loggers"
TEST_PREDICTIONS = "predictions/test.parquet"
FOLDS = "folds"
"""Folder of the runs of folds, if there are any."""


@contextmanager
def created(output: str | Path | None, name: str, parent: str = "runs") -> Iterator[Path]:
    """Make and hold a folder: ``output`` itself, or the next free ``<parent>/<name>-NNN``.

    Yields:
        Path of the folder, empty.

    Raises:
        InputError: If ``output`` holds something already, another process writes to it, or it
            cannot be made.
    """
    path = Path(parent if output is None else output)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if output is None:
            path = _next_free(path, name)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"the output folder {path} cannot be written ({reason}); name another with --output"
        ) from None
    with holding(path):
        if any(each.name != LOCK for each in path.iterdir()):
            raise InputError(f"the output folder {path} is not empty; name another, or remove it")
        yield path


def _next_free(runs: Path, name: str) -> Path:
    """Make the folder with the number after the last; another run may start at the same time."""
    start = f"{name}-"
    taken = [path.name[len(start) :] for path in runs.iterdir() if path.name.startswith(start)]
    number = max((int(each) for each in taken if each.isdecimal()), default=0)
    while True:
        number += 1
        path = runs / f"{start}{number:03d}"
        with suppress(FileExistsError):
            path.mkdir()
            return path


def remove(path: Path) -> None:
    """Remove an unusable run folder, so that its name is free again."""
    for each in path.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    with suppress(OSError):  # the working directory stays, empty
        path.rmdir()


def model_folder(path: Path) -> Path:
    """Return the ``model/`` folder of a run; a folder without one is one itself."""
    return path / MODEL if (path / MODEL).is_dir() else path


def folds_of(path: Path) -> list[Path]:
    """Return the folders of the runs of folds, in their order; none for another run."""
    found = (each for each in (path / FOLDS).glob("*") if each.name.isdecimal())
    return sorted(found, key=lambda each: int(each.name))


def require_folder(path: Path) -> None:
    """Check that there is a folder at ``path``.

    Raises:
        InputError: If there is none, or a file; the message suggests one with a similar name.
    """
    if not path.exists():
        beside = path.absolute().parent
        found = [each.name for each in beside.iterdir() if each.is_dir()] if beside.is_dir() else []
        near = get_close_matches(path.name, found, n=1)
        meant = f"did you mean {str(path.with_name(near[0]))!r}?" if near else ""
        raise InputError(f"there is no folder {str(path)!r}; {meant or 'expected a run folder'}")
    if path.is_file():
        raise InputError(f"{str(path)!r} is a file, expected a run folder")


def refuse_links(path: Path) -> None:
    """Check that nothing in a run folder leads out of it, as it is about to be written.

    Raises:
        InputError: If a link does.
    """
    inside = path.resolve()
    for here, folders, files in os.walk(path):
        for each in (Path(here, name) for name in (*folders, *files)):
            if each.is_symlink() and not each.resolve().is_relative_to(inside):
                raise InputError(
                    f"{each} is a link that leads out of the run folder, where files would be "
                    "written; put what it leads to in its place"
                )


def check_output(path: str | Path, suffixes: tuple[str, ...]) -> Path:
    """Check that a file can be written at ``path`` without replacing one.

    Returns:
        The path.

    Raises:
        InputError: If the suffix is not among ``suffixes``, the file exists or is a folder, or its
            folder does not.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(
            f"the output {path} is a folder, expected a file, such as {path / f'NAME{suffixes[0]}'}"
        )
    if path.suffix.lower() not in suffixes:
        raise InputError(
            f"the output {path} ends in {path.suffix or 'nothing'}, "
            f"expected {' or '.join(suffixes)}"
        )
    if path.exists():
        raise InputError(f"the output {path} exists; name another file, or remove it")
    if not path.absolute().parent.is_dir():
        raise InputError(f"the folder of the output {path} does not exist; make it first")
    if not os.access(path.absolute().parent, os.W_OK):
        raise InputError(f"the folder of the output {path} cannot be written; name another")
    return path


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON, indented."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def environment() -> dict[str, Any]:
    """Describe the environment of a run."""
    packages = {}
    for name in ("motet", "torch", "numpy", "pyarrow", "pydantic", "safetensors"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "unknown"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": packages,
    }


class JsonLines:
    """Appends records to a file, one JSON object per line; NaN becomes null."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: dict[str, Any]) -> None:
        """Append one record."""
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(record), allow_nan=False) + "\n")

    def mark(self) -> dict[str, Any]:
        """Return what `restore` needs to cut the file to its present content."""
        if not self.path.exists():
            return {"length": 0, "digest": _digest(b"")}
        with writing(self.path):
            sync(self.path)  # on the disk before a checkpoint that counts on it
        content = self.path.read_bytes()
        return {"length": len(content), "digest": _digest(content)}

    def restore(self, mark: Mapping[str, Any] | None) -> None:
        """Remove what was written since a mark was taken; all, if it is None.

        A file that was cut or changed is reported in a warning, and keeps the lines that can be
        read.

        Raises:
            InputError: If there is something else in its place.
        """
        if self.path.exists() and not self.path.is_file():
            raise InputError(f"{self.path} is not a file; remove it")
        content = self.path.read_bytes() if self.path.exists() else b""
        kept = content[: mark["length"]] if mark else b""
        if mark and _digest(kept) != mark["digest"]:
            good = [line for line in kept.splitlines(keepends=True) if _is_record(line)]
            kept = b"".join(good)
            warnings.warn(
                f"{self.path} was removed, cut or changed since the checkpoint; {len(good)} of its "
                "records can be read and are kept, and the model is not affected",
                stacklevel=6,
            )
        if kept != content:
            with replacing(self.path) as temporary:
                temporary.write_bytes(kept)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _is_record(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def finite(value: Any) -> Any:
    """Replace numbers that JSON cannot represent with None."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
