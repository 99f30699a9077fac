"""Several encoders, by the name of their input, as one encoder."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from motet.encoders import Joined
from motet.encoders.base import kinds_read
from motet.encoders.fusion import Fusion
from motet.encoders.fusion import create as create_fusion
from motet.model.reads import states_read
from motet.problems import InputError, about, hint, shown
from motet.sharing import Backbone, Stages
from motet.tasks import Task

FusionChoice = str | Mapping[str, Any] | Callable[..., Fusion]
"""A name, a name with options, or what makes a fusion from the widths of the encoders, and from
their names if it has a parameter ``names``."""


def one_encoder(
    encoder: Backbone | None,
    encoders: Mapping[str, nn.Module] | None,
    fusion: FusionChoice | None,
    tasks: Sequence[Task],
) -> Backbone:
    """Return the encoder of a model, which has one or several.

    Args:
        encoder: The only encoder.
        encoders: Encoders by the name of their input.
        fusion: What joins the features of several; they are concatenated if left out.
        tasks: The tasks; if one reads tokens, these are of the encoder that declares them.

    Returns:
        The encoder, or several with their fusion as one.

    Raises:
        InputError: If there is none or both, or a fusion of nothing, or a task reads tokens and
            several encoders declare them.
    """
    if encoder is not None and encoders is None:
        if fusion is not None:
            raise InputError(
                "fusion: found one encoder, expected several: encoders={name: module, ...}"
            )
        return encoder
    if encoder is not None or not encoders:
        found = "both" if encoder is not None else "neither"
        raise InputError(
            f"found {found} of encoder and encoders, expected one: a module, or encoders={{name of "
            "the input: module, ...}"
        )
    if not isinstance(encoders, Mapping):
        raise InputError(
            f"encoders: found {shown(encoders)}, expected {{name of the input: module, ...}}"
        )
    widths = [_width(name, each) for name, each in encoders.items()]
    with about("fusion"):
        made = create_fusion(
            "concat" if fusion is None else fusion, widths, list(encoders), _sequences(encoders)
        )
    empty = {name: 0 for name, each in encoders.items() if "text" in kinds_read(each)}
    return Joined(None, {}, _labelled(encoders, tasks), encoders, made, empty)


def _width(name: str, encoder: nn.Module) -> int:
    if not isinstance(encoder, nn.Module):
        raise InputError(f"encoders: found {shown(encoder)} for {name!r}, expected a module")
    last = Stages.of(encoder).last
    if last is None:
        raise InputError(
            f"encoders: the width of {name!r} cannot be read from its layers; give the module an "
            "attribute `width`"
        )
    return last.width


def _labelled(encoders: Mapping[str, nn.Module], tasks: Sequence[Task]) -> str | None:
    """Return the input whose tokens tasks read, if any does."""
    reading = [task for task in tasks if "tokens" in states_read(task)]
    named = {text: task.name for task in reading if (text := getattr(task, "text", None))}
    for text, task in named.items():
        if text not in encoders:
            raise InputError(
                f"task {task!r}: input {text!r} has no encoder; {hint(text, encoders)}"
            )
    if len(named) > 1:
        found = ", ".join(f"{task} of {text}" for text, task in named.items())
        raise InputError(f"tasks read the tokens of several inputs ({found}); expected one")
    giving = list(named) or _sequences(encoders)
    if reading and len(giving) > 1:
        raise InputError(
            f"task {reading[0].name!r} reads tokens, and several encoders give them: "
            f"{', '.join(giving)}; give the task input={giving[0]!r}, or declare gives = 'rows' "
            "for all but one"
        )
    return giving[0] if reading and giving else None


def _sequences(encoders: Mapping[str, nn.Module]) -> list[str]:
    """Return the inputs whose encoders declare a state per token."""
    return [name for name, each in encoders.items() if getattr(each, "gives", None) == "tokens"]
