"""Losses as (sum, count) over labelled elements, so that micro-batches add up to the batch.

The loss of a task is sum / count, added over micro-batches and processes before dividing. Missing
labels do not affect the sum or a gradient, not even by NaN. There are two ways:

`sum_masked` gives the formula harmless numbers where a label is missing and drops the result.
Shapes stay fixed and the host never waits for the device, but the formula must act element by
element. `sum_selected` takes any callable of a user and shows it labelled rows only; on a GPU the
host waits for the device once a call.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from motet.problems import InputError


def sum_masked(
    function: Callable[..., Tensor],
    raw: Tensor,
    target: Tensor,
    labelled: Tensor | None,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Add up a built-in loss over the labelled elements.

    Both arguments are cleaned *before* the formula: multiplying by 0 after it leaves NaN in the
    loss, choosing after it leaves NaN in the gradient.

    Args:
        function: Gives one loss per element, in the shape of ``labelled``, or the sum of all with
            ``reduction="sum"``.
        raw: Raw outputs, in the shape of ``labelled``, perhaps with one more axis.
        target: Labels, in the shape of ``labelled``, perhaps with one more axis.
        labelled: Mask of the elements that count, (B,) or (B, K); None if all do.
        weights: How much each row counts, (B,); every row alike if left out.

    Returns:
        Differentiable sum () and count () of the labelled elements; with weights, of their weights.
    """
    if labelled is None and (weights is None or all_one(weights)):
        return function(raw, target, reduction="sum"), size_of(target)
    losses = clean(function(clean(raw, labelled), clean(target, labelled)), labelled)
    if weights is None:
        assert labelled is not None
        return losses.sum(), number_of(labelled)
    weights = of_elements(weights, losses, labelled)
    return (losses * weights).sum(), weights.sum().float()


def clean(values: Tensor, labelled: Tensor | None) -> Tensor:
    """Return raw outputs, labels or losses with 0 in place of those that do not count."""
    if labelled is None:
        return values
    return values.where(labelled if values.ndim == labelled.ndim else labelled.unsqueeze(-1), 0)


def of_elements(weights: Tensor, elements: Tensor, labelled: Tensor | None) -> Tensor:
    """Return the weights of rows (B,) as those of their elements (B, ...), 0 without a label."""
    wide = weights.to(elements.dtype).view(-1, *[1] * (elements.ndim - 1)).expand_as(elements)
    return clean(wide, labelled)


def all_one(weights: Tensor) -> bool:
    """Return whether weights change nothing, if it is cheap to see: a GPU would have to wait."""
    return weights.device.type == "cpu" and bool((weights == 1).all())


def sum_selected(
    function: Callable[[Tensor, Tensor], Any],
    raw: Tensor,
    target: Tensor,
    labelled: Tensor,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Add up a user's loss, called on the rows that have a label.

    What the function returns, for n rows with labels, may be

    * a loss per element, in the shape of the labels (n,) or (n, K): cells without a label see the
      target 0 and are left out;
    * more axes than the labels have: these are averaged, so (n, C) for n class labels is fine;
    * a loss per row (n,) for labels (n, K), or one number (): the mean over the row or over all. It
      cannot leave single cells out, so a row that is only partly labelled is refused.

    Args:
        function: Called as ``function(raw, target)``.
        raw: Raw outputs, shape (B, ...).
        target: Labels, shape (B, ...).
        labelled: Mask of the elements that count, (B, ...).
        weights: How much each row counts, (B,); every row alike if left out.

    Returns:
        Differentiable sum () and count () of the labelled elements, with weights of their weights;
        (0, 0) if there are none, and then the function is not called.

    Raises:
        InputError: If the function does not return a tensor, or returns a shape that does not fit,
            or a mean that would include missing labels or rows of different weight.

    Example:
        >>> import torch
        >>> raw, target = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, torch.nan, 1.0])
        >>> sum_selected(torch.nn.L1Loss(), raw, target, ~target.isnan())
        (tensor(3.), tensor(2.))
    """
    rows = labelled if labelled.ndim == 1 else labelled.flatten(1).any(dim=1)
    if not bool(rows.all()):  # waits for the device
        raw, target, labelled = raw[rows], target[rows], labelled[rows]
        weights = None if weights is None else weights[rows]
    count = number_of(labelled)
    if weights is not None:
        weights = of_elements(weights, raw.new_empty(labelled.shape), labelled)
        count = weights.sum().float()
    if len(target) == 0:
        return raw.new_zeros(()), count
    losses = function(raw, clean(target, labelled))
    if not isinstance(losses, Tensor):
        raise InputError(
            f"the loss {_name(function)} returned {type(losses).__name__}, expected a tensor: "
            "compute it with torch operations, so that it has a gradient"
        )
    if losses.shape[: labelled.ndim] == labelled.shape:
        extra = tuple(range(labelled.ndim, losses.ndim))
        losses = (losses.mean(dim=extra) if extra else losses).where(labelled, 0)
        return (losses if weights is None else losses * weights).sum(), count
    return _sum_of_means(function, losses, labelled, weights), count


def _sum_of_means(
    function: Callable[..., Any], losses: Tensor, labelled: Tensor, weights: Tensor | None
) -> Tensor:
    n = len(labelled)  # rows; undo the mean over each row's cells, (n,), or over everything, ()
    if losses.numel() != 1 and losses.shape != (n,):
        shape = tuple(labelled.shape)
        raise InputError(
            f"the loss {_name(function)} returned the shape {tuple(losses.shape)}, expected "
            f"{shape}, one loss per label, or (), their mean"
        )
    if not bool(labelled.all()):  # waits for the device
        raise InputError(
            f"the loss {_name(function)} returned a mean, {tuple(losses.shape)}, where some rows "
            f"are only partly labelled, so it includes missing labels; return one loss per label, "
            f"{tuple(labelled.shape)}, for example with reduction='none'"
        )
    if weights is not None:
        if losses.numel() != n:
            raise InputError(
                f"the loss {_name(function)} returned a mean over rows, which cannot count them by "
                f"their weights; return one loss per row, ({n},), for example with reduction='none'"
            )
        losses = losses.reshape(n) * weights.reshape(n, -1)[:, 0]
    return losses.sum() * (labelled.numel() / losses.numel())


def number_of(labelled: Tensor) -> Tensor:
    """Return the number of labelled elements, as a floating-point tensor ()."""
    return labelled.sum().float()


def size_of(elements: Tensor) -> Tensor:
    """Return the number of elements, as a floating-point tensor ()."""
    return torch.full((), elements.numel(), dtype=torch.float32, device=elements.device)


def _name(function: Callable[..., Any]) -> str:
    return repr(getattr(function, "__name__", type(function).__name__))
