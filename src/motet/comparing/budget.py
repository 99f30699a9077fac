"""What a comparison costs, and how much of it fits into a number of minutes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from motet.comparing.estimating import Cost
from motet.comparing.methods import Method
from motet.comparing.runs import Base
from motet.figures import counted
from motet.planning.halving import KEPT, rungs
from motet.problems import InputError


@dataclass(frozen=True)
class Size:
    """How much is trained."""

    repeats: int
    """Number of seeds or folds."""
    candidates: int
    """Number of candidates of the scalarisation; 0 without it."""


def runs_of(method: Method, base: Base, repeats: int, folds: bool) -> Iterator[tuple[int, int]]:
    """Yield how many runs of how many epochs a method takes."""
    for part in method.parts:
        epochs = base.epochs(method, part)
        for rung in rungs(len(method.candidates), epochs, base.shortest):
            yield rung.count * (repeats if folds else 1), rung.epochs
        yield repeats, epochs


def seconds_of(method: Method, base: Base, cost: Cost, repeats: int, folds: bool) -> float:
    """Return the seconds of a method's runs, one after the other, if none stops early."""
    found = runs_of(method, base, repeats, folds)
    return sum(count * cost.seconds(epochs) for count, epochs in found)


def fitting(
    asked: Size, folds: bool, limit: float | None, seconds: Callable[[Size], float]
) -> Size:
    """Return the largest size that fits into a budget.

    Candidates are given up first, down to three, then repeats, down to two.

    Args:
        asked: What was asked for.
        folds: Whether repeats are folds.
        limit: The budget in seconds; None for no limit.
        seconds: Estimates the seconds of a size.

    Returns:
        The size.

    Raises:
        InputError: If nothing fits.
    """
    sizes = [
        Size(repeats, candidates)
        for repeats in range(asked.repeats, min(asked.repeats, 2) - 1, -1)
        for candidates in _fewer(asked.candidates)
    ]
    for size in sizes:
        if limit is None or seconds(size) <= limit:
            return size
    least, minutes = sizes[-1], seconds(sizes[-1]) / 60
    what = "folds" if folds else "seeds"
    raise InputError(
        f"found {(limit or 0) / 60:g}, but {least.repeats} {what}"
        + (f" and {counted(least.candidates, 'candidate')}" if least.candidates else "")
        + f" take about {minutes:.1f} minutes; give more, fewer methods, or fewer epochs",
        option="minutes",
    )


def _fewer(candidates: int) -> Sequence[int]:
    found = [candidates]
    while found[-1] > KEPT:
        found.append(max(KEPT, found[-1] // KEPT))
    return found
