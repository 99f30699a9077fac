"""Masked language modelling: restore tokens that were hidden."""

from typing import Any, ClassVar, final

import torch
from torch import Tensor

from motet.options import PositiveShare, TextAuxiliaryOptions, Unpack, checked
from motet.problems import InputError
from motet.states import MISSING
from motet.tasks.kinds import LabelKind
from motet.tasks.text_auxiliary import Text, TokenAuxiliary, random_words, words_of
from motet.vocabularies import Vocabulary


@final
class MaskedLanguageModelling(TokenAuxiliary):
    """Restore tokens that were hidden (Devlin et al., NAACL 2019, arXiv:1810.04805).

    Of the tokens of each text, a share is chosen: 80 % of these become the mask token, 10 % another
    token, and 10 % stay. The loss is the cross-entropy of the chosen ones, whose raw outputs alone
    are computed. Special and unknown tokens are never chosen; a text that has any other has at
    least one chosen. The choice is drawn anew at each step, and other tasks see the text as it is.

    Args:
        name: The task's name.
        share: Share of the tokens that are chosen.
        vocabulary: What the tokens mean; a run takes it from its input.
        **common: Options of every auxiliary task on texts; see
            `motet.options.TextAuxiliaryOptions`.

    Raises:
        InputError: If an option is unknown or wrong, or the tokenizer has no mask token.

    Example:
        >>> words = MaskedLanguageModelling("words", vocabulary=Vocabulary(50, (0, 1), mask=1))
        >>> ids = torch.tensor([[7, 8, 9, 0]])
        >>> seen, target = words.view({"ids": ids}, torch.Generator().manual_seed(8))
        >>> seen["ids"], target
        (tensor([[1, 8, 9, 0]]), tensor([[   7, -100, -100, -100]]))
    """

    kind: ClassVar[str] = "masked_language_modelling"
    labels: ClassVar[LabelKind | str] = "none"

    @checked
    def __init__(
        self,
        name: str,
        *,
        share: PositiveShare = 0.15,
        vocabulary: Vocabulary | None = None,
        **common: Unpack[TextAuxiliaryOptions],
    ) -> None:
        super().__init__(name, vocabulary=vocabulary, **common)
        self.share = share

    def use_vocabulary(self, vocabulary: Vocabulary) -> None:
        if vocabulary.mask is None:
            which = "the tokenizer" if self.text is None else f"the tokenizer of {self.text!r}"
            raise InputError(
                f"{which} has no mask token, such as [MASK]; use one that has, for example "
                "tokenizer: wordpiece, or another task, such as language_modelling",
                owner=f"task {self.name!r}",
            )
        self.outputs = vocabulary.size

    def view_of_text(
        self, text: Text, vocabulary: Vocabulary, generator: torch.Generator
    ) -> tuple[Text, Tensor]:
        ids = text["ids"]
        words = words_of(ids, vocabulary)
        draw: dict[str, Any] = {"generator": generator, "device": ids.device}
        chosen = _choose(words, torch.rand(ids.shape, **draw), self.share)
        how = torch.rand(ids.shape, **draw)
        others = random_words(ids, vocabulary, generator)
        assert vocabulary.mask is not None
        changed = torch.where(how < 0.8, vocabulary.mask, torch.where(how < 0.9, others, ids))
        seen = torch.where(chosen, changed, ids)
        return {**text, "ids": seen}, torch.where(chosen, ids, MISSING)


def _choose(words: Tensor, drawn: Tensor, share: float) -> Tensor:
    """Choose words (B, L) by numbers drawn from 0 to 1, in each row at least one if it has any."""
    drawn = drawn.masked_fill(~words, 2.0)
    least = drawn.amin(dim=1, keepdim=True) if drawn.shape[1] else drawn
    return words & ((drawn < share) | (drawn == least))
