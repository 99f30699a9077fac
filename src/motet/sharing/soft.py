"""Soft sharing: a network per task, tied by a regulariser of their weights."""

import math
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from motet.options import (
    Annotated,
    NonNegativeFloat,
    OnlyWith,
    PositiveInt,
    PositiveShare,
    Sequence,
    StrictBool,
    TaskGroups,
    checked,
)
from motet.options.mappings import RegroupingOptions, too_many_groups
from motet.problems import InputError
from motet.sharing.base import Representation, SharedModule, Sharing
from motet.sharing.by_task import ByTask
from motet.sharing.grouped import Grouped
from motet.sharing.regularizers import (
    group_lasso,
    pairwise_l2,
    shrink,
    shrink_groups,
    shrink_singular_values,
    trace_norm,
)
from motet.sharing.stages import Stages
from motet.sharing.tied import CurrentGroups, Groups


@final
class Soft(Sharing):
    """Tie a network per task to the others by a regulariser (Duong et al., ACL 2015).

    The regulariser is added after balancing, for each tensor W of the tied stages, over all tasks:

    - l2: λ Σ ‖Wᵢ - Wⱼ‖² over pairs of tasks;
    - trace_norm: λ Σ of the singular values of the tasks' weights side by side, so that they come
      to lie in a space of few dimensions (Yang & Hospedales 2016, arXiv:1606.04038);
    - group_lasso: λ Σ of the norm of each weight across tasks, so that tasks drop it together;
    - elastic_net: λ (s ‖W‖₁ + (1 - s) ‖W‖²), which ties nothing but makes all small and sparse.

    λ is the strength over a number that makes it mean the same for layers of any size. With n
    inputs, first weights vary as 1/n; a tensor of P numbers and m outputs (its first size) then has
    squares that add up to about m, and absolute values to about √(P m). By these l2 and the squares
    are divided, and sums of absolute values and of norms across tasks; the trace norm by √m.

    Cost: a network per task, and for trace_norm a singular value decomposition per tensor.

    With ``groups`` as a mapping, the groups of similar tasks are found every so many epochs, and
    the regulariser ties the tasks of each current group alone; all tasks are one group before.
    Networks of all tasks then start from the same weights, and by gradients their heads, too, as in
    clustered federated learning (Sattler et al., TNNLS 2020, arXiv:1910.01991).

    Args:
        regularizer: What is added to the loss.
        strength: How much of it.
        layers: The stages that are tied, counted from 1; all if left out.
        l1_share: Share s of the absolute values in an elastic net; 0.5 if left out.
        proximal: Whether a regularizer with kinks is left out of the loss and applied after each
            step of the optimizer by its proximal operator, which leaves exact zeros: weights that
            are zero in all tasks, for trace_norm singular values.
        groups: Groups of tasks, or how they are found while training: what tasks are compared
            ``by``, the ``number`` of groups, and the epochs between refreshes, ``every``. All tasks
            are one group if left out.
    """

    carries = "any"

    @checked
    def __init__(
        self,
        *,
        regularizer: Literal["l2", "trace_norm", "group_lasso", "elastic_net"] = "l2",
        strength: NonNegativeFloat = 0.01,
        layers: Sequence[PositiveInt] | None = None,
        l1_share: Annotated[PositiveShare | None, OnlyWith("regularizer", ("elastic_net",))] = None,
        proximal: Annotated[
            StrictBool | None,
            OnlyWith("regularizer", ("trace_norm", "group_lasso", "elastic_net")),
        ] = None,
        groups: TaskGroups | None = None,
    ) -> None:
        if groups is not None and (regularizer == "elastic_net" or not strength):
            found = f"regularizer {regularizer!r}" if strength else "strength 0"
            raise InputError(
                f"found groups and {found}, which ties no tasks, so that groups change nothing; "
                "expected regularizer l2, trace_norm or group_lasso, and a strength > 0; or remove "
                "groups",
                option="groups",
            )
        self.groups = groups
        self.regularizer, self.strength, self.layers = regularizer, strength, layers
        self.l1_share = 0.5 if l1_share is None else l1_share
        self.proximal = bool(proximal)

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        stages, groups = Stages.of(stages), self.groups
        if groups is not None and not isinstance(groups, Mapping):
            within = copy(self)
            within.groups = None
            return Grouped(within, groups).build(stages, tasks, width)
        every = range(1, len(stages) + 1)
        if not _have_weights(stages):
            raise InputError(
                "found an encoder without weights, so that nothing is tied; expected one with "
                "weights, or sharing: hard"
            )
        places = stages.places(list(every) if self.layers is None else self.layers, "layers")
        if not _have_weights([stages[place] for place in places]):
            raise InputError(
                f"found stages without weights, so that nothing is tied; the encoder has "
                f"{stages.counted()}; expected one with weights among them",
                option="layers",
            )
        made = self, stages.copies(len(tasks)), places, tasks, width
        return _SoftModule(*made) if groups is None else _RegroupedModule(*made, groups)


def _have_weights(stages: Iterable[nn.Module]) -> bool:
    return any(True for stage in stages for _ in stage.parameters())


class _SoftModule(SharedModule):
    def __init__(
        self,
        scheme: Soft,
        columns: Sequence[Stages],
        places: Sequence[int],
        tasks: Sequence[str],
        width: int,
    ) -> None:
        super().__init__()
        self.scheme, self.width, self._places = scheme, width, places
        modules = [nn.ModuleList(column) for column in columns]
        self.columns = ByTask(dict(zip(tasks, modules, strict=True)))

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Representation]:
        states: dict[str, Representation] = {}
        for task in tasks:
            state = inputs
            for stage in self.columns[task]:
                state = stage(state)
            states[task] = state
        return states

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        yield from self.columns[task].parameters()

    def _groups(self, tasks: Sequence[str] | None) -> list[list[str]]:
        """Return the groups of tasks that are tied, of all tasks or some."""
        return [list(self.columns.names if tasks is None else tasks)]

    def _tied(self, tasks: Sequence[str]) -> list[tuple[nn.Parameter, ...]]:
        """Return, for each tensor of the tied stages, that of each task."""
        columns = [self.columns[task] for task in tasks]
        parameters = (
            [p for at in self._places for p in column[at].parameters()] for column in columns
        )
        return list(zip(*parameters, strict=True))

    def penalty(self, tasks: Sequence[str] | None = None) -> Tensor | None:
        """Return the regulariser over the enabled tasks, without what acts after the step."""
        if not self.scheme.strength:
            return None
        tied = (same for group in self._groups(tasks) for same in self._tied(group))
        trained = (same for same in tied if any(each.requires_grad for each in same))
        terms = [term for same in trained for term in self._terms(same)]
        return self.scheme.strength * torch.stack(terms).sum() if terms else None

    def _terms(self, same: Sequence[Tensor]) -> Iterator[Tensor]:
        weights, outputs = _stacked(same)
        kinked = not self.scheme.proximal
        absolute = math.sqrt(weights.shape[1] * outputs)
        match self.scheme.regularizer:
            case "l2" if len(weights) > 1:
                yield pairwise_l2(weights) / outputs
            case "trace_norm" if kinked:
                yield trace_norm(weights) / math.sqrt(outputs)
            case "group_lasso" if kinked:
                yield group_lasso(weights) / absolute
            case "elastic_net":
                share = self.scheme.l1_share
                yield (1 - share) * weights.square().sum() / outputs
                if kinked:
                    yield share * weights.abs().sum() / absolute

    @torch.no_grad()
    def after_step(self, rate: float, tasks: Sequence[str] | None = None) -> None:
        """Take the proximal step, if the scheme is proximal."""
        if not self.scheme.proximal or not self.scheme.strength:
            return
        tied = (same for group in self._groups(tasks) for same in self._tied(group))
        for same in tied:
            for parameter, row in zip(same, self._shrunk(same, rate), strict=True):
                if parameter.requires_grad:
                    parameter.copy_(row.view_as(parameter))

    def _shrunk(self, same: Sequence[Tensor], rate: float) -> Tensor:
        weights, outputs = _stacked(same)
        threshold = rate * self.scheme.strength
        if self.scheme.regularizer == "trace_norm":
            return shrink_singular_values(weights, threshold / math.sqrt(outputs))
        threshold /= math.sqrt(weights.shape[1] * outputs)
        if self.scheme.regularizer == "group_lasso":
            return shrink_groups(weights, threshold)
        return shrink(weights, threshold * self.scheme.l1_share)

    @torch.no_grad()
    def describe(self) -> dict[str, Any]:
        """Return distances between tied weights, 0 if equal, about √2 if unrelated; and zeros.

        ``zeros`` is the share of tied numbers that are exactly 0 in all tasks.
        """
        flat = torch.cat([_stacked(same)[0] for same in self._tied(self.columns.names)], dim=1)
        lengths = flat.square().sum(dim=1)
        found = {}
        for i, one in enumerate(self.columns.names):
            for j, other in enumerate(self.columns.names[:i]):
                length = (lengths[i] + lengths[j]).clamp(min=torch.finfo(flat.dtype).tiny) / 2
                distance = (flat[i] - flat[j]).square().sum() / length
                found[f"{other}, {one}"] = float(distance.sqrt())
        return {"distance": found, "zeros": float((flat == 0).all(dim=0).float().mean())}


@final
class _RegroupedModule(_SoftModule):
    """Networks that start equal, tied within groups that change while training."""

    def __init__(
        self,
        scheme: Soft,
        columns: Sequence[Stages],
        places: Sequence[int],
        tasks: Sequence[str],
        width: int,
        found: RegroupingOptions,
    ) -> None:
        super().__init__(scheme, columns, places, tasks, width)
        if found["number"] >= len(tasks):
            message = too_many_groups(found["number"], len(tasks))
            raise InputError(message, option="groups.number")
        self.found = found
        self._current = CurrentGroups(tasks)
        first, *others = self.columns
        for each in others:
            each.load_state_dict(first.state_dict())

    @property
    def groups(self) -> list[list[str]]:
        return self._current.groups

    def regroup(self, groups: Groups) -> None:
        self._current.groups = [list(group) for group in groups]

    def counterparts(self) -> dict[str, list[nn.Parameter]]:
        names = self.columns.names
        return {task: [row[at] for row in self._tied(names)] for at, task in enumerate(names)}

    def _groups(self, tasks: Sequence[str] | None) -> list[list[str]]:
        asked = [[t for t in each if tasks is None or t in tasks] for each in self.groups]
        return [group for group in asked if group]

    def describe(self) -> dict[str, Any]:
        """Return the same, and the current groups."""
        return {"groups": self.groups, **super().describe()}


def _stacked(same: Sequence[Tensor]) -> tuple[Tensor, int]:
    """Return weights (T, P), and how many outputs they have."""
    outputs = same[0].shape[0] if same[0].dim() else 1
    return torch.stack([each.flatten() for each in same]), outputs
