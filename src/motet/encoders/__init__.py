"""Encoders: from one kind of input to features (B, D), a state per word, or a map."""

from typing import TYPE_CHECKING, Any

from torch import nn

from motet.elsewhere import missing
from motet.encoders.bag import Bag
from motet.encoders.base import Encoder
from motet.encoders.beside_bag import BagLSTM, BagTransformer
from motet.encoders.cnn import CNN
from motet.encoders.ensemble import Ensemble
from motet.encoders.fusion import Fusion
from motet.encoders.identity import Identity
from motet.encoders.joined import Joined
from motet.encoders.lstm import LSTM
from motet.encoders.mlp import MLP
from motet.encoders.pretrained import Pretrained
from motet.encoders.pretrained_images import PretrainedImages
from motet.encoders.tabular_transformer import TabularTransformer
from motet.encoders.timm import Timm
from motet.encoders.tokens import create_padding_mask, token_states
from motet.encoders.transformer import Transformer
from motet.options import create as _create
from motet.registry import ENCODERS

__all__ = [
    "CNN",
    "LSTM",
    "MLP",
    "Bag",
    "BagLSTM",
    "BagTransformer",
    "Encoder",
    "Ensemble",
    "Fusion",
    "Identity",
    "Joined",
    "Pretrained",
    "PretrainedImages",
    "TabularTransformer",
    "Timm",
    "Transformer",
    "available",
    "create",
    "create_padding_mask",
    "token_states",
]


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)


def create(name: str, *sizes: Any, **options: Any) -> nn.Module:
    """Build an encoder by name; its positional arguments are those that it needs.

    Returns:
        A module that has a ``width``.

    Raises:
        InputError: If the name or an option is unknown, or an option has a wrong value.
    """
    encoder: nn.Module = _create(ENCODERS, name, *sizes, **options)
    return encoder


def available() -> list[str]:
    """Return the names of all encoders."""
    return list(ENCODERS)
