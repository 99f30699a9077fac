"""Several encoders side by side: their features joined into one representation."""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from motet.encoders.base import Encoder
from motet.encoders.tokens import check_words, create_padding_mask
from motet.states import TokenStates


@final
class Joined(Encoder):
    """Encode a table and other inputs, each by its own encoder, and concatenate their features.

    Where words are labelled, every word has, beside its own state, the features of all other
    inputs.

    A text that comes with ``"pooled"`` (B, D), and with ``"states"`` (B, L, D) if its words are
    labelled, was encoded before: these are handed on in place of calling its encoder.

    Args:
        table: Encoder of ``{"numbers": ..., "categories": ...}``, if there are any.
        texts: For each text, its encoder.
        tokens: The text whose words are labelled; if left out, the result is features (B, width).
        branches: For each input that is under its own name, its encoder.

    Example:
        >>> from motet.encoders import LSTM, MLP
        >>> encoder = Joined(MLP(2, hidden=(4,)), {"review": LSTM(100, width=8)})
        >>> review = {"ids": torch.ones(3, 5).long()}
        >>> encoder({"numbers": torch.zeros(3, 2), "texts": {"review": review}}).shape
        torch.Size([3, 12])
    """

    more_stages = ""

    def __init__(
        self,
        table: nn.Module | None,
        texts: Mapping[str, nn.Module],
        tokens: str | None = None,
        branches: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.table, self.encoders = table, nn.ModuleList(texts.values())
        self.names, self.tokens = tuple(texts), tokens
        self.gives = "rows" if tokens is None else "tokens"
        self.beside = nn.ModuleList((branches or {}).values())
        self.beside_names = tuple(branches or {})
        self.width = sum(each.width for each in self.branches())  # type: ignore[misc]  # an int
        if self.beside and len(self.branches()) == 1:  # nothing to join
            self.gives = getattr(self.beside[0], "gives", "rows")

    def branches(self) -> list[nn.Module]:
        """Return the encoders, in the order of their features."""
        table = [] if self.table is None else [self.table]
        return [*table, *self.encoders, *self.beside]

    def forward(self, inputs: Mapping[str, Any]) -> Tensor | TokenStates:
        """Encode ``{"numbers": ..., "categories": ..., "texts": {name: ...}, name: ...}``.

        Returns:
            Features (B, width), or the states of words.

        Raises:
            InputError: If the encoder of a text whose words are labelled gives no state per word.
        """
        features = [] if self.table is None else [self.table(inputs)]
        words: TokenStates | None = None
        place = 0
        for name, encoder in zip(self.names, self.encoders, strict=True):
            text = inputs["texts"][name]
            text = {"ids": text} if isinstance(text, Tensor) else text
            found: TokenStates = _encoded_before(text) if "pooled" in text else encoder(text)
            if name == self.tokens:
                check_words(found, text, encoder)
                words, place = found, len(features)
            features.append(found.pooled)
        for name, encoder in zip(self.beside_names, self.beside, strict=True):
            branch = encoder(inputs[name])
            features.append(branch if isinstance(branch, Tensor) else branch.pooled)
        pooled = torch.cat(features, dim=1) if len(features) > 1 else features[0]
        if words is None:
            return pooled
        length = words.states.shape[1]
        beside = [each[:, None].expand(-1, length, -1) for each in features]
        beside[place] = words.states
        states = torch.cat(beside, dim=2) if len(beside) > 1 else words.states
        return TokenStates(states, words.padding, pooled)


def _encoded_before(text: Mapping[str, Tensor]) -> TokenStates:
    """Return the states that a text came with; without those of words nothing reads ``states``."""
    padding = text["words"] < 0 if "words" in text else create_padding_mask(text["ids"])
    return TokenStates(text.get("states", text["pooled"][:, None]), padding, text["pooled"])
