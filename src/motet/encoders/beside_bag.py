"""A bag of n-grams beside an encoder of tokens: what each word says, and the text as a whole."""

from typing import Annotated, Any, final

import torch
from torch import Tensor, nn

from motet.encoders.base import Encoder
from motet.encoders.tokens import Text
from motet.options import Chosen, Mapping, checked, create
from motet.problems import InputError, about
from motet.registry import ENCODERS
from motet.states import TokenStates


class BesideBag(Encoder):
    """Concatenate the states of a text's words, and of the text, with the features of its bag.

    Every word has the same features of the bag. Widths add up.

    Args:
        bag: A `motet.encoders.Bag`.
        encoder: An encoder that returns `motet.states.TokenStates`.
    """

    reads = "text"
    more_stages = ""
    gives = "tokens"
    not_causal = "reads a text as a whole, in a bag"

    def __init__(self, bag: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.bag, self.encoder = bag, encoder
        self.width: int = bag.width + encoder.width  # type: ignore[operator,assignment]  # ints

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
        vocabulary: int,
        segments: int = 1,
        *,
        bag: Annotated[Mapping[str, Any], Chosen("encoder", default="bag", lacking="bag")]
        | None = None,
        lstm: Annotated[Mapping[str, Any], Chosen("encoder", default="lstm", lacking="bag")]
        | None = None,
    ) -> None:
        sizes = vocabulary, segments
        super().__init__(_made("bag", bag, sizes), _made("lstm", lstm, sizes))


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
        vocabulary: int,
        segments: int = 1,
        *,
        bag: Annotated[Mapping[str, Any], Chosen("encoder", default="bag", lacking="bag")]
        | None = None,
        transformer: Annotated[
            Mapping[str, Any], Chosen("encoder", default="transformer", lacking="bag")
        ]
        | None = None,
    ) -> None:
        sizes = vocabulary, segments
        super().__init__(_made("bag", bag, sizes), _made("transformer", transformer, sizes))


def _made(name: str, given: Mapping[str, Any] | None, sizes: tuple[int, int]) -> nn.Module:
    options = dict(given or {})
    found = options.pop("type", name)
    if found != name:
        raise InputError(
            f"found type: {found}, expected {name} with its options, for example "
            f"{name}: {{width: 128}}",
            option=name,
        )
    with about(name):
        made: nn.Module = create(ENCODERS, name, *sizes, **options)
    return made
