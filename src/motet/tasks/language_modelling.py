"""Causal language modelling: predict each token from those before it."""

from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import pad

from motet.options import TextAuxiliaryOptions, Unpack, checked
from motet.states import MISSING
from motet.tasks.kinds import LabelKind
from motet.tasks.text_auxiliary import Text, TokenAuxiliary, words_of
from motet.vocabularies import Vocabulary


@final
class LanguageModelling(TokenAuxiliary):
    """Predict the next token from those up to here (Bengio et al., JMLR 2003).

    The text is read in a forward pass of its own, in which no state depends on later tokens: a
    transformer attends to earlier tokens alone, an LSTM must be one that reads forward. Special and
    unknown tokens are not predicted.

    Args:
        name: The task's name.
        vocabulary: What the tokens mean; a run takes it from its input.
        **common: Options of every auxiliary task on texts; see
            `motet.options.TextAuxiliaryOptions`.

    Raises:
        InputError: If an option is unknown or wrong.

    Example:
        >>> next_word = LanguageModelling("next_word", vocabulary=Vocabulary(50))
        >>> seen, target = next_word.view(torch.tensor([[7, 8, 9, 0]]), torch.Generator())
        >>> target
        tensor([[   8,    9, -100, -100]])
    """

    kind: ClassVar[str] = "language_modelling"
    labels: ClassVar[LabelKind | str] = "none"
    causal: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        name: str,
        *,
        vocabulary: Vocabulary | None = None,
        **common: Unpack[TextAuxiliaryOptions],
    ) -> None:
        super().__init__(name, vocabulary=vocabulary, **common)

    def use_vocabulary(self, vocabulary: Vocabulary) -> None:
        self.outputs = vocabulary.size

    def view_of_text(
        self, text: Text, vocabulary: Vocabulary, generator: torch.Generator
    ) -> tuple[Text, Tensor]:
        ids = text["ids"]
        following = torch.where(words_of(ids, vocabulary), ids, MISSING)[:, 1:]
        causal = torch.ones(len(ids), 1, dtype=torch.bool, device=ids.device)
        return {**text, "causal": causal}, pad(following, (0, 1), value=MISSING)
