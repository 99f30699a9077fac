"""A bag of n-grams beside an encoder of tokens: what each word says, and the text as a whole."""

from typing import Annotated, Any, final

import torch
from torch import Tensor, nn

from motet.encoders.base import Encoder
from motet.encoders.tokens import Text
from motet.options import Chosen, Mapping, PositiveInt, checked, create
from motet.problems import about
from motet.registry import ENCODERS
from motet.states import TokenStates


class BesideBag(Encoder):
    """Concatenate the states of a text's words, and of the text, with the features of its bag.

    Every word has the same features of the bag. Widths add up.

    Args:
        sizes: Number of tokens and of segments.
        bag: Options of the bag.
        name: Name of the encoder of tokens, which returns `motet.states.TokenStates`.
        options: Its options.
    """

    reads = "text"
    more_stages = ""
    gives = "tokens"
    not_causal = "reads a text as a whole, in a bag"

    def __init__(
        self,
        sizes: tuple[int, int],
        bag: Mapping[str, Any] | None,
        name: str,
        options: Mapping[str, Any] | None,
    ) -> None:
        super().__init__()
        with about("bag"):
            self.bag = create(ENCODERS, "bag", *sizes, **_options(bag))
        with about(name):
            self.encoder = create(ENCODERS, name, *sizes, **_options(options))
        self.width = self.bag.width + self.encoder.width

    def branches(self) -> list[nn.Module]:
        """Return the two encoders, which are beside each other."""
        return [self.bag, self.encoder]

    def forward(self, text: Text, padding_mask: Tensor | None = None) -> TokenStates:
        """Encode texts that have "grams" and "ids".

        Returns:
            States (B, L, width), padding, and pooled states (B, width): the features of the bag are
            the last ones.

        Raises:
            InputError: If texts have no n-grams.
        """
        bag: Tensor = self.bag(text)
        found: TokenStates = self.encoder(text, padding_mask)
        beside = bag[:, None].expand(-1, found.states.shape[1], -1)
        return TokenStates(
            torch.cat([found.states, beside], dim=-1),
            found.padding,
            torch.cat([found.pooled, bag], dim=-1),
        )


@final
class BagLSTM(BesideBag):
    """A bag of n-grams beside an LSTM over the tokens (see `Bag` and `LSTM`).

    Args:
        vocabulary: How many tokens there are, padding (0) included.
        segments: 1, or 2 for pairs of texts.
        bag: Options of the bag.
        lstm: Options of the LSTM.

    Raises:
        InputError: If an option is wrong.

    Example:
        >>> encoder = BagLSTM(100, bag={"width": 4, "buckets": 50}, lstm={"width": 8})
        >>> text = {"ids": torch.ones(2, 3).long(), "grams": torch.ones(2, 9).long()}
        >>> encoder(text).states.shape
        torch.Size([2, 3, 12])
    """

    @checked
    def __init__(
        self,
        vocabulary: PositiveInt,
        segments: PositiveInt = 1,
        *,
        bag: Annotated[Mapping[str, Any], Chosen("encoder", default="bag", names=("bag",))]
        | None = None,
        lstm: Annotated[Mapping[str, Any], Chosen("encoder", default="lstm", names=("lstm",))]
        | None = None,
    ) -> None:
        super().__init__((vocabulary, segments), bag, "lstm", lstm)


@final
class BagTransformer(BesideBag):
    """A bag of n-grams beside a transformer over the tokens (see `Bag` and `Transformer`).

    Args:
        vocabulary: How many tokens there are, padding (0) included.
        segments: 1, or 2 for pairs of texts.
        bag: Options of the bag.
        transformer: Options of the transformer.

    Raises:
        InputError: If an option is wrong.

    Example:
        >>> options = {"width": 8, "heads": 2, "layers": 1}
        >>> encoder = BagTransformer(100, bag={"width": 4}, transformer=options)
        >>> encoder.width
        12
    """

    @checked
    def __init__(
        self,
        vocabulary: PositiveInt,
        segments: PositiveInt = 1,
        *,
        bag: Annotated[Mapping[str, Any], Chosen("encoder", default="bag", names=("bag",))]
        | None = None,
        transformer: Annotated[
            Mapping[str, Any], Chosen("encoder", default="transformer", names=("transformer",))
        ]
        | None = None,
    ) -> None:
        super().__init__((vocabulary, segments), bag, "transformer", transformer)


def _options(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (given or {}).items() if name != "type"}
