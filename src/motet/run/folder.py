"""The run folder: its layout, and functions that never leave a file half written.

::

    runs/<name>-NNN/
      config.yaml  metrics.jsonl  environment.json  predictions/test.parquet
      model/{model.safetensors, config.json, preprocessing.json, README.md}
      checkpoints/{last,best}/
"""

import json
import math
import os
import platform
import shutil
import tempfile
from contextlib import suppress
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from motet.problems import InputError
from motet.writing import replacing

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
ENVIRONMENT = "environment.json"
MODEL = "model"
TEST_PREDICTIONS = "predictions/test.parquet"


def create(output: str | Path | None, name: str) -> Path:
    """Make the run folder: ``output`` itself, or the next free ``runs/<name>-NNN``.

    Returns:
        Path of the folder, empty.

    Raises:
        InputError: If ``output`` holds something already or cannot be made.
    """
    path = Path("runs" if output is None else output)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if output is None:
            path = _next_free(path, name)
        if any(path.iterdir()):
            raise InputError(f"the output folder {path} is not empty; name another, or remove it")
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"the output folder {path} cannot be written ({reason}); name another with --output"
        ) from None
    return path


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


def require_folder(path: Path) -> None:
    """Check that there is a folder at ``path``.

    Raises:
        InputError: If there is none; the message suggests one with a similar name.
    """
    if not path.exists():
        beside = path.absolute().parent
        found = [each.name for each in beside.iterdir() if each.is_dir()] if beside.is_dir() else []
        near = get_close_matches(path.name, found, n=1)
        meant = f"did you mean {str(path.with_name(near[0]))!r}?" if near else ""
        raise InputError(f"there is no folder {str(path)!r}; {meant or 'expected a run folder'}")


def check_output(path: str | Path, suffixes: tuple[str, ...]) -> Path:
    """Check that a file can be written at ``path`` without replacing one.

    Returns:
        The path.

    Raises:
        InputError: If the suffix is not among ``suffixes``, the file exists, or its folder does
            not.
    """
    path = Path(path)
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
    for name in ("motet", "torch", "numpy", "pyarrow", "pydantic", "safetensors", "torchmetrics"):
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
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(record), allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """Replace numbers that JSON cannot represent with None."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
