"""Plans: many independent runs, in local processes or on a cluster.

The unit is the run folder: a run that is lost, with its process or its machine, resumes from its
last checkpoint, and one that is finished is never repeated. What a run gives depends on its config
alone, and on the number of threads in the last digits, not on where or beside what it ran.
"""

from motet.planning.planned import Outcome, PlannedRun
from motet.planning.plans import Plan, keep_rows, plan

__all__ = ["Outcome", "Plan", "PlannedRun", "keep_rows", "plan"]
