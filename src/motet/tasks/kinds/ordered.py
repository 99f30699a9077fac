"""One of C ordered classes per row."""

from typing import ClassVar, final

from motet.tasks.kinds.classes import ClassLabels


@final
class OrderedLabels(ClassLabels):
    """Whole numbers (B,); a task has one raw output per row, not one per class."""

    name: ClassVar[str] = "ordinal"
    default_metrics: ClassVar[tuple[str, ...]] = ("kappa", "accuracy", "mae")
    flat: ClassVar[bool] = True
