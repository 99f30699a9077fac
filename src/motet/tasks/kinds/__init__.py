"""Kinds of label: what is missing, and how labels are compared, scored and predicted trivially."""

from motet.problems import InputError, hint, shown
from motet.tasks.kinds.base import LabelKind, Likelihood
from motet.tasks.kinds.classes import ClassLabels
from motet.tasks.kinds.counts import CountLabels
from motet.tasks.kinds.identities import IdentityLabels
from motet.tasks.kinds.indicators import IndicatorLabels
from motet.tasks.kinds.intervals import IntervalLabels
from motet.tasks.kinds.none import NoLabels
from motet.tasks.kinds.numbers import NumberLabels
from motet.tasks.kinds.ordered import OrderedLabels
from motet.tasks.kinds.pixel_classes import PixelClassLabels
from motet.tasks.kinds.pixel_numbers import PixelNumberLabels
from motet.tasks.kinds.quantiles import QuantileLabels
from motet.tasks.kinds.ranges import Ranges
from motet.tasks.kinds.relevances import RelevanceLabels
from motet.tasks.kinds.tags import TagLabels
from motet.tasks.kinds.texts import TextLabels
from motet.tasks.kinds.word_numbers import WordNumberLabels

__all__ = [
    "ClassLabels",
    "CountLabels",
    "IdentityLabels",
    "IndicatorLabels",
    "IntervalLabels",
    "LabelKind",
    "Likelihood",
    "NoLabels",
    "NumberLabels",
    "OrderedLabels",
    "PixelClassLabels",
    "PixelNumberLabels",
    "QuantileLabels",
    "Ranges",
    "RelevanceLabels",
    "TagLabels",
    "TextLabels",
    "WordNumberLabels",
    "label_kind",
]

_KINDS: dict[str, LabelKind] = {
    kind.name: kind
    for kind in (
        ClassLabels(),
        OrderedLabels(),
        NumberLabels(),
        CountLabels(),
        QuantileLabels(),
        IntervalLabels(),
        WordNumberLabels(),
        PixelClassLabels(),
        PixelNumberLabels(),
        IndicatorLabels(),
        TagLabels(),
        RelevanceLabels(),
        TextLabels(),
        IdentityLabels(),
        NoLabels(),
    )
}


def label_kind(labels: LabelKind | str) -> LabelKind:
    """Return the kind of label that a task's ``labels`` give, by name or as it is.

    Raises:
        InputError: If no kind has that name, or a kind has no name.

    Example:
        >>> label_kind("number").default_metrics
        ('r2', 'mae', 'rmse')
    """
    if isinstance(labels, LabelKind):
        if not isinstance(getattr(labels, "name", None), str):
            raise InputError(
                f"labels: found {type(labels).__name__} without a name; give the class an "
                "attribute name, the one of its target in motet.register('label', name, ...)"
            )
        return labels
    if not isinstance(labels, str) or labels not in _KINDS:
        raise InputError(
            f"labels: found {shown(labels)}; expected a LabelKind or the name of one; "
            f"{hint(str(labels), _KINDS)}"
        )
    return _KINDS[labels]
