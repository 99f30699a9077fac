"""Checks of the arguments of `motet.backward`, before any gradient is written."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from torch import Tensor, nn

from motet.balancing.engine.result import BackwardResult
from motet.balancing.families import Balancer
from motet.problems import InputError, hint, shown

Shared = Iterable[Tensor] | nn.Module


def check_penalty(penalty: object) -> None:
    """Refuse a penalty that no backward pass can start from."""
    if not isinstance(penalty, Tensor):
        raise InputError(f"penalty is {shown(penalty)}, expected a scalar tensor with its graph")
    if penalty.dim() != 0 or penalty.is_complex():
        kind = "complex" if penalty.is_complex() else f"of shape {tuple(penalty.shape)}"
        raise InputError(f"penalty is {kind}, expected a real scalar; reduce it, e.g. with .sum()")
    if not penalty.requires_grad:
        raise InputError(
            "penalty has no graph: it depends on no parameter that trains; leave it out, or check "
            "for `detach()` and `no_grad()` before it"
        )


def check_previous(previous: object, balancer: Balancer) -> None:
    """Refuse task gradients of another balancer, and a result without any."""
    if not isinstance(previous, BackwardResult):
        raise InputError(f"previous is {shown(previous)}, expected the result of motet.backward")
    if previous.rows is None:
        raise InputError("previous= has no task gradients; make it with solve=False")
    if previous.balancer is not balancer:
        other = previous.balancer
        raise InputError(
            f"previous= was made for another balancer ({_described(other)}), found "
            f"{_described(balancer)}; give every micro-batch of a step the same balancer"
        )


def check_real(tensors: Iterable[Tensor], what: str, balancer: Balancer) -> None:
    """Refuse complex numbers, whose inner products no balancer supports."""
    for tensor in tensors:
        if tensor.is_complex():
            raise InputError(
                f"{what} has complex numbers (shape {tuple(tensor.shape)}), and "
                f"{type(balancer).__name__} compares real gradients; keep real parameters and use "
                "torch.view_as_complex in the forward pass, or choose a balancer that reads only "
                "losses, such as `equal`"
            )


def check_names(task_parameters: object, tasks: Collection[str]) -> None:
    """Refuse parameters of unknown tasks."""
    if not isinstance(task_parameters, Mapping):
        raise InputError(
            f"task_parameters is {shown(task_parameters)}, expected {{task: its parameters}}"
        )
    for task in task_parameters:
        if task not in tasks:
            raise InputError(f"task_parameters names {task!r}; {hint(task, tasks)}")


def parameters_in(given: Shared, what: str) -> list[Tensor]:
    """List the parameters that a caller gave."""
    if isinstance(given, nn.Module):
        return list(given.parameters())
    if isinstance(given, Tensor | str) or not isinstance(given, Iterable):
        found_one = "one tensor" if isinstance(given, Tensor) else shown(given)
        raise InputError(f"{what} is {found_one}, expected a module, or a list of parameters")
    found = list(given)
    if not found and isinstance(given, Iterator):
        raise InputError(
            f"{what} is an exhausted iterator: a generator such as `module.parameters()` "
            "can be read only once; give the module, or `list(module.parameters())`"
        )
    for leaf in found:
        if not isinstance(leaf, Tensor) or not leaf.is_leaf:
            shows = "a tensor that was computed" if isinstance(leaf, Tensor) else shown(leaf)
            raise InputError(
                f"{what} holds {shows}, expected parameters; to balance on what an encoder "
                'gives, use at="representation", representation=...'
            )
    return found


def given_tensors(representation: Tensor | Sequence[Tensor] | None) -> list[Tensor]:
    """List the tensors of a representation that was given."""
    if representation is None:
        return []
    return [representation] if isinstance(representation, Tensor) else list(representation)


def _described(balancer: Balancer | None) -> str:
    assert balancer is not None
    return f"{type(balancer).__name__} of {', '.join(balancer.tasks)}"


def named_losses(
    losses: Mapping[str, Tensor] | Sequence[Tensor], tasks: Sequence[str], *, complete: bool
) -> dict[str, Tensor]:
    """Return the losses in the order of the tasks, if ``complete`` at least one, with a graph."""
    if isinstance(losses, Tensor) or not isinstance(losses, (Mapping, Sequence)):
        found = "one tensor" if isinstance(losses, Tensor) else type(losses).__name__
        raise InputError(
            f"losses is {found}, expected a scalar loss for each task, {{task: loss}}: the "
            "balancer adds them up"
        )
    if not isinstance(losses, Mapping):
        if len(losses) != len(tasks):
            raise InputError(
                f"found {len(losses)} losses, expected {len(tasks)}: {', '.join(tasks)}. "
                "To leave tasks out, give a mapping of task names to losses."
            )
        losses = dict(zip(tasks, losses, strict=True))
    if complete and not losses:
        raise InputError("found no loss, expected at least one")
    for task, loss in losses.items():
        if task not in tasks:
            raise InputError(f"found a loss for {task!r}, which is not a task; {hint(task, tasks)}")
        if not isinstance(loss, Tensor):
            raise InputError(
                f"the loss of {task!r} is {shown(loss)}, expected a scalar tensor with its graph; "
                "leave out `.item()` and `float()`"
            )
        if loss.dim() != 0:
            raise InputError(
                f"the loss of {task!r} has shape {tuple(loss.shape)}, expected a scalar; "
                "reduce it first, e.g. with `.mean()`"
            )
        if loss.is_complex():
            raise InputError(
                f"the loss of {task!r} is complex, expected a real number; take e.g. `.abs()`"
            )
        if complete and not loss.requires_grad:
            raise InputError(
                f"the loss of {task!r} has no graph: it depends on no parameter that trains; "
                "leave the task out, or check for `detach()` and `no_grad()` before it"
            )
    return {task: losses[task] for task in tasks if task in losses}
