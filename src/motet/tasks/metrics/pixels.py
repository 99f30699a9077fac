"""Metrics of pixels: counts and sums over the labelled pixels of all rows together."""

from math import nan

import torch
from torch import Tensor

from motet.tasks.metric import Score, ScoredRows, Totals, gathering


@gathering("pixel_classes")
def mean_iou(rows: ScoredRows) -> Totals:
    """Return the mean over classes of TP / (actual + predicted - TP), over all labelled pixels.

    Intersection over union (Everingham et al., IJCV 2010). Classes that neither occur nor are
    predicted are left out of the mean.
    """
    value, target = rows.value.long(), rows.target.long()
    size = int(torch.maximum(value, target).max()) + 1 if len(value) else 0
    counted = (target[value == target], value, target)
    return Totals(tuple(torch.bincount(each, minlength=size) for each in counted), _mean_iou)


def _mean_iou(hits: Tensor, found: Tensor, true: Tensor) -> Score:
    union = found + true - hits
    seen = union > 0
    if not bool(seen.any()):
        return Score(nan, "no pixel has a label")
    return Score(float((hits / union.double())[seen].mean()))


@gathering("pixel_numbers", best=0.0)
def depth_error(rows: ScoredRows) -> Totals:
    """Return the mean absolute relative error |x - y| / y over labelled pixels with y > 0.

    The "abs rel" of Eigen et al. (NeurIPS 2014, arXiv:1406.2283); the root of the mean squared
    error, which is reported beside it, is rmse. Other pixels have no relative error.
    """
    value, target = rows.value.double(), rows.target.double()
    usable = target > 0
    errors = (value - target)[usable].abs() / target[usable]
    return Totals((errors.sum(), usable.sum(), (~usable).sum()), _mean_error)


def _mean_error(total: Tensor, count: Tensor, others: Tensor) -> Score:
    if not bool(count):
        return Score(nan, "no label is above 0, so none has a relative error")
    left = f"without {int(others):,} pixels whose label is not above 0" if bool(others) else ""
    return Score(float(total / count), left)
