"""Which leaves are shared, and which belong to tasks alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from motet.balancing.engine.call import Call
from motet.balancing.engine.graph import place, several, walk
from motet.balancing.families import JacobianBalancer
from motet.problems import InputError, shown

Shared = Iterable[Tensor] | nn.Module


@dataclass(frozen=True)
class Leaves:
    """The leaves that gradients are wanted for."""

    shared: list[Tensor]
    own: dict[str, list[Tensor]]
    """Other leaves that each task reaches."""
    told: bool
    """Whether the caller said which are shared."""


def find_leaves(
    call: Call, shared: Shared | None, task_parameters: Mapping[str, Iterable[Tensor]] | None
) -> Leaves:
    """Find the leaves that a call is about, by walking the graph unless all are told."""
    columns = isinstance(call.balancer, JacobianBalancer) and bool(call.balancer.column_state)
    if columns and shared is None:
        raise InputError(
            f"{type(call.balancer).__name__} remembers a number per shared parameter, so it must "
            "know which these are in every step; give shared="
        )
    if shared is not None and task_parameters is not None:
        return _told_leaves(call, listed(shared), task_parameters)
    reached = walk([place(loss) for loss in call.losses.values()]).leaves
    if shared is None:
        common = [leaf for leaf, tasks in reached.items() if several(tasks)]
        common = common or list(reached)  # nothing in common: every task by itself
    else:
        here = {id(leaf) for leaf in reached}
        common = [leaf for leaf in listed(shared) if columns or id(leaf) in here]
        if not any(id(leaf) in here for leaf in common):
            raise InputError(
                "no loss reaches a parameter in `shared`; give the parameters that the losses "
                "were computed with (after .to(), compile or copy they may be others)"
            )
    return Leaves(common, own_leaves(call, reached, common), told=shared is not None)


def own_leaves(
    call: Call, reached: Mapping[Tensor, int], common: Iterable[Tensor]
) -> dict[str, list[Tensor]]:
    """List for each task the leaves that it reaches, without those in ``common``."""
    rest = {id(leaf) for leaf in common}
    return {
        task: [leaf for leaf, tasks in reached.items() if tasks >> bit & 1 and id(leaf) not in rest]
        for bit, task in enumerate(call.tasks)
    }


def _told_leaves(
    call: Call, shared: list[Tensor], task_parameters: Mapping[str, Iterable[Tensor]]
) -> Leaves:
    common = {id(leaf) for leaf in shared}
    own = {}
    for task in call.tasks:
        own[task] = unique([leaf for leaf in task_parameters.get(task, ()) if leaf.requires_grad])
        if any(id(leaf) in common for leaf in own[task]):
            raise InputError(f"a parameter of {task!r} is listed in `shared` too; list it once")
    return Leaves(shared, own, told=True)


def listed(shared: Shared) -> list[Tensor]:
    """List what can be trained in ``shared``, each once."""
    given = list(shared.parameters()) if isinstance(shared, nn.Module) else list(shared)
    for leaf in given:
        if not isinstance(leaf, Tensor) or not leaf.is_leaf:
            found = "a tensor that was computed" if isinstance(leaf, Tensor) else shown(leaf)
            raise InputError(
                f"`shared` holds {found}, expected parameters; to balance on what an encoder "
                'gives, use at="representation", representation=...'
            )
    trained = unique(leaf for leaf in given if leaf.requires_grad)
    if not trained:
        raise InputError(
            "`shared` holds no parameter that trains; give an encoder that is not frozen"
        )
    return trained


def unique(leaves: Iterable[Tensor]) -> list[Tensor]:
    """List tensors, each once."""
    return list({id(leaf): leaf for leaf in leaves}.values())
