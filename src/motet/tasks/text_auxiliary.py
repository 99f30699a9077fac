"""What auxiliary tasks on texts have in common: the text, its tokens, and heads on chosen tokens.

The inputs of a model may be a text alone (its tokens, or ``{"ids": tokens, ...}``), or hold several
by name, under "texts" as in a run, or side by side as with ``MultiTaskModel(encoders={...})``.
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from motet.options import TextAuxiliaryOptions, Unpack, checked
from motet.problems import InputError, hint
from motet.states import MISSING, TokenStates, lengthened
from motet.tasks.auxiliary import Auxiliary
from motet.tasks.labels import at_least_float32
from motet.tasks.losses.elements import cross_entropy
from motet.vocabularies import Vocabulary

Text = Mapping[str, Tensor]


class TextAuxiliary(Auxiliary):
    """An auxiliary task on one text. Subclasses have ``view_of_text`` and ``loss``.

    Args:
        name: The task's name.
        vocabulary: What the tokens mean; a run takes it from its input.
        **common: Options of every auxiliary task on texts; see
            `motet.options.TextAuxiliaryOptions`.

    Raises:
        InputError: If an option is unknown or wrong.
    """

    reads_pairs: ClassVar[bool] = False
    """Whether it needs pairs of texts."""

    @checked
    def __init__(
        self,
        name: str,
        *,
        vocabulary: Vocabulary | None = None,
        **common: Unpack[TextAuxiliaryOptions],
    ) -> None:
        options: dict[str, Any] = {**common}
        asked = options.pop("input", None)
        super().__init__(name, **options)
        self._asked: str | None = asked
        self.text: str | None = asked
        """Name of its text; None if that is the only input."""
        self.vocabulary = vocabulary
        if vocabulary is not None:
            self.use_vocabulary(vocabulary)

    def use_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Set what the vocabulary determines, such as the number of raw outputs.

        Args:
            vocabulary: What the tokens mean, as given or as learned by a run.
        """

    @abstractmethod
    def view_of_text(
        self, text: Text, vocabulary: Vocabulary, generator: torch.Generator
    ) -> tuple[Text, Tensor]:
        """Make the text that the model sees, and the target.

        Args:
            text: Tokens "ids" (B, L), and "segments" (B, L) of pairs.
            vocabulary: What the tokens mean.
            generator: On the device of the tokens.
        """

    def view(self, inputs: Any, generator: torch.Generator) -> tuple[Any, Tensor]:
        self.require_outputs()
        assert self.vocabulary is not None
        text, place = _find_text(inputs, self.text, f"task {self.name!r}")
        kept = {part: text[part] for part in ("ids", "segments") if part in text}
        made, target = self.view_of_text(kept, self.vocabulary, generator)
        made = {**made, **_hidden(text, made["ids"])}
        return _with_text(inputs, place, made), target

    def applies(self, inputs: Any) -> bool:
        if self.text is None or not isinstance(inputs, Mapping):
            return True
        texts = inputs.get("texts", inputs)
        return texts is not None and texts.get(self.text, "unknown") is not None

    def read_shapes(self, shapes: Any) -> None:
        self.text = self._find(shapes.texts)
        self.vocabulary = shapes.texts[self.text].tokens
        if self.vocabulary is not None:
            self.use_vocabulary(self.vocabulary)
        self._require_pairs(shapes.texts[self.text])

    def require_outputs(self) -> None:
        if self.vocabulary is None:
            raise InputError(
                "the vocabulary is not known; give vocabulary=data.sizes.tokens, where data are "
                "from motet.data.from_texts, or a motet.tasks.Vocabulary; only a run learns it",
                owner=f"task {self.name!r}",
            )
        super().require_outputs()

    def _find(self, texts: Mapping[str, Any]) -> str:
        """Return the name of the text that is meant."""
        asked, owner = self._asked, f"task {self.name!r}"
        if not texts:
            raise InputError(
                f"{self.kind} reads a text, and no input is one; give inputs one of type text, or "
                "remove the task",
                owner=owner,
            )
        if asked is not None and asked not in texts:
            message = f"found {asked!r}, which is not a text; {hint(asked, texts)}"
            raise InputError(message, option="input", owner=owner)
        if asked is None and len(texts) > 1:
            names = ", ".join(texts)
            raise InputError(
                f"several inputs are texts: {names}; choose one, for example input: "
                f"{next(iter(texts))}",
                owner=owner,
            )
        return asked or next(iter(texts))

    def _require_pairs(self, sizes: Any) -> None:
        if not self.reads_pairs:
            return
        if sizes.segments < 2:
            raise InputError(
                f"{self.kind} compares two texts of a row, and input {self.text!r} has one; give "
                "it a pair, columns: [first, second], or remove the task",
                owner=f"task {self.name!r}",
            )
        if sizes.tokens is not None and not sizes.tokens.marks_pairs:
            raise InputError(
                f"the tokenizer of input {self.text!r} does not mark which tokens are of the "
                "second text; use one that does, such as tokenizer: wordpiece",
                owner=f"task {self.name!r}",
            )


class TokenAuxiliary(TextAuxiliary):
    """An auxiliary task that predicts a class for some tokens; its target is -100 at the others.

    Raw outputs are computed for the tokens that have a target alone.
    """

    reads_state: ClassVar[str] = "tokens"
    loss_name = "cross_entropy"

    def make_head(self, width: int) -> nn.Module:
        return ChosenTokens(self._bare_head(width))

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Add up the cross-entropy over the tokens that have a target.

        Args:
            raw: Raw outputs of these tokens (n, outputs), or of all (B, L, outputs).
            target: Classes (B, L).
            weights: How much each row counts, (B,).

        Returns:
            Sum () and count () of tokens.
        """
        if raw.ndim == 3:
            target = lengthened(target, raw.shape[1])
            raw = raw[target != MISSING]
        chosen = target != MISSING
        labels, raw = target[chosen], at_least_float32(raw)
        self._expect(raw, (len(labels), self.outputs))
        if weights is None:
            return cross_entropy(raw, labels, reduction="sum"), self.count(target)
        each = weights.to(raw.dtype).unsqueeze(1).expand_as(target)[chosen]
        losses = torch.where(each > 0, cross_entropy(raw, labels) * each, 0)
        return losses.sum(), self.count(target, weights)


class ChosenTokens(nn.Module):
    """A head for the tokens that have a target; without targets, for all.

    Args:
        head: Maps states (n, D) to raw outputs (n, outputs).
    """

    takes_target = True

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, tokens: TokenStates, target: Tensor | None = None) -> Tensor:
        """Return raw outputs (n, outputs); (B, L, outputs), NaN at padding, without targets."""
        if target is None:
            raw: Tensor = self.head(tokens.states)
            return raw.masked_fill(tokens.padding.unsqueeze(2), torch.nan)
        chosen = lengthened(target, tokens.states.shape[1]) != MISSING
        found: Tensor = self.head(tokens.states[chosen])  # a GPU waits for the number of tokens
        return found


@cache
def _is_word(vocabulary: Vocabulary, device: torch.device) -> Tensor:
    found = torch.ones(vocabulary.size, dtype=torch.bool)
    found[vocabulary.not_words()] = False
    return found.to(device)


def words_of(ids: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Return which tokens (B, L) are words or pieces of them: neither special nor unknown."""
    return _is_word(vocabulary, ids.device)[ids]


def random_words(like: Tensor, vocabulary: Vocabulary, generator: torch.Generator) -> Tensor:
    """Draw words or pieces of them, each with the same probability, in the shape (B, L)."""
    words = _is_word(vocabulary, like.device).nonzero().squeeze(1)
    drawn = torch.randint(len(words), like.shape, generator=generator, device=like.device)
    return words[drawn]


def _hidden(text: Text, ids: Tensor) -> dict[str, Tensor]:
    """Return what encoders read beside tokens, empty: it would show tokens that a view hides."""
    made: dict[str, Tensor] = {}
    if "grams" in text:
        made["grams"] = text["grams"].new_zeros(len(ids), 1)
    if "characters" in text:
        made["characters"] = text["characters"].new_zeros(*ids.shape, text["characters"].shape[2])
    return made


def _find_text(inputs: Any, name: str | None, owner: str) -> tuple[Text, tuple[str, ...]]:
    """Return a text, and the keys that lead to it."""
    if isinstance(inputs, Tensor):
        return {"ids": inputs}, ()
    if "ids" in inputs:
        return inputs, ()
    place: tuple[str, ...] = ()
    if "texts" in inputs:
        inputs, place = inputs["texts"], ("texts",)
    if name is None and len(inputs) == 1:
        name = next(iter(inputs))
    if name is None or name not in inputs:
        message = f"found {name!r}, and inputs {', '.join(map(repr, inputs))}; name the text"
        raise InputError(message, option="input", owner=owner)
    text = inputs[name]
    return {"ids": text} if isinstance(text, Tensor) else text, (*place, name)


def _with_text(inputs: Any, place: tuple[str, ...], text: Text) -> Any:
    if not place:
        return text
    first, *rest = place
    return {**inputs, first: _with_text(inputs[first], tuple(rest), text)}
