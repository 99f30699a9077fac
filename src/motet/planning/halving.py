"""Successive halving: many candidates train for a few epochs, the best of them for more.

After Jamieson and Talwalkar, AISTATS 2016, arXiv:1502.07943. Each rung keeps a third of the
candidates and triples their epochs; the last one trains as long as the final model. Learning rates
follow their schedule to its end in every rung.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from motet.config import ConfigError, read
from motet.problems import InputError
from motet.run import build_trainer
from motet.run.prepared import AnyPrepared, with_config

KEPT = 3
"""One candidate in so many is kept after a rung, and the next rung has so many times its epochs."""
RUNGS = 3
"""How many rungs there are at most."""


@dataclass(frozen=True)
class Rung:
    """One round of a search."""

    count: int
    """How many candidates are trained."""
    epochs: int


def kept(count: int) -> int:
    """Return how many of so many candidates are kept after a rung."""
    return -(-count // KEPT)


def lengths(epochs: int, fewest: int = 1, rungs: int = RUNGS) -> list[int]:
    """Return the epochs of rungs, growing; there are fewer where some would be equally long.

    Args:
        epochs: Epochs of the final model.
        fewest: The fewest epochs that the config takes; see `fewest_epochs`.
        rungs: How many rungs there are at most.

    Returns:
        The epochs; the last are those of the final model.

    Example:
        >>> lengths(20), lengths(20, fewest=5), lengths(1)
        ([2, 7, 20], [5, 7, 20], [1])
    """
    least = max(1, min(fewest, epochs))
    found = (max(least, round(epochs / KEPT**place)) for place in reversed(range(rungs)))
    return list(dict.fromkeys(found))


def rungs(count: int, epochs: int, fewest: int = 1) -> list[Rung]:
    """Return the rungs of a number of candidates.

    The last has three of up to 27, and more where there are fewer rungs, as of few epochs.

    Args:
        count: Number of candidates.
        epochs: Epochs of the final model.
        fewest: The fewest epochs that the config takes; see `fewest_epochs`.

    Returns:
        The rungs; none where there is nothing to choose.

    Example:
        >>> [(rung.count, rung.epochs) for rung in rungs(27, 20)]
        [(27, 2), (9, 7), (3, 20)]
    """
    return list(_rungs(count, epochs, fewest)) if count > 1 else []


def _rungs(count: int, epochs: int, fewest: int) -> Iterator[Rung]:
    counts = [count]
    while counts[-1] > KEPT and len(counts) < RUNGS:
        counts.append(kept(counts[-1]))
    first, *later = lengths(epochs, fewest, len(counts))
    yield Rung(count, first)
    for place, length in enumerate(later, len(counts) - len(later)):
        yield Rung(counts[place], length)


def fewest_epochs(prepared: AnyPrepared) -> int:
    """Return the fewest epochs, among those of rungs, that a config takes.

    A task that begins late, for example, needs more than the first rung has.

    Args:
        prepared: The config with its data.

    Returns:
        The epochs; those of the config if it takes no fewer.
    """
    whole = prepared.config.training.epoch_count
    for epochs in lengths(whole)[:-1]:
        try:
            changed = read(prepared.config, [f"training.epochs={epochs}"])[0]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the config, which is built beside
                build_trainer(with_config(prepared, changed))
        except (ConfigError, InputError):
            continue
        return epochs
    return whole
