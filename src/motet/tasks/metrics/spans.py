"""Metrics of tags: over the spans they spell, and over words.

Words without a label are not scored: they count as outside of any span, in labels and predictions.
"""

from math import nan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motet.figures import figure
from motet.tags import Spans
from motet.tasks.labels import MISSING
from motet.tasks.metric import Final, Score, ScoredRows, Totals, gathering, share


@gathering("tags")
def span_f1(rows: ScoredRows) -> Totals | Final:
    """Return 2 hits / (labelled + predicted spans), where a hit has the same words and type.

    Strict: what does not begin as its scheme requires is not a span. A note gives what conlleval
    would find, if that differs.
    """
    if not _spells_spans(rows):
        return Final(_PLAIN)
    counts = (_counts(rows, strict=strict) for strict in (True, False))
    return Totals(tuple(each for pair in counts for each in pair), _strict_and_loose)


@gathering("tags")
def span_f1_conlleval(rows: ScoredRows) -> Totals | Final:
    """Return the F1 of spans by the rules of conlleval: an I where no span is opens one."""
    return Totals(_counts(rows, strict=False), _f1) if _spells_spans(rows) else Final(_PLAIN)


@gathering("tags")
def token_accuracy(rows: ScoredRows) -> Totals:
    """Return the share of words with the right tag."""
    known = rows.target != MISSING
    return Totals(((rows.value == rows.target)[known].sum(), known.sum()), share)


_PLAIN = Score(nan, "the tags are plain, so they spell no spans; use token_accuracy")


def _spells_spans(rows: ScoredRows) -> bool:
    return rows.tags is not None and rows.tags.has_spans


def _strict_and_loose(
    hits: Tensor, spans: Tensor, loose_hits: Tensor, loose_spans: Tensor
) -> Score:
    strict, loose = _f1(hits, spans), _f1(loose_hits, loose_spans)
    if strict.note or strict.value == loose.value:
        return strict
    return Score(
        strict.value, f"conlleval, which takes pieces for spans too: {figure(loose.value)}"
    )


def _f1(hits: Tensor, spans: Tensor) -> Score:
    if not int(spans):
        return Score(nan, "there are neither labelled nor predicted spans")
    return Score(2 * int(hits) / int(spans))


def _counts(rows: ScoredRows, *, strict: bool) -> tuple[Tensor, Tensor]:
    """Count the hits, and the labelled and predicted spans together."""
    assert rows.tags is not None  # `_spells_spans` is true
    target = rows.target.cpu().numpy()
    value = np.where(target == MISSING, MISSING, rows.value.cpu().numpy())
    true, found = (
        _keys(rows.tags.spans(tags, strict=strict), tags.shape[1], len(rows.tags.types))
        for tags in (target, value)
    )
    hits = len(np.intersect1d(true, found, assume_unique=True))
    return torch.tensor(hits), torch.tensor(len(true) + len(found))


def _keys(spans: Spans, length: int, types: int) -> NDArray[np.int64]:
    """Return one number per span, the same for the same span."""
    return ((spans.row * length + spans.start) * (length + 1) + spans.end) * types + spans.type
