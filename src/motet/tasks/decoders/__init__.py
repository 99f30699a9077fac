"""Decoders: from states of an encoder to texts, one token after the other."""

from motet.tasks.decoders.base import Decoder, Past
from motet.tasks.decoders.gru import GRUDecoder
from motet.tasks.decoders.head import GenerationHead, OwnDecoder
from motet.tasks.decoders.search import Search
from motet.tasks.decoders.transformer import TransformerDecoder

__all__ = [
    "Decoder",
    "GRUDecoder",
    "GenerationHead",
    "OwnDecoder",
    "Past",
    "Search",
    "TransformerDecoder",
]
