"""Generation: a text per row, token by token."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from motet.attention_heads import check_heads
from motet.options import (
    Fraction,
    NonNegativeFloat,
    PositiveInt,
    TaskOptions,
    Unpack,
    checked,
    create,
)
from motet.problems import InputError
from motet.registry import HEADS
from motet.tasks.base import Prediction, Task
from motet.tasks.decoders import (
    Decoder,
    GenerationHead,
    GRUDecoder,
    OwnDecoder,
    Search,
    TransformerDecoder,
)
from motet.tasks.kinds import LabelKind
from motet.tasks.labels import at_least_float32
from motet.tasks.losses.elements import cross_entropy
from motet.tasks.prediction import Kept
from motet.tasks.statistics import LabelStatistics
from motet.tasks.token_texts import UNKNOWN, bare, expected

DECODERS: dict[str, type[Decoder]] = {"gru": GRUDecoder, "transformer": TransformerDecoder}
_SIZES = {"width": 128, "layers": 1, "heads": 4, "dropout": 0.1}


@final
class Generation(Task):
    """Generate a text for every row.

    Targets are tokens (B, L); see `motet.tasks.token_texts`: 0 ends a text, -100 fills it up, a row
    of -100 alone has no label. The loss is a mean over tokens, ends included, each predicted from
    the true ones before it ("teacher forcing"). Raw outputs are scores of tokens (B, M, V) where
    labels are given, ``model(inputs, targets=targets)``, else the generated tokens (B, M).

    The decoder attends to the states of tokens where the encoder gives them and the sharing scheme
    carries them, else to the one state of a row.

    Args:
        name: The task's name.
        vocabulary_size: Number of tokens, the end and the unknown one included. In a config the
            largest number, of which the training labels decide how many are needed; 2,000 if left
            out.
        max_length: Tokens of the longest text that is generated, without its end. In a config that
            of the training labels if left out, but at most 256.
        tokenizer: How labels become tokens, in a config: bpe, pieces of UTF-8, none unknown; words,
            separated by white space; or characters.
        input: Name of the text whose tokens are read, where a model has several.
        decoder: From states to texts: gru, with attention, or transformer.
        width: Width of the decoder; 128 if left out.
        layers: Layers of the decoder; 1 if left out.
        heads: Heads of its attention, which divide its width; 4 if left out.
        dropout: Its dropout; 0.1 if left out.
        beams: Candidates that are followed in generation; 1 takes the best token at each step.
        length_penalty: Exponent of the length by which the log-probability of a candidate is
            divided; 1 if left out, 0 prefers short texts.
        length_form: plain, the length itself, or gnmt, (5 + length) / 6; plain if left out.
        **common: Options of every task; see `motet.options.TaskOptions`. ``head`` is the output
            layer, from states of the decoder to scores; one that declares ``takes_target`` replaces
            the decoder.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> title = Generation("title", vocabulary_size=9, max_length=3)
        >>> raw = torch.zeros(2, 3, 9)
        >>> total, count = title.loss(raw, torch.tensor([[5, 6, 0], [-100, -100, -100]]))
        >>> round(float(total), 4), int(count)  # 3 log 9, for two tokens and the end
        (6.5917, 3)
    """

    kind: ClassVar[str] = "generation"
    labels: ClassVar[LabelKind | str] = "text"
    reads_state: ClassVar[str | tuple[str, ...]] = ("tokens", "rows")
    loss_name = "cross_entropy"

    @checked
    def __init__(
        self,
        name: str,
        *,
        vocabulary_size: PositiveInt | None = None,
        max_length: PositiveInt | None = None,
        tokenizer: Literal["bpe", "words", "characters"] = "bpe",
        input: str | None = None,
        decoder: Literal["gru", "transformer"] = "gru",
        width: PositiveInt | None = None,
        layers: PositiveInt | None = None,
        heads: PositiveInt | None = None,
        dropout: Fraction | None = None,
        beams: PositiveInt = 1,
        length_penalty: NonNegativeFloat | None = None,
        length_form: Literal["plain", "gnmt"] | None = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.outputs, self.max_length = vocabulary_size or 0, max_length or 0
        self.decoder, self.text = decoder, input
        given = {"width": width, "layers": layers, "heads": heads, "dropout": dropout}
        self._given = {option: value for option, value in given.items() if value is not None}
        self._search: dict[str, Any] = {"beams": beams}
        for option, value in (("length_penalty", length_penalty), ("length_form", length_form)):
            if value is not None:
                self._search[option] = value
        self._check_options()

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        target = expected(self.counted(target, weights), self.max_length)
        wanted = self._fitting(raw, target)
        labelled = wanted >= 0
        scores = at_least_float32(raw[:, : wanted.shape[1]][labelled])
        losses = cross_entropy(scores, wanted[labelled])
        if weights is not None:
            losses = losses * weights.to(losses)[:, None].expand_as(labelled)[labelled]
        return losses.sum(), self.row_weights.count(labelled, labelled, weights)

    def count(self, target: Tensor, weights: Tensor | None = None) -> Tensor:
        labelled = expected(self.counted(target, weights), self.max_length) >= 0
        return self.row_weights.count(labelled, labelled, weights)

    def decode(self, raw: Tensor) -> Prediction:
        """Return tokens (B, L), -100 from the end on; of scores the best one at each place."""
        if raw.is_floating_point():
            scores = raw.clone()
            scores[..., UNKNOWN] = -torch.inf
            raw = scores.argmax(dim=-1)
        return Prediction(bare(raw))

    def restore(self, target: Tensor) -> Tensor:
        """Return tokens without the end, -100 after them, int64."""
        return bare(target)

    def keep(self, raw: Tensor, target: Tensor) -> Kept:
        return Kept(self.decode(raw), self.restore(target), self.labelled(target))

    def check(self, target: Tensor) -> None:
        """Check the range of tokens, and that none comes after -100.

        Raises:
            InputError: If a token is not valid, or the number of tokens is not known.
        """
        self.require_outputs()
        where = f"task {self.name!r}"
        if target.ndim != 2:
            raise InputError(
                f"{where}: the labels have the shape {tuple(target.shape)}, expected (B, L), the "
                "tokens of a text per row, -100 after the last"
            )
        known = self.label_kind.present(target)
        found = target[known]
        wrong = found[(found < 0) | (found >= self.outputs) | (found != found.long())]
        if len(wrong):
            raise InputError(
                f"{where}: found the token {wrong[0].item()}, expected 0 to {self.outputs - 1}, or "
                "-100 after the end of a text"
            )
        if bool((known[:, 1:] & ~known[:, :-1]).any()):
            raise InputError(
                f"{where}: found a token after -100, which fills up texts at their end"
            )

    def statistics(self, target: Tensor, weights: Tensor | None = None) -> LabelStatistics:
        """Return statistics of texts with their ends, which the loss counts too."""
        return super().statistics(expected(target, self.max_length), weights)

    def trivial(self, labels: LabelStatistics, metric: str) -> Prediction:
        """Return the most frequent text of the training rows, as far as it can be generated."""
        return super().trivial(labels, metric).map(lambda tokens: tokens[:, : self.max_length])

    def make_head(self, width: int) -> nn.Module:
        self.require_outputs()
        if self._replaces_decoder:
            return OwnDecoder(self._made(width))
        sizes = {**_SIZES, **self._given}
        decoder = DECODERS[self.decoder](self.outputs, width, **sizes)
        search = Search(self.max_length, **self._search)
        return GenerationHead(decoder, self._bare_head(decoder.width), search)

    def require_outputs(self) -> None:
        """Check that the number of tokens and the maximum length are known.

        Raises:
            InputError: If they are not.
        """
        for option, value in (("vocabulary_size", self.outputs), ("max_length", self.max_length)):
            if not value:
                raise InputError(
                    f"{option} is not known; give it: only a run learns it from data",
                    owner=f"task {self.name!r}",
                )

    @property
    def _replaces_decoder(self) -> bool:
        head = self.head
        member = HEADS[head.get("type", "mlp")] if isinstance(head, Mapping) else head
        return bool(getattr(member, "takes_target", False))

    def _made(self, width: int) -> nn.Module:
        """Make the head that replaces the decoder."""
        if isinstance(self.head, Mapping):
            options = dict(self.head)
            made: nn.Module = create(HEADS, options.pop("type"), width, self.outputs, **options)
            return made
        return self.head if isinstance(self.head, nn.Module) else self.head(width, self.outputs)

    def _check_options(self) -> None:
        owner = f"task {self.name!r}"
        if 0 < self.outputs < 3:
            raise InputError(
                f"found {self.outputs}, expected at least 3: tokens 0, the end of a text, 1, an "
                "unknown one, and others",
                option="vocabulary_size",
                owner=owner,
            )
        one_beam = self._search["beams"] == 1
        for option in ("length_penalty", "length_form"):
            if one_beam and option in self._search:
                raise InputError(
                    f"applies only with several beams, found beams: 1; remove {option} or give "
                    "beams: 4",
                    option=option,
                    owner=owner,
                )
        decoder = {} if self.decoder == "gru" else {"decoder": self.decoder}
        several = {} if one_beam else {"beams": self._search["beams"]}
        for option in ({**decoder, **self._given, **several}) if self._replaces_decoder else ():
            raise InputError(
                f"the head replaces the decoder, so {option} would have no effect; remove one of "
                "them",
                option=option,
                owner=owner,
            )
        sizes = {**_SIZES, **self._given}
        check_heads(int(sizes["heads"]), int(sizes["width"]), owner=owner)

    def _fitting(self, raw: Tensor, wanted: Tensor) -> Tensor:
        """Return the tokens (B, M) that scores are for."""
        self.require_outputs()
        where = f"task {self.name!r}"
        if not raw.is_floating_point():
            raise InputError(
                f"{where}: found generated tokens, of which there is no loss; compute scores: "
                "model(inputs, targets=targets)"
            )
        if raw.ndim != 3 or (len(raw), raw.shape[2]) != (len(wanted), self.outputs):
            raise InputError(
                f"{where}: the raw output has the shape {tuple(raw.shape)}, expected "
                f"({len(wanted)}, L, {self.outputs}), a score for every token at each place"
            )
        length = raw.shape[1]
        if length < wanted.shape[1] and bool((wanted[:, length:] >= 0).any()):
            raise InputError(
                f"{where}: the head gave scores for {length} tokens, but a label has more; give "
                "scores up to the end of the longest, of motet.tasks.token_texts.expected"
            )
        return wanted[:, :length]
