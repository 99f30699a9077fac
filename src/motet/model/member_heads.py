"""Heads of the members of an ensemble: each task has one for each of them, with its own weights.

Built-in heads of all members are one batched product per layer; those of a user run one after the
other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from motet.problems import InputError
from motet.sharing.experts import StackedLinear
from motet.tasks import Task, TaskHead
from motet.tasks.heads import SingleOutput


def member_heads(task: Task, width: int, members: int) -> nn.Module:
    """Build the heads of a task, one for each member.

    Args:
        task: The task.
        width: Width of the features that each reads.
        members: How many there are, K.

    Returns:
        A module that maps features (B, K, width) to raw outputs (B, K, outputs), or (B, K) for one
        number per row.

    Raises:
        InputError: If the task was given one module as its head.
    """
    if isinstance(task.head, nn.Module):
        raise InputError(
            f"found a module, {type(task.head).__name__}, but the encoder is an ensemble, each of "
            f"whose {members} members has a head of its own; give a function (width, outputs) that "
            "makes one",
            option="head",
            owner=f"task {task.name!r}",
        )
    first = task.make_head(width)
    if next(first.parameters(), None) is None:
        return first  # what it computes is the same for all, such as a product of probabilities
    heads = [first, *(task.make_head(width) for _ in range(members - 1))]
    inner = [each.head if isinstance(each, SingleOutput) else each for each in heads]
    built_in = [each for each in inner if type(each) is TaskHead]
    if len(built_in) < members:
        return LoopedHeads(heads)
    return MemberHeads(built_in, single=isinstance(first, SingleOutput))


class MemberHeads(nn.Module):
    """Built-in heads of K members, computed together.

    Args:
        heads: One head for each member.
        single: Whether raw outputs of one number have no axis of their own.
    """

    def __init__(self, heads: Sequence[TaskHead], *, single: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for layers in zip(*(each.layers for each in heads), strict=True):
            linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
            self.layers.append(StackedLinear(linear) if linear else layers[0])
        self.single = single

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, K, D) to raw outputs (B, K, outputs), or (B, K)."""
        state = features
        for layer in self.layers:
            # draws of dropout are cut by rows, so they must be the first axis in memory, too
            state = layer(state.contiguous() if isinstance(layer, nn.Dropout) else state)
        return state.squeeze(-1) if self.single else state


class LoopedHeads(nn.Module):
    """Heads of K members that run one after the other.

    Args:
        heads: One head for each member.
    """

    def __init__(self, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(
        self, features: Tensor, reads: Mapping[str, Tensor] | None = None, **more: Any
    ) -> Tensor:
        """Map features (B, K, D) to raw outputs (B, K, ...); each gets what its member read."""
        found = []
        for member, head in enumerate(self.heads):
            own = more
            if reads is not None:
                own = {**more, "reads": {name: each[:, member] for name, each in reads.items()}}
            found.append(head(features[:, member], **own))
        return torch.stack(found, dim=1)
