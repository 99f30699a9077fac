"""Several encoders, each for its own input, and the fusion of their features."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from motet.encoders.base import Encoder
from motet.encoders.fusion import Concat, Exchanging, Fusion
from motet.encoders.fusion.masking import zeros_without
from motet.encoders.presence import dropped, joined_mask, masked, present_in, without_present
from motet.encoders.tokens import check_words, create_padding_mask
from motet.problems import InputError
from motet.states import State, TokenStates, record_of


@final
class Joined(Encoder):
    """Encode a table and other inputs, each by its own encoder, and fuse their features.

    Where words are labelled, every word has its own state and the features of all other inputs.
    Where the encoder of an input gives members, each member has its own state and the same features
    of all other inputs; both at once are not supported.

    Rows may lack inputs, as `motet.encoders.presence` describes. The features of one that a row
    lacks are zeros, and the fusion is given which are missing; an encoder is not called if its
    input is None. Of the table, "numbers" and "categories" are None then. A row that lacks all has
    zeros alone. In training, the fusion's ``modality_dropout`` hides inputs that are there; words
    that are labelled are never hidden.

    A text that comes with ``"pooled"`` (B, D), and with ``"states"`` (B, L, D) if its words are
    labelled, was encoded before: these are used instead of calling its encoder.

    Args:
        table: Encoder of ``{"numbers": ..., "categories": ...}``, if there are any.
        texts: For each text, its encoder.
        tokens: The input whose words are labelled; if left out, the result is features (B, width).
        branches: For each input that is under its own name, its encoder.
        fusion: What joins the features, in the order table, texts, branches; they are concatenated
            if left out.
        empty: For each text, the number of tokens of one without words, which is a missing one if
            the fusion ``masks_texts``.

    Example:
        >>> import torch
        >>> from motet.encoders import LSTM, MLP
        >>> encoder = Joined(MLP(2, hidden=(4,)), {"review": LSTM(100, width=8)})
        >>> review = {"ids": torch.ones(3, 5).long()}
        >>> encoder({"numbers": torch.zeros(3, 2), "texts": {"review": review}}).shape
        torch.Size([3, 12])
    """

    more_stages: str | None = ""

    def __init__(
        self,
        table: nn.Module | None,
        texts: Mapping[str, nn.Module],
        tokens: str | None = None,
        branches: Mapping[str, nn.Module] | None = None,
        fusion: Fusion | None = None,
        empty: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.table, self.encoders = table, nn.ModuleList(texts.values())
        self.names, self.tokens = tuple(texts), tokens
        self.beside = nn.ModuleList((branches or {}).values())
        self.beside_names = tuple(branches or {})
        if fusion is None:
            fusion = Concat([each.width for each in self.branches()])  # type: ignore[misc]  # ints
        self.fusion, self.width = fusion, fusion.width
        self.empty = dict(empty or {}) if fusion.masks_texts else {}
        fusion.names = part_names(table is not None, (*self.names, *self.beside_names))
        self.exchanging = fusion.exchanging if isinstance(fusion, Exchanging) else frozenset()
        self._alone = len(self.beside) == len(self.branches()) == 1 and isinstance(fusion, Concat)
        """Whether there is nothing to join, so that any state of the only encoder is passed on."""
        self.gives = "rows" if tokens is None else "tokens"
        if self._alone:
            self.gives = getattr(self.beside[0], "gives", None)
            self.more_stages = getattr(self.beside[0], "more_stages", None)
        self._find_members()

    def branches(self) -> list[nn.Module]:
        """Return the encoders, in the order of their features."""
        table = [] if self.table is None else [self.table]
        return [*table, *self.encoders, *self.beside]

    @property
    def stages(self) -> nn.ModuleList | None:
        """Those of an only encoder that has some, for sharing schemes that split encoders."""
        own = getattr(self.beside[0], "stages", None) if self._alone else None
        if not isinstance(own, (nn.ModuleList, nn.Sequential)) or not len(own):
            return None
        first, *others = own
        return nn.ModuleList([_OnlyInput(self.beside_names[0], first), *others])

    def reader(self, name: str | None) -> nn.Module | None:
        """Return the encoder of an input that is not in the table."""
        named = zip((*self.names, *self.beside_names), (*self.encoders, *self.beside), strict=True)
        return dict(named).get(name or "")

    def _find_members(self) -> None:
        """Set the number of members of the encoders that have some.

        Raises:
            InputError: If their numbers differ, or words are labelled.
        """
        found = [each for each in self.branches() if getattr(each, "gives", None) == "members"]
        self._members = [each in found for each in self.branches()]
        self.members = next((each.members for each in found), None)  # type: ignore[assignment]  # an int
        if not found:
            return
        counts = sorted({each.members for each in found})  # type: ignore[type-var]  # ints
        if len(counts) > 1:
            raise InputError(
                f"members: found {' and '.join(map(str, counts))} of encoders that are joined, "
                "expected the same number"
            )
        if self.tokens is not None:
            raise InputError(
                f"the encoder {type(found[0]).__name__} gives {counts[0]} members, and tasks read "
                f"the words of {self.tokens!r}, which an ensemble does not support; use mlp, or "
                "remove those tasks"
            )
        self.gives = "members"

    def forward(self, inputs: Mapping[str, Any]) -> State:
        """Encode ``{"numbers": ..., "categories": ..., "texts": {name: ...}, name: ...}``.

        Returns:
            Features (B, width), or the states of words; the state of an only input.

        Raises:
            InputError: If the encoder of an input whose words are labelled gives no state per word,
                an encoder gives no features, or the fusion gives something else.
        """
        if self._alone:
            alone: State = self.beside[0](without_present(inputs[self.beside_names[0]]))
            return alone
        parts: list[Tensor | None] = []
        marks: list[Tensor | bool | None] = []
        if self.table is not None:
            parts.append(self._of_table(inputs))
            marks.append(parts[0] is not None)
        sequences: dict[str, TokenStates] = {}
        for name, encoder, given in self._given(inputs):
            if given is None:
                parts.append(None)
                marks.append(False)
                continue
            marks.append(present_in(name, given, self.empty.get(name)))
            given = without_present(given)
            found = _encoded_before(given) if _is_encoded(given) else encoder(given)
            if name == self.tokens:
                check_words(found, given, encoder)
            if name == self.tokens or name in self.exchanging:
                sequences[name] = _tokens(name, found, encoder)
            parts.append(_features(found))
        rows = self._rows(parts)
        features = self._filled(parts, rows)
        present = self._present(marks, rows, features[0])
        if isinstance(self.fusion, Exchanging):
            sequences, features = self._exchanged(sequences, features, present)
        if self.members is not None:
            features = [self._by_member(each, rows) for each in features]
            present = None if present is None else self._by_member(present, rows)
        if len(features) > 1:
            features = masked(features, present)
        words = sequences.get(self.tokens or "")
        if words is None:
            joined = self._fused(features, present)
            if self.members is not None and self.fusion.weights is not None:
                weights = self.fusion.weights
                self.fusion.weights = weights.view(rows, -1, weights.shape[-1]).mean(1)
            return joined
        length, place = words.states.shape[1], self.fusion.names.index(self.tokens or "")
        beside = [each[:, None].expand(-1, length, -1) for each in features]
        beside[place] = words.states
        there = present
        if present is not None:  # a word's own text is there, also where training hides it
            there = present.clone()
            there[:, place] = True
            there = there[:, None].expand(-1, length, -1)
        fused = self._fused(beside, there)
        return TokenStates(fused, words.padding, self._fused(features, present))

    def _present(
        self, marks: Sequence[Tensor | bool | None], rows: int, like: Tensor
    ) -> Tensor | None:
        """Return which modalities rows have, (B, M), without those that training hides."""
        present = joined_mask(marks, rows, like.device)
        if not (self.fusion.training and self.fusion.modality_dropout):
            return present
        if present is None:
            present = like.new_ones(rows, len(marks), dtype=torch.bool)
        return dropped(present, self.fusion.modality_dropout)

    def _exchanged(
        self,
        sequences: Mapping[str, TokenStates],
        features: Sequence[Tensor],
        present: Tensor | None,
    ) -> tuple[dict[str, TokenStates], list[Tensor]]:
        """Let sequences read each other; return their states, and the features of all inputs."""
        assert isinstance(self.fusion, Exchanging)
        columns = dict.fromkeys(self.fusion.names) if present is None else self._by_name(present)
        made = self.fusion.exchange(sequences, columns)
        by_name = dict(zip(self.fusion.names, features, strict=True))
        return made, [*(by_name | {name: each.pooled for name, each in made.items()}).values()]

    def _by_name(self, present: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.fusion.names, present.unbind(1), strict=True))

    def _of_table(self, inputs: Mapping[str, Any]) -> Tensor | None:
        """Encode the table; None where rows have none."""
        assert self.table is not None
        given = [inputs[name] for name in ("numbers", "categories", "sets") if name in inputs]
        if given and all(each is None for each in given):
            return None
        encoded: Tensor = self.table(inputs)
        return encoded

    def _rows(self, parts: Sequence[Tensor | None]) -> int:
        """Return the number of rows B, of which features of members are (B K, D)."""
        for part, of_members in zip(parts, self._members, strict=True):
            if part is not None:
                return part.shape[0] // (self.members or 1) if of_members else part.shape[0]
        raise InputError("the rows lack every input; expected at least one")

    def _by_member(self, features: Tensor, rows: int) -> Tensor:
        """Return features (B, D) as those of every member, (B K, D); others as they are."""
        if features.shape[0] != rows:
            return features
        return features.repeat_interleave(self.members or 1, dim=0)

    def _filled(self, parts: Sequence[Tensor | None], rows: int) -> list[Tensor]:
        """Put zeros where rows lack an input."""
        known = [each for each in parts if each is not None]
        if len(known) == len(parts):
            return known
        widths: list[int] = [each.width for each in self.branches()]  # type: ignore[misc]  # ints
        return [
            known[0].new_zeros(rows, width) if each is None else each
            for each, width in zip(parts, widths, strict=True)
        ]

    def _fused(self, features: Sequence[Tensor], present: Tensor | None) -> Tensor:
        found: Any = self.fusion(features, present)
        if isinstance(found, Tensor) and found.shape == (*features[0].shape[:-1], self.width):
            return zeros_without(found, present)
        kind = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"the fusion {type(self.fusion).__name__} returned {kind}; expected joined features "
            f"{(*features[0].shape[:-1], self.width)}, as many as its width"
        )

    def _given(self, inputs: Mapping[str, Any]) -> Iterator[tuple[str, nn.Module, Any]]:
        """Yield the name of each input other than the table, its encoder, and what that takes."""
        for name, encoder in zip(self.names, self.encoders, strict=True):
            texts = inputs["texts"]
            text = None if texts is None else texts[name]
            yield name, encoder, {"ids": text} if isinstance(text, Tensor) else text
        for name, encoder in zip(self.beside_names, self.beside, strict=True):
            yield name, encoder, inputs[name]


class _OnlyInput(nn.Module):
    """The first stage of an encoder, given the only input."""

    def __init__(self, name: str, stage: nn.Module) -> None:
        super().__init__()
        self.name, self.stage = name, stage

    def forward(self, inputs: Mapping[str, Any]) -> Any:
        return self.stage(without_present(inputs[self.name]))


def part_names(table: bool, own: Sequence[str]) -> tuple[str, ...]:
    """Return the names of modalities: those of inputs, after "table" for numbers and categories.

    Args:
        table: Whether there are numbers or categories.
        own: Names of the inputs with their own encoder.

    Returns:
        The names, in the order of features.
    """
    first = "table" if "table" not in own else "numbers and categories"
    return (first, *own) if table else tuple(own)


def _tokens(name: str, found: object, encoder: nn.Module) -> TokenStates:
    if isinstance(found, TokenStates):
        return found
    raise InputError(
        f"{type(encoder).__name__} gave {type(found).__name__} for {name!r}, expected a state per "
        "token: motet.states.TokenStates"
    )


def _features(found: object) -> Tensor:
    record = record_of(found)
    if record is None:
        raise InputError(
            f"an encoder returned {type(found).__name__}, expected features, a tensor (B, D), or "
            "motet.states.TokenStates"
        )
    return record.pooled


def _is_encoded(given: Any) -> bool:
    return isinstance(given, Mapping) and "pooled" in given


def _encoded_before(text: Mapping[str, Tensor]) -> TokenStates:
    """Return the states given with a text; ``states`` are read only if its words are labelled."""
    padding = text["words"] < 0 if "words" in text else create_padding_mask(text["ids"])
    return TokenStates(text.get("states", text["pooled"][:, None]), padding, text["pooled"])
