"""Targets: what label columns become. The names are those of ``Task.labels``."""

from collections.abc import Callable

from motet.data.targets.base import Target
from motet.data.targets.classes import ClassTarget
from motet.data.targets.indicators import IndicatorTarget
from motet.data.targets.number import NumberTarget
from motet.data.targets.tags import TagTarget

__all__ = ["TARGETS", "ClassTarget", "IndicatorTarget", "NumberTarget", "TagTarget", "Target"]

TARGETS: dict[str, Callable[..., Target]] = {
    "class": ClassTarget,
    "number": NumberTarget,
    "indicators": IndicatorTarget,
    "tags": TagTarget,
}
