"""Labels that are one of C ordered classes."""

from typing import ClassVar, final

from motet.data.targets.classes import ClassTarget


@final
class OrdinalTarget(ClassTarget):
    """Places of ordered classes (N,), as `ClassTarget` has them.

    Numbers, and texts that spell numbers, are in the order of their values; the order of other
    texts has to be given.

    Example:
        >>> import pyarrow as pa
        >>> stars = OrdinalTarget("stars")
        >>> stars.fit(pa.table({"stars": ["9", "10", None, "9"]}))
        >>> stars.names
        ('9', '10')
    """

    ordered: ClassVar[bool] = True
