"""JSON files of a run with a digest of their content, so that damage is recognised."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motet.problems import InputError, reason
from motet.run.folder import write_json

_DIGEST = "digest"


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object with its digest."""
    write_json(path, {**content, _DIGEST: _digest_of(content)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a JSON object and verify its digest; files of earlier versions have none.

    Returns:
        The object, without the digest.

    Raises:
        InputError: If the file was cut or changed since it was written, or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop(_DIGEST, None)
        whole = digest is None or digest == _digest_of(content)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is not what motet writes: {reason(error)}; restore it from a copy"
        ) from None
    if not whole:
        raise InputError(f"{path} was changed since motet wrote it; restore it from a copy")
    return dict(content)


def file_digest(path: Path) -> str:
    """Compute the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
