"""Balancing an explicit Jacobian, without autograd."""

import torch
from torch import Tensor

from motet.balancing.engine.gradient_rows import inner_products, weighted_sum
from motet.balancing.engine.inputs import check_real
from motet.balancing.engine.precision import without_autocast
from motet.balancing.engine.refusals import no_balancer
from motet.balancing.engine.solving import as_exact_as_rows, report_norms
from motet.balancing.families import Balancer, GramianBalancer, JacobianBalancer
from motet.balancing.families.uncompiled import uncompiled
from motet.problems import InputError, with_article


@uncompiled
@without_autocast
def combine(jacobian: Tensor, balancer: Balancer, losses: Tensor | None = None) -> Tensor:
    """Combine task gradients into one direction.

    Args:
        jacobian: One flattened gradient per task, (T, P), in the order of ``balancer.tasks``.
        balancer: What combines them.
        losses: Losses (T,), for balancers that read them.

    Returns:
        The direction (P,), same dtype and device.

    Raises:
        InputError: If the shapes do not fit the tasks, numbers are whole, or a balancer that reads
            losses gets none.

    Example:
        >>> from motet.balancing import create
        >>> rows = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
        >>> combine(rows, create("mgda", ["a", "b"], scale="paper"))
        tensor([1.9200, 1.4400])
    """
    if not isinstance(balancer, Balancer) or not hasattr(balancer, "reads"):
        raise InputError(no_balancer(balancer))
    _check_numbers(jacobian, "jacobian")
    if losses is not None:
        _check_numbers(losses, "losses")
    if jacobian.dim() != 2 or len(jacobian) != len(balancer.tasks):
        raise InputError(
            f"jacobian has shape {tuple(jacobian.shape)}, expected ({len(balancer.tasks)}, P): "
            f"one flattened gradient for each of {', '.join(balancer.tasks)}"
        )
    check_real([jacobian], "jacobian", balancer)
    needs = balancer.needs
    if needs.reads == "jacobian":
        assert isinstance(balancer, JacobianBalancer)
        return balancer(jacobian, losses)
    if needs.reads == "gramian":
        assert isinstance(balancer, GramianBalancer)
        rows = jacobian.detach().to(torch.promote_types(jacobian.dtype, torch.float32))
        gramian = as_exact_as_rows(inner_products(rows), rows.dtype)
        return weighted_sum(balancer(gramian, losses), rows).to(jacobian)
    if needs.penalizes_norms:
        raise InputError(
            f"{type(balancer).__name__} differentiates the gradients, so it needs their "
            "graph and not their values; use motet.backward"
        )
    if losses is None:
        raise InputError(f"{type(balancer).__name__} reads the losses; give losses= (T,)")
    read = losses.detach().clone().requires_grad_()
    (weights,) = torch.autograd.grad(balancer(read), read)
    if needs.norms is not None:
        lengths = torch.linalg.vector_norm(jacobian.detach(), dim=1).to(losses)
        report_norms(balancer, lengths, losses.detach(), balancer.tasks)
    return weighted_sum(weights, jacobian.detach())


def _check_numbers(given: object, what: str) -> None:
    """Refuse what is not a tensor, and whole numbers, to which a direction would be cut."""
    if not isinstance(given, Tensor):
        found = with_article(type(given).__name__)
        raise InputError(f"{what} is {found}, expected a tensor: torch.as_tensor({what})")
    if not (given.is_floating_point() or given.is_complex()):
        raise InputError(f"{what} has whole numbers ({given.dtype}); give {what}.float()")
