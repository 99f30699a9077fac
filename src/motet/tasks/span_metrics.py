"""Metrics of tags: over the spans they spell, and over words.

Words without a label are not judged: they count as outside of any span, in labels and predictions.
"""

from math import nan

import numpy as np
from numpy.typing import NDArray

from motet.figures import figure
from motet.tags import Spans
from motet.tasks.labels import MISSING
from motet.tasks.metric import Score, Split, metric


@metric("tags")
def span_f1(split: Split) -> Score:
    """Return 2 hits / (labelled + predicted spans), where a hit has the same words and type.

    Strict: what does not begin as its scheme says is no span. A note says what conlleval would
    find, if that differs.
    """
    strict, loose = _f1(split, strict=True), _f1(split, strict=False)
    if strict.note or strict.value == loose.value:
        return strict
    return Score(
        strict.value, f"conlleval, which takes pieces for spans too: {figure(loose.value)}"
    )


@metric("tags")
def span_f1_conlleval(split: Split) -> Score:
    """Return the F1 of spans by the rules of conlleval: an I where no span is opens one."""
    return _f1(split, strict=False)


@metric("tags")
def token_accuracy(split: Split) -> Score:
    """Return the share of words with the right tag."""
    known = split.target != MISSING
    return Score(float((split.value == split.target)[known].double().mean()))


def _f1(split: Split, *, strict: bool) -> Score:
    if split.tags is None or not split.tags.has_spans:
        return Score(nan, "the tags are plain, so they spell no spans; use token_accuracy")
    target = split.target.cpu().numpy()
    value = np.where(target == MISSING, MISSING, split.value.cpu().numpy())
    true, found = (
        _keys(split.tags.spans(tags, strict=strict), tags.shape[1], len(split.tags.types))
        for tags in (target, value)
    )
    if not len(true) + len(found):
        return Score(nan, "there are neither labelled nor predicted spans")
    hits = len(np.intersect1d(true, found, assume_unique=True))
    return Score(2 * hits / (len(true) + len(found)))


def _keys(spans: Spans, length: int, types: int) -> NDArray[np.int64]:
    """Return one number per span, the same for the same span."""
    return ((spans.row * length + spans.start) * (length + 1) + spans.end) * types + spans.type
