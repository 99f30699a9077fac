"""Whether everything that is predicted of a row is right, by one task or by several together."""

from collections.abc import Sequence
from dataclasses import replace
from math import nan

import torch
from torch import Tensor

from motet.tasks.base import Task
from motet.tasks.metric import Final, Metric, Score, ScoredRows, Totals, gathering, share
from motet.tasks.prediction import Kept


def right_rows(value: Tensor, target: Tensor) -> Tensor:
    """Return which rows have no wrong element among those with a label.

    Args:
        value: Predictions (N, ...), aligned with the labels.
        target: Labels; -100 or NaN where there is none.

    Returns:
        Mask (N,).
    """
    missing = target.isnan() if target.is_floating_point() else target < 0
    return ((value == target) | missing).reshape(len(target), -1).all(dim=1)


def rows_right_together(tasks: Sequence[tuple[Task, Kept]]) -> Totals:
    """Count the rows that all of some tasks label, and those in which all are right.

    Args:
        tasks: The tasks, and what was kept of each for the same rows.

    Returns:
        How many rows are right, and how many there are.
    """
    labelled = torch.stack([kept.labelled for _, kept in tasks]).all(dim=0)
    right = labelled
    for task, kept in tasks:
        right = right & right_rows(*task.label_kind.aligned(kept.prediction.value, kept.target))
    return Totals((right.sum(), labelled.sum()), _share_of_both)


def _share_of_both(right: Tensor, labelled: Tensor) -> Score:
    return share(right, labelled) if int(labelled) else Score(nan, "no row has all of the labels")


def _with_others(others: tuple[str, ...]) -> Metric:
    """Return the metric of a task and others together, which `TaskMetrics` computes."""

    def alone(rows: ScoredRows) -> Final:
        return Final(Score(nan, f"{' and '.join(others)}: not evaluated with it"))

    return replace(
        sentence_exact,
        name="+".join((sentence_exact.name, *others)),
        function=lambda rows: alone(rows).score(),
        gather=alone,
        best=None,
        others=others,
    )


@gathering("tags", "class", "ordinal", "indicators", with_others=_with_others)
def sentence_exact(rows: ScoredRows) -> Totals:
    """Return the share of rows in which every label is right, such as every tag of a sentence.

    ``sentence_exact+intent`` is the share of rows in which the task ``intent`` is right as well,
    among rows that both label, as joint models of intents and slots are compared.
    """
    right = right_rows(rows.value, rows.target)
    return Totals((right.sum(), torch.tensor(len(right))), share)
