"""What each column seems to be, and why: a type of input, a task, a split column, or groups.

Every guess comes with what was seen, for users to read.
"""

from motet.data.inference.groups import infer_group
from motet.data.inference.guesses import Guess
from motet.data.inference.inputs import infer_inputs, usable
from motet.data.inference.split_columns import SplitColumn, infer_split
from motet.data.inference.tasks import infer_tasks

__all__ = [
    "Guess",
    "SplitColumn",
    "infer_group",
    "infer_inputs",
    "infer_split",
    "infer_tasks",
    "usable",
]
