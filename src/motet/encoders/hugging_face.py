"""Models of Hugging Face, from folders on this machine or from their configs alone."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from motet.extras import imported
from motet.problems import InputError, reason

LEARNING_RATE = 2e-5
"""Default learning rate of pretrained weights."""
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def loaded(
    path: str | None,
    architecture: Mapping[str, Any] | None,
    layers: int | None,
    complete: Callable[[Any, Path], None] | None = None,
) -> tuple[Any, Any]:
    """Read the model in a folder, or make one with new weights.

    Args:
        path: The folder.
        architecture: The config of a model, in place of a folder.
        layers: How many layers to keep; all if left out.
        complete: Completes the config by what else is in the folder.

    Returns:
        The model and its config.

    Raises:
        InputError: If neither or both are given, or what is given cannot be used.
    """
    if (path is None) == (architecture is None):
        found = "neither" if path is None else "both"
        raise InputError(
            f"found {found} of path and architecture, expected one: path, a folder with a "
            "Hugging Face model, or architecture, the config of one"
        )
    with _quiet_transformers() as transformers:
        if path is None:
            config = _made_config(transformers, architecture or {}, layers)
            return _made_model(transformers, config), config
        folder = _folder(path)
        config = _read_config(transformers, folder)
        if complete is not None:
            complete(config, folder)
        config = _cut(config, layers)
        return _read_model(transformers, folder, config), config


def _read_config(transformers: Any, folder: Path) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (ValueError, OSError, KeyError) as error:
        raise InputError(
            f"{folder / 'config.json'} cannot be used: {reason(error)}", option="path"
        ) from None


@contextmanager
def _quiet_transformers() -> Iterator[Any]:
    """Import ``transformers``, without its bars and reports."""
    transformers = imported("transformers", "the encoder pretrained needs")
    reports = transformers.utils.logging
    before, shown = reports.get_verbosity(), reports.is_progress_bar_enabled()
    reports.set_verbosity(logging.CRITICAL)
    reports.disable_progress_bar()
    try:
        yield transformers
    finally:
        reports.set_verbosity(before)
        if shown:
            reports.enable_progress_bar()


def _folder(path: str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(
            f"found {path!r}, which is not a folder here; models are not downloaded: save one with "
            "save_pretrained(folder) or copy it, and give that folder",
            option="path",
        )
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{path} has no config.json, expected the folder of a Hugging Face model", option="path"
        )
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise InputError(
            f"{path} has no weights in {_WEIGHTS[0]}; a pytorch_model.bin is a pickle, which can "
            "hold code: save the model again with save_pretrained(folder, safe_serialization=True)",
            option="path",
        )
    return folder


def _made_config(transformers: Any, architecture: Mapping[str, Any], layers: int | None) -> Any:
    options = dict(architecture)
    kind = options.pop("model_type", None)
    try:
        config = transformers.AutoConfig.for_model(kind, **options)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"found model_type {kind!r}, which transformers cannot make: {reason(error)}",
            option="architecture",
        ) from None
    return _cut(config, layers)


def _cut(config: Any, layers: int | None) -> Any:
    """Let a config have fewer layers."""
    if layers is None:
        return config
    there = getattr(config, "num_hidden_layers", 0)
    if layers > there:
        raise InputError(f"found {layers}, but the model has {there}", option="layers")
    if isinstance(types := getattr(config, "layer_types", None), list):  # one for each layer
        config.layer_types = types[:layers]
    config.num_hidden_layers = layers
    return config


def _read_model(transformers: Any, folder: Path, config: Any) -> Any:
    try:
        model, report = transformers.AutoModel.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # whatever reading broken files raises
        raise InputError(
            f"the weights in {folder} cannot be used: {reason(error)}", option="path"
        ) from None
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise InputError(
            f"the weights in {folder} are of another model: {len(missing)} tensors are not there, "
            f"among them {missing[0]}",
            option="path",
        )
    return model


def _made_model(transformers: Any, config: Any) -> Any:
    try:
        return transformers.AutoModel.from_config(config, dtype=torch.float32)
    except Exception as error:  # sizes that do not fit each other raise whatever they happen to
        raise InputError(f"it cannot be made: {reason(error)}", option="architecture") from None


def plain(config: Any) -> dict[str, Any]:
    """Return a config as JSON holds it, without the folder it came from."""
    plain: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    for key in ("_name_or_path", "transformers_version", "architectures", "dtype"):
        plain.pop(key, None)
    return plain
