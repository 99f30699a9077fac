"""What a run prints about its auxiliary tasks: when they train, and how they count."""

from collections.abc import Mapping
from typing import Any

from motet.config import Config
from motet.registry import AUXILIARY


def auxiliary_rows(config: Config) -> list[tuple[str, ...]]:
    """Return name, type, frequency and weight of each auxiliary task."""
    return [
        (name, task.type, when(task.options().get("frequency", "always")), _weight(task.options()))
        for name, task in config.tasks.items()
        if task.type in AUXILIARY
    ]


def when(frequency: str | Mapping[str, Any]) -> str:
    """Spell a frequency; main steps are those that include a main task.

    Returns:
        The words.

    Example:
        >>> when("always"), when({"every": 10}), when({"every": 1})
        ('at every step', 'at every 10th main step', 'at every main step')
        >>> when({"probability": 0.25}), when({"epochs": (2, 5)})
        ('at 25% of main steps', 'in epochs 2 to 5')
    """
    if not isinstance(frequency, Mapping):
        return "at every step"
    if "every" in frequency:
        number = frequency["every"]
        return "at every main step" if number == 1 else f"at every {_ordinal(number)} main step"
    if "probability" in frequency:
        return f"at {100 * frequency['probability']:.3g}% of main steps"
    first, last = frequency["epochs"]
    return f"in epoch {first}" if first == last else f"in epochs {first} to {last}"


def _weight(options: Mapping[str, Any]) -> str:
    weight = options.get("weight", 1.0)
    changing = isinstance(weight, Mapping)
    shown = f"{weight['from']:g} to {weight['to']:g}" if changing else f"{weight:g}"
    return f"weight {shown}, {'balanced' if options.get('balanced') else 'beside the balancer'}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{'th' if 10 < number % 100 < 14 else ending}"
