"""What flows between stages: how wide it is, and along which axis, read from the layers."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from motet.problems import InputError


@dataclass(frozen=True)
class Features:
    """Features of a state: (B, D), (B, L, D), or (B, D, ...) with channels first."""

    width: int
    channels_first: bool = False

    def check(self, state: Tensor) -> None:
        """Check that a state has this width.

        Raises:
            InputError: If it has another width.
        """
        axis = 1 if self.channels_first else -1
        if state.dim() < 2 or state.shape[axis] != self.width:
            raise InputError(
                f"a stage of the encoder gave {tuple(state.shape)}, expected {self.width} features "
                f"along axis {axis}; give the stage an attribute `width`"
            )

    def pooled(self, state: Tensor) -> Tensor:
        """Average a state over all but rows and features: (B, D)."""
        self.check(state)
        if state.dim() == 2:
            return state
        return state.flatten(2).mean(2) if self.channels_first else state.flatten(1, -2).mean(1)

    def along(self, values: Tensor, state: Tensor) -> Tensor:
        """Shape values (D,) so that they meet the features of a state."""
        return values.view(-1, *[1] * (state.dim() - 2)) if self.channels_first else values


def unsized_layers(module: nn.Module) -> list[str]:
    """Name the lazy layers that have no size yet, because they have not seen a batch."""
    return [
        f"{name} ({type(layer).__name__})" if name else type(layer).__name__
        for name, layer in module.named_modules()
        if any(is_lazy(parameter) for parameter in layer.parameters(recurse=False))
    ]


def features_between(before: nn.Module, after: nn.Module | None) -> Features | None:
    """Read what ``before`` passes to ``after``; None if no layer has a width.

    The attribute ``width`` of ``before`` is used first, then what ``after`` takes, because
    ``before`` may end with a change of shape.

    Returns:
        The features.
    """
    taken = None if after is None else _taken(after)
    width = getattr(before, "width", None)
    if isinstance(width, int):
        read = (taken, *(_read(layer, _GIVEN) for layer in before.modules()))
        return Features(width, channels_first=Features(width, channels_first=True) in read)
    return taken or _given(before)


_GIVEN = {  # attribute of a layer: whether its features come first
    "out_features": False,
    "out_channels": True,
    "embedding_dim": False,
    "num_features": True,
    "num_channels": True,
}
_TAKEN = {
    "in_features": False,
    "in_channels": True,
    "embed_dim": False,
    "num_features": True,
    "num_channels": True,
}


def _given(module: nn.Module) -> Features | None:
    for layer in (module, *reversed(list(module.modules()))):
        if isinstance(layer, nn.RNNBase):
            return Features(layer.hidden_size * (2 if layer.bidirectional else 1))
        found = _read(layer, {"width": False, **_GIVEN})
        if found is not None:
            return found
    return None


def _taken(module: nn.Module) -> Features | None:
    for layer in module.modules():
        if isinstance(layer, nn.RNNBase):
            return Features(layer.input_size)
        found = _read(layer, _TAKEN)
        if found is not None:
            return found
    return None


def _read(layer: nn.Module, attributes: dict[str, bool]) -> Features | None:
    if isinstance(layer, nn.LayerNorm):
        return Features(int(layer.normalized_shape[-1]))
    for name, channels_first in attributes.items():
        width = getattr(layer, name, None)
        if isinstance(width, int):
            return Features(width, channels_first)
    return None
