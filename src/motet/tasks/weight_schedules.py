"""Task weights that change from epoch to epoch."""

from motet.options import WeightSchedule


def weight_at(weight: float | WeightSchedule, epoch: int) -> float:
    """Return the weight of an epoch, counted from 1.

    A schedule goes in equal steps from its first epoch to its last; before, the weight is ``from``,
    afterwards ``to``.

    Example:
        >>> falling = {"from": 1.0, "to": 0.2, "epochs": (2, 4)}
        >>> [round(weight_at(falling, epoch), 2) for epoch in range(1, 6)]
        [1.0, 1.0, 0.6, 0.2, 0.2]
    """
    if not isinstance(weight, dict):
        return weight
    first, last = weight["epochs"]
    if epoch >= last:
        return weight["to"]
    share = max(epoch - first, 0) / (last - first)
    return weight["from"] + share * (weight["to"] - weight["from"])
