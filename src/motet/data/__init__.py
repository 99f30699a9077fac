"""Turns raw columns into arrays: sources, splits, inputs, targets, preprocessing, batches.

Only batches and texts in memory need torch, so that a config is checked against its data quickly.
"""

from typing import TYPE_CHECKING, Any

from motet.elsewhere import missing

if TYPE_CHECKING:
    from motet.data.several import Sources
    from motet.data.texts import TextData, from_texts

__all__ = ["Sources", "TextData", "from_texts"]


def __getattr__(name: str) -> Any:
    if name == "Sources":
        from motet.data import several

        return several.Sources
    if name in __all__:
        from motet.data import texts

        return getattr(texts, name)
    raise missing(__name__, name)
