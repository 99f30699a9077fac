"""Heads: from features (B, D) to the raw output of one task (B, outputs).

`TaskHead` is the built-in one. Any module of a user serves as well: `CustomHead` checks the width
of what it gives, so that a wrong one is an error rather than a broadcast.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from motet.options import Fraction, PositiveInt, checked
from motet.options.reading import read_options
from motet.problems import InputError
from motet.registry import HEADS
from motet.tasks.labels import as_vector

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
}


class TaskHead(nn.Module):
    """Linear layers with an activation between them; one linear layer by default.

    Args:
        width: Features D that come in.
        outputs: Numbers per row that go out.
        hidden: Widths of the layers in between.
        activation: What follows each of them.
        dropout: Share of the numbers dropped in training after each activation; of the features,
            if there is no hidden layer.

    Raises:
        InputError: If an argument is wrong, or an activation is chosen where no layer has one.

    Example:
        >>> TaskHead(32, 3, hidden=[16], activation="gelu")
        TaskHead(
          (layers): Sequential(
            (0): Linear(in_features=32, out_features=16, bias=True)
            (1): GELU(approximate='none')
            (2): Linear(in_features=16, out_features=3, bias=True)
          )
        )
    """

    @checked
    def __init__(
        self,
        width: PositiveInt,
        outputs: PositiveInt,
        *,
        hidden: Sequence[PositiveInt] = (),
        activation: Literal["relu", "gelu", "silu", "tanh", "elu", "leaky_relu"] = "relu",
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        if not hidden and activation != "relu":
            raise InputError(
                f"found {activation!r} without a hidden layer; give hidden: [width, ...] or remove "
                "activation",
                option="activation",
            )
        self.layers = nn.Sequential()
        for into in hidden:
            self.layers.extend([nn.Linear(width, into), ACTIVATIONS[activation]()])
            if dropout:
                self.layers.append(nn.Dropout(dropout))
            width = into
        if dropout and not hidden:
            self.layers.append(nn.Dropout(dropout))
        self.layers.append(nn.Linear(width, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Return raw outputs (B, outputs) for features (B, D)."""
        raw: Tensor = self.layers(features)
        return raw


class CustomHead(nn.Module):
    """A head around your own module, which must return the number of outputs that the task needs.

    Args:
        module: Maps features (B, D) to raw outputs (B, outputs), or (B,) for one output.
        outputs: Numbers per row it must give; not checked if None.
    """

    def __init__(self, module: nn.Module, outputs: int | None = None) -> None:
        super().__init__()
        self.module, self.outputs = module, outputs

    def forward(self, features: Tensor, **more: Any) -> Tensor:
        """Return raw outputs (B, outputs) for features (B, D).

        Raises:
            InputError: If the module gives another width.
        """
        raw = self._called(features, **more)
        found = raw.shape[-1] if raw.ndim > 1 else 1
        if self.outputs is not None and found != self.outputs:
            raise InputError(
                f"the head {type(self.module).__name__} gave the shape {tuple(raw.shape)}, "
                f"expected {self.outputs} outputs per row; end it with nn.Linear(..., "
                f"{self.outputs})"
            )
        return raw

    def _called(self, features: Tensor, **more: Any) -> Tensor:
        call: Callable[..., Tensor] = self.module
        if torch.compiler.is_compiling():  # a graph break in `try` leaves the caller uncompiled
            return call(features, **more)
        try:
            return call(features, **more)
        except RuntimeError as error:
            found = re.search(r"\(\d+x(\d+) and (\d+)x\d+\)", str(error))
            if found is None:
                raise
            raise InputError(
                f"the head {type(self.module).__name__} was given features of shape "
                f"{tuple(features.shape)}, and one of its layers takes {found[2]} but got "
                f"{found[1]}; build it for {features.shape[-1]} features, or give a function "
                "(width, outputs) that makes it"
            ) from error


class SingleOutput(nn.Module):
    """A head of one output whose raw output is (B,), so that it cannot broadcast against (B,)."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, **more: Any) -> Tensor:
        """Return raw outputs (B,) for features (B, D)."""
        return as_vector(self.head(features, **more))


def custom_head(given: Callable[..., Any], width: int, outputs: int) -> CustomHead:
    """Build a head from what Python gave.

    Args:
        given: A module, used as it is (not copied); or a function or class, called with
            (width, outputs), or with (width) if it takes only that, to make one.
        width: Features that come in.
        outputs: Numbers per row that must go out.

    Returns:
        The module, whose ``outputs`` are checked.

    Raises:
        InputError: If the function makes something other than a module.
    """
    module = given
    if not isinstance(given, nn.Module):
        module = given(width, outputs) if _takes_two(given) else given(width)
    if not isinstance(module, nn.Module):
        raise InputError(
            f"head {getattr(given, '__name__', given)!r} made {type(module).__name__}, expected "
            "an nn.Module; give a module, or a function (width, outputs) that returns one"
        )
    return CustomHead(module.module if isinstance(module, CustomHead) else module, outputs)


def is_default_head(given: Any) -> bool:
    """Return whether the option ``head`` is the default one, whose options may be spelled out."""
    if not isinstance(given, Mapping):
        return False
    defaults = {each.name: each.default for each in read_options(HEADS, "mlp")}
    options = {name: value for name, value in given.items() if name != "type"}
    same = all(value == defaults.get(name) for name, value in options.items())
    return given.get("type", "mlp") == "mlp" and same


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(0, 0)
    except TypeError:
        return False
    return True
