"""Next sentence: does the second text of a pair belong to the first?"""

from typing import ClassVar, final

import torch
from torch import Tensor

from motet.options import TextAuxiliaryOptions, Unpack, checked
from motet.tasks.kinds import LabelKind
from motet.tasks.pair_auxiliary import PADDING, SECOND, PairAuxiliary, are_pairs, parts_of
from motet.tasks.text_auxiliary import Text
from motet.vocabularies import Vocabulary


@final
class NextSentence(PairAuxiliary):
    """Recognise the second text of a row among others (Devlin et al., NAACL 2019, 1810.04805).

    Half of the rows keep their second text, the others get that of another row of the batch, cut
    where it does not fit into the batch's longest row. Give each document one row: the second text
    of another row counts as one of another document. Rows that lack a text, or whose own second
    text the other one equals, have no target.

    Args:
        name: The task's name.
        vocabulary: What the tokens mean; a run takes it from its input.
        **common: Options of every auxiliary task on texts; see
            `motet.options.TextAuxiliaryOptions`.

    Raises:
        InputError: If an option is unknown or wrong, or the text is no pair.
    """

    kind: ClassVar[str] = "next_sentence"
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
        parts, rows = parts_of(text, vocabulary), len(text["ids"])
        kept = torch.rand(rows, generator=generator, device=parts.device) < 0.5
        steps = torch.randint(1, max(rows, 2), (rows,), generator=generator, device=parts.device)
        own = torch.arange(rows, device=parts.device)
        other = (own + steps) % max(rows, 1)
        seen = _joined(text, parts, torch.where(kept, own, other))
        is_pair, length = are_pairs(parts), parts.shape[1]
        alike = _seconds(text, parts, length).eq(_seconds(text, parts, length)[other]).all(1)
        known = is_pair & (kept | (is_pair[other] & ~alike)) & (rows > 1)
        return seen, torch.where(known, kept.float(), torch.nan)


def _joined(text: Text, parts: Tensor, other: Tensor) -> Text:
    """Join the first text of each row with the second one of another."""
    length = parts.shape[1]
    places = torch.arange(length, device=parts.device)
    firsts = (parts < SECOND).sum(1, keepdim=True)
    after = places - firsts  # the place in the second text
    seconds = _seconds(text, parts, length)[other].gather(1, after.clamp(min=0).expand_as(parts))
    ids = torch.where(after < 0, text["ids"], seconds)
    return {**text, "ids": ids, "segments": ((after >= 0) & (ids != 0)).long()}


def _seconds(text: Text, parts: Tensor, length: int) -> Tensor:
    """Return the second texts alone (B, length), with what follows them."""
    places = torch.arange(length, device=parts.device)
    start = (parts < SECOND).sum(1, keepdim=True)
    inside = places + start < (parts < PADDING).sum(1, keepdim=True)
    moved = text["ids"].gather(1, (places + start).clamp(max=max(length - 1, 0)))
    return torch.where(inside, moved, 0)
