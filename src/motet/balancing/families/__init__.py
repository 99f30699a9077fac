"""The three kinds of balancer, which differ in what they read.

A `LossBalancer` reads the losses (T',): one backward pass, whatever the number of tasks. A
`GramianBalancer` reads the inner products of the task gradients (T', T'), a `JacobianBalancer` the
gradients themselves (T', P): T' passes through the shared part each, and the last keeps T' x P
numbers. T' counts the tasks that are present. What a method needs of a step and of the training
loop, these and further calls (`motet.balancing.families.protocols`), is recorded in its `Needs`.
"""

from motet.balancing.families.balancer import (
    LONG_EPOCH,
    LONG_WAIT,
    Balancer,
    by_task,
    numbers_by_task,
)
from motet.balancing.families.gradient import GradientBalancer
from motet.balancing.families.gramian import GramianBalancer
from motet.balancing.families.jacobian import JacobianBalancer, rows_of
from motet.balancing.families.loss import LossBalancer
from motet.balancing.families.needs import Needs
from motet.balancing.families.options import GradientOptions, GramianOptions
from motet.balancing.families.protocols import (
    KnownTask,
    LooksAhead,
    PenalizesNorms,
    ReadsAfterStep,
    ReadsEpochs,
    ReadsNorms,
    ReadsScores,
)

__all__ = [
    "LONG_EPOCH",
    "LONG_WAIT",
    "Balancer",
    "GradientBalancer",
    "GradientOptions",
    "GramianBalancer",
    "GramianOptions",
    "JacobianBalancer",
    "KnownTask",
    "LooksAhead",
    "LossBalancer",
    "Needs",
    "PenalizesNorms",
    "ReadsAfterStep",
    "ReadsEpochs",
    "ReadsNorms",
    "ReadsScores",
    "by_task",
    "numbers_by_task",
    "rows_of",
]
