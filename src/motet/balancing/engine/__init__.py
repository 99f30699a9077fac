"""The backward pass for a balancer; `motet.backward` is its entry point."""

from motet.balancing.engine.backward import backward
from motet.balancing.engine.combine import combine
from motet.balancing.engine.leaves import reached_tasks
from motet.balancing.engine.refusals import check_pass
from motet.balancing.engine.rehearsal import rehearse
from motet.balancing.engine.result import BackwardResult

__all__ = ["BackwardResult", "backward", "check_pass", "combine", "reached_tasks", "rehearse"]
