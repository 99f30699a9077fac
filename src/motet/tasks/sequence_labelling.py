"""Sequence labelling: one of C tags for every word, and the spans that tags spell."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.options import OnlyWith, PositiveFloat, PositiveInt, TaskOptions, Unpack, checked
from motet.problems import InputError
from motet.states import MISSING, lengthened
from motet.tags import TagSet
from motet.tasks.additive import clean, of_elements
from motet.tasks.base import Prediction, Task
from motet.tasks.crf import CRF, Constraints
from motet.tasks.kinds import LabelKind
from motet.tasks.labels import at_least_float32, first_wrong_place, named_classes
from motet.tasks.losses.elements import cross_entropy
from motet.tasks.statistics import LabelStatistics
from motet.tasks.token_heads import TokenHead, TokenLSTM
from motet.tasks.weights import ClassWeights, count_of
from motet.tasks.words import check_labelled_words, fitting_words
from motet.tracing import exporting


@final
class SequenceLabelling(Task):
    """Predict one of C tags for every word.

    Targets are places of tags (B, L), -100 where a word has no label or there is no word. Raw
    outputs are scores (B, L, C), NaN where there is no word. Where tags spell spans, predictions
    are the best sequence in which every span is well formed. The loss is a mean over labels,
    weighted as that of `Classification`; that of a CRF is one over sequences that have a label,
    unless ``mean_over`` is given.

    The likelihood of a CRF is over valid sequences only if all training labels can begin one; from
    then on a sequence that does not costs 10,000 for each wrong move. One whose last label leaves a
    span open counts as cut off there.

    Args:
        name: The task's name.
        classes: The tags in the order of their places, or how many there are. A run from a config
            learns them from the training labels if left out.
        decoder: From states to tags: linear, each word for itself; lstm, over the states of all
            words first; crf, tags of a sentence together. A run chooses crf for spans if it is left
            out.
        scheme: How tags spell spans: bio, bioes, or plain if they do not; found from the tags if
            left out.
        input: Name of the text whose words are labelled, where a model has several.
        class_weights: One weight per tag, or balanced: inverse to how often tags occur in the
            training labels.
        mean_over: What the loss of a CRF is a mean over: sequences that have a label, or words that
            have one, as with other decoders; sequences if left out.
        **common: Options of every task; see `motet.options.TaskOptions`.

    Raises:
        InputError: If an option is unknown, wrong, or would be ignored.

    Example:
        >>> slots = SequenceLabelling("slots", classes=["O", "B-city", "I-city"])
        >>> raw = torch.tensor([[[0.0, 1.0, 2.0], [0.0, 0.0, 1.0], [torch.nan] * 3]])
        >>> slots.decode(raw).value  # I cannot come first
        tensor([[   1,    2, -100]])
    """

    kind: ClassVar[str] = "sequence_labelling"
    labels: ClassVar[LabelKind | str] = "tags"
    takes_soft = True
    reads_state: ClassVar[str] = "tokens"
    tags: TagSet

    @checked
    def __init__(
        self,
        name: str,
        *,
        classes: PositiveInt | Sequence[str] | None = None,
        decoder: Literal["linear", "lstm", "crf"] = "linear",
        scheme: Literal["bio", "bioes", "plain"] | None = None,
        input: str | None = None,
        class_weights: Annotated[
            Literal["balanced"] | Sequence[PositiveFloat] | None,
            OnlyWith("decoder", ("linear", "lstm")),
        ] = None,
        mean_over: Annotated[
            Literal["sequences", "words"] | None, OnlyWith("decoder", ("crf",))
        ] = None,
        **common: Unpack[TaskOptions],
    ) -> None:
        super().__init__(name, **common)
        self.outputs, self.class_names = named_classes(name, classes)
        if isinstance(classes, int) and scheme in ("bio", "bioes"):
            raise InputError(
                f"found {scheme}, which the names of tags spell, but classes is the number "
                f"{classes}; give the names",
                option="scheme",
                owner=f"task {name!r}",
            )
        if class_weights is not None:
            self.require_outputs()
        self.decoder, self.text = decoder, input
        self.mean_over = mean_over or ("sequences" if decoder == "crf" else "words")
        self.counts = "rows" if self.mean_over == "sequences" else "elements"
        self.tags = TagSet(self.class_names or (), scheme, f"task {name!r}")
        self.loss_name = "crf" if decoder == "crf" else "cross_entropy"
        moves = self.tags.moves() if self.tags.has_spans and self.outputs else None
        self.crf = CRF(self.outputs, moves) if decoder == "crf" and self.outputs else None
        self.constraints = None if moves is None or self.crf else Constraints(moves)
        self.weights: ClassWeights | None = None
        if class_weights is not None:
            self.weights = ClassWeights(class_weights, self.outputs, name)

    def loss(
        self, raw: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        target = self.counted(fitting_words(self, raw, target), weights)
        raw, labelled = at_least_float32(raw), self.label_kind.present(target)
        target = clean(target, labelled).long()
        if self.crf is None:
            return self._tokens_loss(raw, target, labelled, weights), self._count(
                target, labelled, weights
            )
        # NaN at a label, or before a word, stays, so that the loss is NaN
        words = _through_last(labelled | _words(raw)) & labelled.any(dim=1, keepdim=True)
        likelihood = self.crf(raw, target.where(labelled, MISSING), words)
        if weights is not None:
            likelihood = likelihood * of_elements(weights, likelihood, labelled.any(dim=1))
        return -likelihood.sum(), self._count(target, labelled, weights)

    def count(self, target: Tensor, weights: Tensor | None = None) -> Tensor:
        target = self.counted(target, weights)
        labelled = self.label_kind.present(target)
        return self._count(clean(target, labelled).long(), labelled, weights)

    def decode(self, raw: Tensor) -> Prediction:
        """Return tags (B, L), -100 where there is no word."""
        words = _words(raw)
        raw, reached = clean(at_least_float32(raw), words), _through_last(words)
        if self.crf is not None:
            tags = self.crf.decode(raw, reached)
        elif self.constraints is not None:
            tags = self.constraints.path(raw, reached)
        else:
            tags = raw.argmax(dim=-1)
        return Prediction(tags.where(words, MISSING))

    def soft(self, raw: Tensor) -> Tensor:
        """Return probabilities of tags (B, L, C), NaN where there is no word.

        Those of a CRF are 1 for the tags of the best sequence.
        """
        if self.crf is None:
            return at_least_float32(raw).softmax(dim=-1)
        tags, words = self.decode(raw).value, _words(raw)
        one_hot = functional.one_hot(clean(tags, words), self.outputs)
        return one_hot.float().where(words.unsqueeze(-1), torch.nan)

    def soft_shape(self, target: Tensor) -> tuple[int, ...]:
        return (target.shape[1], self.outputs)

    def soft_loss(
        self, raw: Tensor, soft: Tensor, target: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Add up the loss against the tags of a teacher; of a CRF, against its most probable ones.

        Words that the teacher did not see count by their labels.

        Returns:
            Differentiable sum ().
        """
        target = fitting_words(self, raw, target)
        soft = lengthened(soft, target.shape[1])[:, : target.shape[1]]
        known = ~soft.isnan().any(dim=-1)
        if self.crf is not None:
            labelled = self.label_kind.present(self.counted(target, weights))
            tags = soft.nan_to_num().argmax(dim=-1)
            return self.loss(raw, tags.where(labelled & known, target.long()), weights)[0]
        target = self.counted(target, weights)
        labelled = self.label_kind.present(target)
        own = functional.one_hot(clean(target, labelled).long(), self.outputs).to(soft.dtype)
        shares = soft.where(known.unsqueeze(-1), own)
        return self._tokens_loss(at_least_float32(raw), shares, labelled, weights)

    def restore(self, target: Tensor) -> Tensor:
        """Return places of tags, -100 where missing, int64."""
        labelled = self.label_kind.present(target)
        return clean(target, labelled).long().where(labelled, MISSING)

    def check(self, target: Tensor) -> None:
        """Check the range of labels.

        Raises:
            InputError: If a label is not the place of a tag, or the tags are not known.
        """
        self.require_outputs()
        if target.ndim != 2:
            raise InputError(
                f"task {self.name!r}: the labels have the shape {tuple(target.shape)}, expected "
                "(B, L), one tag per word, -100 after the last"
            )
        wrong = first_wrong_place(target[self.label_kind.present(target)], self.outputs)
        if wrong is not None:
            raise InputError(
                f"task {self.name!r}: found the label {wrong}, expected the place of a "
                f"tag, from 0 to {self.outputs - 1}, or -100 where there is none"
            )

    def check_words(self, words: Tensor, target: Tensor) -> None:
        """Check that only words have labels.

        Raises:
            RowError: If there is another label.
        """
        check_labelled_words(self, words, target, "-100")

    def learn(self, labels: LabelStatistics) -> None:
        """Learn weights as `Classification`, and whether all labels can be valid sequences."""
        if self.weights:
            (counts,) = labels.weighted_totals_of(self.outputs)
            self.weights.learn_from(counts, counts)
        if self.crf is not None and self.tags.has_spans:
            valid = not labels.labelled or bool(
                self.tags.valid(self.restore(labels.sample.rows).cpu().numpy()).all()
            )
            self.crf.constrained.fill_(valid)

    @property
    def prepared(self) -> bool:
        """Whether the mean class weight is known, if classes are weighted."""
        return self.weights is None or self.weights.has_mean

    def trivial(self, labels: LabelStatistics, metric: str) -> Prediction:
        """Return one tag for every word, (1, 1): O for spans, else the most frequent one."""
        (counts,) = labels.weighted_totals_of(self.outputs)
        if metric.startswith("span") and self.tags.outside is not None:
            return Prediction(torch.tensor([[self.tags.outside]], device=counts.device))
        return Prediction(counts.argmax().reshape(1, 1))

    def make_head(self, width: int) -> nn.Module:
        context = TokenLSTM(width) if self.decoder == "lstm" else None
        return TokenHead(self._bare_head(context.width if context else width), context)

    @property
    def default_metrics(self) -> tuple[str, ...]:
        """Spans first, where there are any: most words are O, so accuracy hardly differs."""
        return ("span_f1", "token_accuracy") if self.tags.has_spans else ("token_accuracy",)

    def _tokens_loss(
        self, raw: Tensor, target: Tensor, labelled: Tensor, weights: Tensor | None
    ) -> Tensor:
        class_weights = self.weights() if self.weights else None
        raw = clean(raw.flatten(0, 1), labelled.flatten())
        losses = cross_entropy(raw, target.flatten(0, 1), class_weights=class_weights)
        losses = clean(losses.view(labelled.shape), labelled)
        return (
            losses if weights is None else losses * of_elements(weights, losses, labelled)
        ).sum()

    def _count(self, target: Tensor, labelled: Tensor, weights: Tensor | None) -> Tensor:
        if self.mean_over == "sequences":
            rows = labelled.any(dim=1)
            return self.row_weights.count(rows, rows, weights)
        return count_of(target, labelled, weights, self.weights, self.row_weights)


def _words(raw: Tensor) -> Tensor:
    return ~raw.isnan().any(dim=-1)


def _through_last(words: Tensor) -> Tensor:
    """Return the places up to the last word of each row: the words, unless a score is NaN."""
    if exporting():
        return words
    return words.flip(1).cummax(dim=1).values.flip(1)
