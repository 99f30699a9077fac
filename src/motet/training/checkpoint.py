"""Checkpoint files: tensors and a JSON header in one safetensors file, with a checksum.

A file appears whole or not at all, and one that was cut or edited is recognised when it is read.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from motet.problems import InputError
from motet.writing import replacing

SUFFIX = ".safetensors"


def write_checkpoint(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write a checkpoint in place of ``path``, atomically.

    Args:
        path: The file.
        tensors: On the CPU; no two may share memory, which safetensors does not support.
        header: Values that JSON can hold.
    """
    kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
    text = json.dumps(header, allow_nan=False)
    with replacing(path) as temporary:
        save_file(kept, temporary, {"header": text, "checksum": _checksum(kept, text)})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint onto the CPU.

    Returns:
        Its tensors and its header.

    Raises:
        InputError: If the file does not exist, was cut, or was changed since it was written.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no iterator
        header, checksum = metadata["header"], metadata["checksum"]
        content = json.loads(header)
    except FileNotFoundError:
        raise InputError(f"there is no checkpoint {path}") from None
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as error:
        raise InputError(f"the checkpoint {path} is cut or damaged ({error})") from None
    if _checksum(tensors, header) != checksum:
        raise InputError(f"the checkpoint {path} was changed since it was written")
    return tensors, content


def _checksum(tensors: dict[str, Tensor], header: str) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
