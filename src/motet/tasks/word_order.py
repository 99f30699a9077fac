"""Word order: find where tokens that were shuffled have been."""

from typing import ClassVar, final

import torch
from torch import Tensor

from motet.options import TextAuxiliaryOptions, TwoOrMore, Unpack, checked
from motet.states import MISSING
from motet.tasks.kinds import LabelKind
from motet.tasks.text_auxiliary import Text, TokenAuxiliary
from motet.vocabularies import Vocabulary


@final
class WordOrder(TokenAuxiliary):
    """Find the places of tokens before they were shuffled (Wang et al., ICLR 2020, 1908.04577).

    Each text is cut into windows of tokens, special ones left out, and each window is shuffled, by
    chance into the order that it had. The target of a token is its place in the window before;
    what is left at the end of a text stays and has none. Without reading, the loss is the logarithm
    of the window's length. We differ from the paper in that all windows are shuffled, and a place
    is predicted, not a token.

    Args:
        name: The task's name.
        window: Tokens in a window.
        vocabulary: What the tokens mean; a run takes it from its input.
        **common: Options of every auxiliary task on texts; see
            `motet.options.TextAuxiliaryOptions`.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> order = WordOrder("order", vocabulary=Vocabulary(50, special=(0, 2)))
        >>> ids = torch.tensor([[2, 7, 8, 9, 10, 0]])
        >>> seen, target = order.view({"ids": ids}, torch.Generator().manual_seed(0))
        >>> seen["ids"], target
        (tensor([[ 2,  8,  9,  7, 10,  0]]), tensor([[-100,    1,    2,    0, -100, -100]]))
    """

    kind: ClassVar[str] = "word_order"
    labels: ClassVar[LabelKind | str] = "none"

    @checked
    def __init__(
        self,
        name: str,
        *,
        window: TwoOrMore = 3,
        vocabulary: Vocabulary | None = None,
        **common: Unpack[TextAuxiliaryOptions],
    ) -> None:
        super().__init__(name, vocabulary=vocabulary, **common)
        self.outputs = window

    def view_of_text(
        self, text: Text, vocabulary: Vocabulary, generator: torch.Generator
    ) -> tuple[Text, Tensor]:
        ids, size = text["ids"], self.outputs
        special = torch.tensor(vocabulary.special, device=ids.device)
        drawn = torch.rand(ids.shape, generator=generator, device=ids.device)
        seen, target = ids, torch.full_like(ids, MISSING)
        segments = text.get("segments", torch.zeros_like(ids))
        for segment in (0, 1):
            shuffled = ~torch.isin(ids, special) & (segments == segment)
            seen, target = _shuffle(seen, target, shuffled, drawn, size)
        return {**text, "ids": seen}, target


def _shuffle(
    ids: Tensor, target: Tensor, shuffled: Tensor, drawn: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Shuffle some tokens within windows.

    Args:
        ids: Tokens (B, L).
        target: Places (B, L) of tokens elsewhere.
        shuffled: Which tokens are shuffled (B, L).
        drawn: Numbers from 0 to 1 (B, L), which determine the new order.
        size: Tokens in a window.

    Returns:
        Tokens, and the place of each in its window before.
    """
    rank = shuffled.cumsum(1) - 1
    whole = rank // size < shuffled.sum(1, keepdim=True) // size
    key = rank // size + torch.where(whole, 0.999 * drawn, (rank % size) / size)
    # tokens that stay come last in both orders, and so keep their places
    places = (~shuffled).long().argsort(dim=1, stable=True)
    sources = key.masked_fill(~shuffled, torch.inf).argsort(dim=1, stable=True)
    before = torch.where(shuffled & whole, rank % size, target)
    return (
        ids.scatter(1, places, ids.gather(1, sources)),
        target.scatter(1, places, before.gather(1, sources)),
    )
