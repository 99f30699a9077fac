"""Attention: each task attends to the features of one shared encoder."""

from collections.abc import Iterator
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.attention_heads import check_heads
from motet.options import Annotated, OnlyWith, PositiveInt, Sequence, checked
from motet.sharing.base import SharedModule, Sharing
from motet.sharing.by_task import ByTask
from motet.sharing.features import Features
from motet.sharing.running_means import move_mean
from motet.sharing.stages import Stages

HEADS = 4


@final
class Attention(Sharing):
    """Let each task attend to the features of one encoder, which runs once.

    - masks: after each stage that has weights, task k takes â = σ(h([u; â₋])) ⊙ u, where u are
      the shared features, â₋ what the task took after the previous stage, and h has one hidden
      layer (MTAN: Liu et al., CVPR 2019, arXiv:1803.10704). The last â is the representation. We
      differ in that h reads u itself, as stages have no inside, and the mean of â₋ over positions,
      as their number may change between stages.
    - tokens: multi-head attention (Vaswani et al., NeurIPS 2017) from a learned token of each task
      to the shared features of all stages that have weights, each position a token; what it reads
      is added to the representation of the encoder.

    Args:
        form: Masks on the features of each stage, or attention from a token of each task.
        width: Width of the hidden layers of masks, or of tokens.
        heads: How many heads attend; must divide ``width``; 4 if left out.
    """

    keeps_encoder = True

    @checked
    def __init__(
        self,
        *,
        form: Literal["masks", "tokens"] = "masks",
        width: PositiveInt = 64,
        heads: Annotated[PositiveInt | None, OnlyWith("form", ("tokens",))] = None,
    ) -> None:
        self.form, self.width, self.heads = form, width, heads or HEADS
        if form == "masks":
            self.carries = ("rows", "map")
        if form == "tokens":
            check_heads(self.heads, width)

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        stages = Stages.of(stages)
        places = {*stages.places(None, ""), len(stages) - 1}
        read = stages.read_at(sorted(places), width)
        if self.form == "masks":
            return _Masks(stages, read, tasks, width, self.width)
        return _Tokens(stages, read, tasks, width, self.width, self.heads)


class _Masks(SharedModule):
    def __init__(
        self,
        stages: Stages,
        read: dict[int, Features],
        tasks: Sequence[str],
        width: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.stages, self.width, self._read = nn.ModuleList(stages), width, read
        widths = [each.width for each in read.values()]
        pairs = list(zip([0, *widths], widths, strict=False))
        self.masks = ByTask(
            {task: nn.ModuleList(_Mask(*pair, hidden) for pair in pairs) for task in tasks}
        )

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        state, taken, before = inputs, dict[str, Tensor](), None
        level = 0
        for place, stage in enumerate(self.stages):
            state = stage(state)
            if place not in self._read:
                continue
            features = self._read[place]
            features.check(state)
            for task in tasks:
                pooled = None if before is None else before.pooled(taken[task])
                taken[task] = self.masks[task][level](features, state, pooled) * state
            before, level = features, level + 1
        return {task: taken[task] for task in tasks}

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        yield from self.masks[task].parameters()

    def describe(self) -> dict[str, Any]:
        """Return the mean mask of each task after each stage, 0 to 1, and its spread over features.

        They are computed from running means over the training batches.
        """
        found = {}
        for task in self.masks.names:
            means = [mask.mean for mask in self.masks[task] if isinstance(mask, _Mask)]
            found[task] = {
                f"stage {place + 1}": {
                    "mean": float(mean.mean()),
                    "spread": float(mean.std(correction=0)),
                }
                for place, mean in zip(self._read, means, strict=True)
            }
        return {"masks": found}


class _Mask(nn.Module):
    """A number from 0 to 1 for each feature; ``mean`` (D,) is a running mean of them."""

    means_of_rows = ("mean",)

    def __init__(self, before: int, width: int, hidden: int) -> None:
        super().__init__()
        self.shared = nn.Linear(width, hidden)
        self.before = nn.Linear(before, hidden, bias=False) if before else None
        self.out = nn.Linear(hidden, width)
        self.mean = nn.Buffer(torch.full((width,), 0.5))

    def forward(self, features: Features, state: Tensor, before: Tensor | None) -> Tensor:
        hidden = self.shared(_channels_last(features, state))
        if self.before is not None:
            more = self.before(before)
            more = more.view(more.shape[0], *[1] * (hidden.dim() - 2), more.shape[1])
            hidden = hidden + more
        mask: Tensor = self.out(functional.relu(hidden)).sigmoid()
        if self.training:
            move_mean(self.mean, mask.flatten(0, -2))
        return mask.movedim(-1, 1) if features.channels_first else mask


class _Tokens(SharedModule):
    means_of_rows = ("mean",)

    def __init__(
        self,
        stages: Stages,
        read: dict[int, Features],
        tasks: Sequence[str],
        width: int,
        inner: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.stages, self.width, self._read, self._heads = nn.ModuleList(stages), width, read, heads
        self.maps = nn.ModuleList(nn.Linear(each.width, inner) for each in read.values())
        self.keys_values = nn.Linear(inner, 2 * inner)
        self.out = nn.Linear(inner, width)
        self.tokens = ByTask({task: nn.Embedding(1, inner) for task in tasks})
        self.mean = nn.Buffer(torch.full((len(tasks), len(read)), 1 / len(read)))

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        state, parts, level = inputs, list[Tensor](), 0
        for place, stage in enumerate(self.stages):
            state = stage(state)
            if place in self._read:
                features = self._read[place]
                features.check(state)
                last = _channels_last(features, state)
                rows = last.unsqueeze(1) if last.dim() == 2 else last.flatten(1, -2)
                parts.append(self.maps[level](rows))
                level += 1
        keys, values = (
            each.view(*each.shape[:2], self._heads, each.shape[2] // self._heads).transpose(1, 2)
            for each in self.keys_values(torch.cat(parts, dim=1)).chunk(2, dim=-1)
        )
        states = {}
        for task in tasks:  # one by one, so that no task's loss reaches the token of another
            query = self.tokens[task].weight.view(self._heads, 1, -1)
            weights = (query @ keys.transpose(2, 3) / query.shape[-1] ** 0.5).softmax(dim=-1)
            if self.training:
                self._take_note(task, weights, [part.shape[1] for part in parts])
            states[task] = state + self.out((weights @ values).flatten(1))
        return states

    def _take_note(self, task: str, weights: Tensor, sizes: list[int]) -> None:
        parts = torch.split(weights.detach().flatten(0, 2), sizes, dim=1)
        shares = torch.stack([part.sum(dim=1) for part in parts], dim=1)
        move_mean(self.mean[self.tokens.names.index(task)], shares)

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        yield from self.tokens[task].parameters()

    def describe(self) -> dict[str, Any]:
        """Return how much each task attends to each stage; running means in training."""
        names = [f"stage {place + 1}" for place in self._read]
        rows = zip(self.tokens.names, self.mean.tolist(), strict=True)
        return {"attention": {task: dict(zip(names, row, strict=True)) for task, row in rows}}


def _channels_last(features: Features, state: Tensor) -> Tensor:
    return state.movedim(1, -1) if features.channels_first else state
