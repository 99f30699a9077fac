"""Targets: what label columns become; named in `motet.registry.LABELS` as by ``Task.labels``."""

from motet.data.targets.base import NO_INPUTS, Target
from motet.data.targets.classes import ClassTarget
from motet.data.targets.count import CountTarget
from motet.data.targets.identities import IdentityTarget
from motet.data.targets.indicators import IndicatorTarget
from motet.data.targets.interval import IntervalTarget
from motet.data.targets.number import NumberTarget
from motet.data.targets.ordinal import OrdinalTarget
from motet.data.targets.quantile import QuantileTarget
from motet.data.targets.relevances import RelevanceTarget
from motet.data.targets.tags import TagTarget
from motet.data.targets.text import TextTarget
from motet.data.targets.word_numbers import WordNumberTarget

__all__ = [
    "NO_INPUTS",
    "ClassTarget",
    "CountTarget",
    "IdentityTarget",
    "IndicatorTarget",
    "IntervalTarget",
    "NumberTarget",
    "OrdinalTarget",
    "QuantileTarget",
    "RelevanceTarget",
    "TagTarget",
    "Target",
    "TextTarget",
    "WordNumberTarget",
]
