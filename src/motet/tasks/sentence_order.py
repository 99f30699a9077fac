"""Sentence order: have the texts of a pair been swapped?"""

from typing import ClassVar, final

import torch
from torch import Tensor

from motet.options import TextAuxiliaryOptions, Unpack, checked
from motet.tasks.kinds import LabelKind
from motet.tasks.pair_auxiliary import AFTER, FIRST, SECOND, PairAuxiliary, are_pairs, parts_of
from motet.tasks.text_auxiliary import Text
from motet.vocabularies import Vocabulary


@final
class SentenceOrder(PairAuxiliary):
    """Recognise pairs that are in their order (Lan et al., ICLR 2020, arXiv:1909.11942).

    The texts of half of the rows are swapped. Unlike `next_sentence`, the topic does not give the
    answer away. Rows that lack a text have no target.

    Args:
        name: The task's name.
        vocabulary: What the tokens mean; a run takes it from its input.
        **common: Options of every auxiliary task on texts; see
            `motet.options.TextAuxiliaryOptions`.

    Raises:
        InputError: If an option is unknown or wrong, or the text is no pair.

    Example:
        >>> order = SentenceOrder("order", vocabulary=Vocabulary(50, special=(0, 2, 3)))
        >>> pair = {"ids": [[2, 7, 8, 3, 9]], "segments": [[0, 0, 0, 0, 1]]}
        >>> pair = {part: torch.tensor(tokens) for part, tokens in pair.items()}
        >>> seen, target = order.view(pair, torch.Generator().manual_seed(1))
        >>> seen["ids"], seen["segments"], target
        (tensor([[2, 9, 3, 7, 8]]), tensor([[0, 0, 0, 1, 1]]), tensor([0.]))
    """

    kind: ClassVar[str] = "sentence_order"
    labels: ClassVar[LabelKind | str] = "none"

    @checked
    def __init__(
        self,
        name: str,
        *,
        vocabulary: Vocabulary | None = None,
        **common: Unpack[TextAuxiliaryOptions],
    ) -> None:
        super().__init__(name, vocabulary=vocabulary, **common)

    def view_of_text(
        self, text: Text, vocabulary: Vocabulary, generator: torch.Generator
    ) -> tuple[Text, Tensor]:
        parts = parts_of(text, vocabulary)
        drawn = torch.rand(len(parts), 1, generator=generator, device=parts.device)
        turned = torch.where(parts == FIRST, SECOND, torch.where(parts == SECOND, FIRST, parts))
        parts = torch.where(drawn < 0.5, parts, turned)
        order = parts.argsort(dim=1, stable=True)
        parts = parts.gather(1, order)
        segments = (parts == SECOND) | (parts == AFTER)
        seen = {**text, "ids": text["ids"].gather(1, order), "segments": segments.long()}
        in_order = (drawn < 0.5).squeeze(1).float()
        return seen, torch.where(are_pairs(parts), in_order, torch.nan)
