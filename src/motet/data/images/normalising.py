"""The mean and standard deviation of pixels that a pretrained encoder was trained with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motet.problems import InputError, reason

Moments = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel."""

FILE = "preprocessor_config.json"
_NEAR = 1e-3


def agreed(given: Moments | None, encoder: Any, name: str) -> Moments | None:
    """Return how pixels are normalised: as given, else as a pretrained encoder needs them.

    What a model's folder says holds for its weights, so other numbers are an error. What timm knows
    of a model holds for the weights that timm publishes; a file may have others, so given numbers
    take precedence.

    Args:
        given: What the options of the input give, if anything.
        encoder: The option ``encoder`` of the input.
        name: Name of the input.

    Returns:
        Mean and standard deviation; None to learn them.

    Raises:
        InputError: If both are known and differ.
    """
    options = encoder if isinstance(encoder, Mapping) else {}
    if given is None and options.get("type") == "timm" and options.get("weights") is not None:
        return _of_timm(str(options.get("model")))
    path = options.get("path")
    needed = None if path is None else _of_folder(Path(path), name)
    if needed is None or given is None:
        return needed or given
    for option, own, other in zip(("mean", "std"), given, needed, strict=True):
        own = own * len(other) if len(own) == 1 else own
        if any(abs(a - b) > _NEAR for a, b in zip(own, other, strict=False)):
            raise InputError(
                f"found {list(own)}, but the model in {path} was trained with "
                f"{list(other)}, as its {FILE} says; remove mean and std, and they are taken from "
                "there",
                option=option,
                owner=f"input {name!r}",
            )
    return given


def _of_timm(model: str) -> Moments | None:
    """Return what timm knows of a model; None if it does not know it, which the encoder reports."""
    try:
        import timm

        known = timm.get_pretrained_cfg(model)
    except (ImportError, RuntimeError):  # RuntimeError: an unknown tag
        return None
    return None if known is None else (tuple(known.mean), tuple(known.std))


def _of_folder(folder: Path, name: str) -> Moments | None:
    """Return what the folder of a model says; None if it says nothing."""
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.get("do_normalize") is False:
            return (0.0,), (1.0,)
        mean, std = (content.get(key) for key in ("image_mean", "image_std"))
        if mean is None or std is None:
            return None
        found = tuple(map(float, mean)), tuple(map(float, std))
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise InputError(
            f"{file} cannot be read: {reason(error)}", option="encoder", owner=f"input {name!r}"
        ) from None
    return found
