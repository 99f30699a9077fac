"""Which leaves are shared, and which belong to tasks alone.

The graph decides. A caller who lists the parameters of every task saves most walks of the graph;
the first calls of a kind, and one in 256 later, still compare the lists with it.
"""

import sys
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from motet.balancing.engine.graph import HIDDEN, REENTRANT, place, several, walk, whole_graph
from motet.balancing.engine.inputs import Shared, check_names, parameters_in
from motet.balancing.engine.looks import GraphLists, is_due
from motet.balancing.families import Balancer
from motet.problems import InputError


@dataclass(frozen=True)
class Leaves:
    """The leaves that gradients are wanted for."""

    shared: list[Tensor]
    own: dict[str, list[Tensor]]
    """Other leaves that each task reaches."""
    listed: bool
    """Whether the caller listed the shared ones."""

    @property
    def others(self) -> list[Tensor]:
        """Leaves of the tasks, each once."""
        return unique(leaf for own in self.own.values() for leaf in own)

    @property
    def every(self) -> list[Tensor]:
        """All leaves, each once."""
        return [*self.shared, *self.others]


def find_leaves(
    losses: Mapping[str, Tensor],
    balancer: Balancer,
    shared: Shared | None,
    task_parameters: Mapping[str, Shared] | None,
) -> Leaves:
    """Find the leaves of some losses, by a walk of the graph unless lists are trusted."""
    columns = balancer.needs.columns_stay
    if columns and shared is None:
        raise InputError(
            f"{type(balancer).__name__} remembers a number per shared parameter, so it must "
            "know which these are in every step; give shared="
        )
    if shared is not None and task_parameters is not None:
        check_names(task_parameters, balancer.tasks)
        given = given_leaves(losses, shared, task_parameters)
        if isinstance(task_parameters, GraphLists):
            return given
        return _LISTS.setdefault(balancer, _Lists()).compared(losses, balancer, given)
    graph = whole_graph(losses.values())
    reached = graph.leaves
    if shared is None:
        if graph.hidden:
            raise InputError(f"{HIDDEN}; give shared=")
        common = common_leaves(reached) or _candidates(reached)  # or each task by itself
    else:
        here = {id(leaf) for leaf in reached}
        common = [leaf for leaf in trainable(shared) if columns or id(leaf) in here]
        if not any(id(leaf) in here for leaf in common):
            raise InputError(_NOT_REACHED)
        _warn_of_own(losses, balancer, common, reached)
    return Leaves(common, own_leaves(losses, reached, common), listed=shared is not None)


_NOT_REACHED = (
    "no loss reaches a parameter in `shared`; give the parameters that the losses were computed "
    "with (after .to(), compile or copy they may be others; a checkpoint needs use_reentrant=False)"
)


def common_leaves(reached: Mapping[Tensor, int]) -> list[Tensor]:
    """List the parameters that several losses reach."""
    return [leaf for leaf in _candidates(reached) if several(reached[leaf])]


def _candidates(reached: Iterable[Tensor]) -> list[Tensor]:
    """List parameters, or all leaves where none is a parameter."""
    leaves = list(reached)  # beside parameters, others are inputs that require gradients
    return [leaf for leaf in leaves if isinstance(leaf, nn.Parameter)] or leaves


def reached_tasks(outputs: Mapping[str, Tensor]) -> dict[Tensor, frozenset[str]]:
    """Map every leaf that some outputs of tasks depend on to those tasks.

    Args:
        outputs: A loss or another output of each task, with its graph.

    Returns:
        Tasks by leaf, without those that are hidden in a compiled module, which is one node of the
        graph: it does not show what each of its outputs depends on.
    """
    found = {task: output for task, output in outputs.items() if output.requires_grad}
    graph = walk([place(output) for output in found.values()])
    return {
        leaf: frozenset(task for bit, task in enumerate(found) if tasks >> bit & 1)
        for leaf, tasks in graph.leaves.items()
        if leaf not in graph.hidden
    }


def own_leaves(
    tasks: Iterable[str], reached: Mapping[Tensor, int], common: Iterable[Tensor]
) -> dict[str, list[Tensor]]:
    """List for each task the leaves that it reaches, without those in ``common``."""
    rest = {id(leaf) for leaf in common}
    return {
        task: [leaf for leaf, bits in reached.items() if bits >> bit & 1 and id(leaf) not in rest]
        for bit, task in enumerate(tasks)
    }


def given_leaves(
    tasks: Iterable[str], shared: Shared, task_parameters: Mapping[str, Shared]
) -> Leaves:
    """List the leaves that a caller gave for some tasks."""
    balanced = trainable(shared)
    common = {id(leaf) for leaf in balanced}
    own = {}
    for task in tasks:
        mine = parameters_in(task_parameters.get(task, ()), f"`task_parameters` of {task!r}")
        own[task] = unique([leaf for leaf in mine if leaf.requires_grad])
        if not common.isdisjoint(map(id, own[task])):
            raise InputError(f"a parameter of {task!r} is listed in `shared` too; list it once")
    return Leaves(balanced, own, listed=True)


def checked_leaves(
    losses: Mapping[str, Tensor],
    penalty: Tensor | None,
    balancer: Balancer,
    shared: Shared,
    task_parameters: Mapping[str, Shared],
) -> Leaves:
    """List the leaves of all tasks, which must be alike on all processes and hold what is reached.

    Args:
        losses: Losses of this process.
        penalty: What is minimised too.
        balancer: The balancer.
        shared: What the caller gave as shared parameters.
        task_parameters: And as those of each task alone.

    Returns:
        What was given, also of tasks without a loss here.

    Raises:
        InputError: If a leaf is complex, or reached and not listed.
    """
    check_names(task_parameters, balancer.tasks)
    given = given_leaves(balancer.tasks, shared, task_parameters)
    if any(leaf.is_complex() for leaf in given.every):
        raise InputError(
            "a listed parameter is complex, and over processes only real gradients are averaged; "
            "keep real parameters and use torch.view_as_complex in the forward pass"
        )
    if not isinstance(task_parameters, GraphLists):
        _LISTS.setdefault(balancer, _Lists()).check(losses, penalty, given)
    return given


class _Lists:
    """Lists of parameters that a balancer's calls came with, compared with the graph at times.

    Lists are compared at the calls that `is_due` names, and at every call if they left something
    out.
    """

    def __init__(self) -> None:
        self._complete: dict[tuple[object, ...], int] = {}

    def compared(self, losses: Mapping[str, Tensor], balancer: Balancer, given: Leaves) -> Leaves:
        """Return lists with what they left out."""
        kind = _kind(losses, given)
        calls = self._complete.get(kind, 0)
        if is_due(calls):
            reached = whole_graph(losses.values()).leaves
            if not any(given.own.values()):
                _warn_of_own(losses, balancer, given.shared, reached)
            if not _hold_all(given, reached):
                if not any(leaf in reached for leaf in given.shared):
                    raise InputError(_NOT_REACHED)
                return replace(given, own=own_leaves(losses, reached, given.shared))
        self._complete[kind] = calls + 1
        return given

    def check(self, losses: Mapping[str, Tensor], penalty: Tensor | None, given: Leaves) -> None:
        """Refuse lists that left something out."""
        kind = _kind(losses, given)
        calls = self._complete.get(kind, 0)
        if is_due(calls):
            losses = {task: loss for task, loss in losses.items() if loss.requires_grad}
            outputs = [*losses.values(), *([] if penalty is None else [penalty])]
            graph = walk([place(output) for output in outputs])
            if graph.reentrant:
                raise InputError(REENTRANT)
            shared, every = set(map(id, given.shared)), set(map(id, given.every))
            known = [shared | set(map(id, given.own[task])) for task in losses]
            names = [*losses, "the penalty"]
            for leaf, bits in graph.leaves.items():
                for bit, here in enumerate([*known, every]):
                    if bits >> bit & 1 and id(leaf) not in here and leaf not in graph.hidden:
                        raise InputError(_not_listed(names[bit], leaf))
        self._complete[kind] = calls + 1


def _kind(losses: Mapping[str, Tensor], given: Leaves) -> tuple[object, ...]:
    lists = [given.shared, *given.own.values()]
    return (*losses, *map(len, lists), *map(id, chain.from_iterable(lists)))


def _not_listed(name: str, leaf: Tensor) -> str:
    what = "the penalty" if name == "the penalty" else f"the loss of {name!r}"
    return (
        f"{what} reaches a parameter of shape {tuple(leaf.shape)} that is in neither `shared` nor "
        "`task_parameters` of that task; with process_group all must be listed, as a process "
        "without rows of a task cannot find them in a graph"
    )


_LISTS: WeakKeyDictionary[Balancer, _Lists] = WeakKeyDictionary()


def _hold_all(given: Leaves, reached: Mapping[Tensor, int]) -> bool:
    """Return whether lists hold all that each task's loss reaches."""
    known = [{id(leaf) for leaf in [*given.shared, *own]} for own in given.own.values()]
    return all(
        id(leaf) in here
        for leaf, tasks in reached.items()
        for bit, here in enumerate(known)
        if tasks >> bit & 1
    )


_WARNED: WeakKeyDictionary[Balancer, bool] = WeakKeyDictionary()


def _warn_of_own(
    tasks: Collection[str],
    balancer: Balancer,
    shared: Iterable[Tensor],
    reached: Mapping[Tensor, int],
) -> None:
    """Warn once of leaves in ``shared`` that one task alone reaches, where others are shared."""
    if len(tasks) < len(balancer.tasks) or balancer in _WARNED:
        return  # a task that is absent may reach them too
    masks = [reached[leaf] for leaf in shared if leaf in reached]
    alone = [bits for bits in masks if not several(bits)]
    if not alone or len(alone) == len(masks):
        return
    _WARNED[balancer] = True
    names = [task for bit, task in enumerate(tasks) if 1 << bit in alone]
    warnings.warn(
        f"`shared` holds {len(alone)} parameters that only one task reaches "
        f"({', '.join(names)}), such as those of a head: they are balanced like shared ones, and "
        "may be scaled down to nothing; give only parameters that several tasks reach, or leave "
        "shared out",
        stacklevel=_level_of_caller(),
    )


def _level_of_caller() -> int:
    """Return the ``stacklevel`` of a warning about the call of `motet.backward`."""
    inside = ("motet", "functools", "torch")  # torch wraps calls once anything is compiled
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    return level


def trainable(shared: Shared) -> list[Tensor]:
    """List what can be trained in ``shared``, each once."""
    trained = unique([leaf for leaf in parameters_in(shared, "`shared`") if leaf.requires_grad])
    if not trained:
        raise InputError(
            "`shared` holds no parameter that trains; give an encoder that is not frozen"
        )
    return trained


def unique(leaves: Iterable[Tensor]) -> list[Tensor]:
    """List tensors, each once."""
    return list({id(leaf): leaf for leaf in leaves}.values())
