"""`motet.tune`: search the ranges that a config names, choosing by validation rows alone."""

from motet.tuning.searching import tune
from motet.tuning.trials import Trial, Tuned, tuned_lines

__all__ = ["Trial", "Tuned", "tune", "tuned_lines"]
