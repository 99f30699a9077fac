"""Parameters of which each process holds a part: the DTensors of FSDP2 (``fully_shard``).

FSDP gathers parameters for a forward or backward pass, and adds the mean of the processes'
gradients to ``.grad`` of the parts. The leaves of the graph are the gathered parameters, which are
not those that the model registers, so gradients come from passes into ``.grad`` alone.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from motet.balancing.engine.call import Shards
from motet.balancing.engine.gradient_rows import GradientRows
from motet.balancing.engine.inputs import Shared, parameters_in
from motet.balancing.engine.looks import GraphLists
from motet.problems import InputError
from motet.processes import Group, Processes


class ShardRows(GradientRows):
    """Task gradients on this process's parts of some parameters; sums go over all of them.

    Args:
        leaves: The parameters, each a DTensor.
        tasks: Names of the rows.
        processes: Those which hold the other parts.
        memory: Numbers to write to, if there are enough of the right kind.
    """

    def __init__(
        self,
        leaves: Sequence[Tensor],
        tasks: Sequence[str],
        memory: Tensor | None,
        processes: Processes,
    ) -> None:
        super().__init__(leaves, tasks, memory)
        self.processes = processes

    def like(self, leaves: Sequence[Tensor], tasks: Sequence[str]) -> "ShardRows":
        return ShardRows(leaves, tasks, None, self.processes)

    def shapes_of(self, leaves: Sequence[Tensor]) -> list[torch.Size]:
        return [local(leaf).shape for leaf in leaves]

    def gramian(self) -> Tensor:
        return self.processes.total(super().gramian())

    def gradients(
        self, direction: Tensor, *, combined: bool = False
    ) -> list[tuple[Tensor, Tensor]]:
        found = super().gradients(direction, combined=combined)
        return [(leaf, _part_of(leaf, part)) for leaf, part in found]


def find_shards(
    shared: Shared, own: Mapping[str, Shared] | None, group: object = None
) -> tuple[Shards | None, Shared, Mapping[str, Shared] | None]:
    """Find who holds the shared parameters in parts, while torch.distributed runs.

    Args:
        shared: What a caller gave as shared parameters.
        own: And as those of each task alone.
        group: And as processes; those of FSDP are used.

    Returns:
        None where each process has all of them; and both lists, as FSDP registers parameters
        between passes.

    Raises:
        InputError: If they are divided in another way than FSDP does on one axis of processes.
    """
    if "torch.distributed.tensor" not in sys.modules:
        return None, shared, own
    modules = _gathering(shared)
    if isinstance(shared, Iterator):  # it can be read once
        shared = list(shared) or shared
    leaves = _registered(shared, "`shared`")
    parts: list[Any] = [leaf for leaf in leaves if is_part(leaf)]
    if not parts:
        check_not_gathered(leaves, "`shared`")
        return None, shared, own
    if whole := len(leaves) - len(parts):
        raise InputError(
            f"`shared` holds {len(parts)} parameters in parts (DTensor) and {whole} whole ones; "
            "apply fully_shard to the very module that is given as `shared`, or list its "
            "parameters before the forward pass, after which FSDP's outermost module stays gathered"
        )
    mesh = parts[0].device_mesh
    for part in parts:
        if part.device_mesh != mesh or mesh.ndim > 1 or not part.placements[0].is_shard():
            raise InputError(
                f"a shared parameter is placed as {part.placements} on {part.device_mesh}, "
                "expected one part for each process, as fully_shard makes on a mesh of one "
                "dimension; give fully_shard such a mesh"
            )
    processes = Group(mesh.get_group())
    if group is not None and group is not processes.group:
        raise InputError(
            "process_group is another group than that of the mesh of `shared` (FSDP); leave it out"
        )
    if own is not None:
        listed = {
            task: _registered(given, f"`task_parameters` of {task!r}")
            for task, given in own.items()
        }
        own = GraphLists(listed)  # the graph has other leaves, so it could not confirm them
    return Shards(processes, modules), leaves, own


def check_all_have(tasks: Sequence[str], counts: Sequence[float], processes: Processes) -> None:
    """Refuse a loss that some processes lack: their passes would wait for each other forever."""
    for task, count in zip(tasks, counts, strict=True):
        if 0 < count < processes.count:
            raise InputError(
                f"{count:.0f} of {processes.count} processes gave a loss of {task!r} with a graph: "
                "with parameters in parts (FSDP), all make the same backward passes. Give it on "
                "every process, as the sum over its labelled rows, of which there may be none, "
                "times the number of processes over the count of labels on all of them"
            )


def check_not_gathered(leaves: Sequence[Tensor], what: str) -> None:
    """Refuse parameters that FSDP gathered for a pass: gradients must reach their parts by FSDP."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None:
        return
    states = sys.modules["torch.distributed._composable_state"]
    modules = [each for each in states._module_state_mapping if isinstance(each, fsdp.FSDPModule)]
    gathered = {id(leaf) for module in modules for leaf in module.parameters()}
    if any(id(leaf) in gathered for leaf in leaves):
        raise InputError(
            f"{what} holds a parameter that FSDP gathered for the forward pass, which is not the "
            "one that trains; give the module that fully_shard was applied to, or a list made "
            "before the forward pass. Heads may be in parts only where `shared` is"
        )


def is_part(leaf: object) -> bool:
    """Return whether a tensor is a DTensor; imports nothing."""
    known = sys.modules.get("torch.distributed.tensor")
    return known is not None and isinstance(leaf, known.DTensor)


def local(tensor: Any) -> Tensor:
    """Return the part of a DTensor that this process holds, and another tensor as it is."""
    part: Tensor = tensor.detach().to_local() if is_part(tensor) else tensor
    return part


def _part_of(leaf: Any, part: Tensor) -> Tensor:
    """Return a tensor that is divided like a leaf."""
    made: Tensor = type(leaf.data).from_local(
        part,
        leaf.device_mesh,
        leaf.placements,
        run_check=False,
        shape=leaf.shape,
        stride=leaf.stride(),
    )
    return made


def _registered(given: Shared, what: str) -> list[Tensor]:
    """List parameters as they are between passes."""
    for module in _gathering(given):
        module.reshard()
    return parameters_in(given, what)


def _gathering(given: Shared) -> tuple[Any, ...]:
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None or not isinstance(given, nn.Module):
        return ()
    return tuple(module for module in given.modules() if isinstance(module, fsdp.FSDPModule))
