"""Rows that are most wrong, as one kind of label finds them."""

from typing import NamedTuple


class Wrong(NamedTuple):
    """A row that a model got wrong."""

    place: int
    """Among the rows that were given."""
    truth: str
    predicted: str
    degree: float
    """How wrong it is, in what `MEASURE` of its module names; the most wrong first."""
