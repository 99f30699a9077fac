"""Which metrics are better when higher, as the metrics themselves define."""

from collections.abc import Mapping

from motet.problems import InputError
from motet.registry import METRICS

_OF_REPORTS = {"score": True, "loss": False}


def higher_is_better(metric: str, given: Mapping[str, bool] | None = None) -> bool:
    """Return whether a metric is better when higher.

    Args:
        metric: Its name, with "@k" or "+task" as in a config, or "score" or "loss".
        given: By metric, for those that motet does not have; overrides a built-in one.

    Returns:
        True if higher is better.

    Raises:
        InputError: If it is unknown.
    """
    known = {**_OF_REPORTS, **(given or {})}
    if metric in known:
        return known[metric]
    name = metric.partition("@")[0].partition("+")[0].strip()
    unknown = name not in METRICS
    found: bool | None = None if unknown else getattr(METRICS[name], "higher_is_better", None)
    if found is None:
        problem = "no metric has this name" if unknown else "its direction is not known"
        raise InputError(
            f"found metric {metric!r}: {problem}; give higher={{{metric!r}: True}} if higher is "
            "better, False if lower is"
        )
    return found
