"""Experts: several networks of one shape, run together, and gates that mix them.

Experts of linear layers and elementwise modules (activations, dropout) have their weights stacked,
(E, out, in), and run as one batched product per layer; others run one after the other. Where most
weights of a mixture are 0, stacked experts run on the rows that count, expert by expert: on a CPU
that takes about half the time where a third of them counts. The others run on all rows, as what
they compute of one row may depend on the rest, as in BatchNorm.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.problems import InputError
from motet.sharing.features import Features
from motet.sharing.running_means import move_mean
from motet.sharing.stages import Stages


@dataclass(frozen=True)
class Layout:
    """An encoder, split into the stages before the experts and those of each level."""

    bottom: Stages
    levels: list[Stages]
    features: list[Features]
    """What each level is given."""
    width: int
    """Width of the last level's output."""


def lay_out(stages: Stages, width: int, levels: int, expert_width: int | None) -> Layout:
    """Split an encoder: experts are made after its first stage, or of one new layer after them all.

    Args:
        stages: The encoder.
        width: Width of what it gives.
        levels: How many levels of experts there are; the stages after the first are divided in
            order, the first levels having one more if they cannot be divided evenly.
        expert_width: Width of experts of one new layer (linear, ReLU) each.

    Returns:
        The layout.

    Raises:
        InputError: If there are too few stages.
    """
    if expert_width is not None:
        widths = [width] + [expert_width] * levels
        made = [_layer(before, expert_width) for before in widths[:-1]]
        return Layout(stages, made, [Features(before) for before in widths[:-1]], expert_width)
    what = "experts are" if levels == 1 else f"{levels} levels of experts are"
    stages.require(1 + levels, f"{what} made after the first stage", _EXPERT_WIDTH)
    each, more = divmod(len(stages) - 1, levels)
    ends = [1]
    for level in range(levels):
        ends.append(ends[-1] + each + (level < more))
    parts = [stages[start:end] for start, end in pairwise(ends)]
    return Layout(stages[:1], parts, [stages.features(end - 1) for end in ends[:-1]], width)


def carried(expert_width: int | None) -> tuple[str, ...]:
    """Return the states that experts can compute; a new linear layer reads rows alone."""
    return ("rows", "map") if expert_width is None else ("rows",)


_EXPERT_WIDTH = (
    "give expert_width, for example expert_width: 128, so that each expert is one new layer after "
    "the whole encoder"
)


def _layer(before: int, after: int) -> Stages:
    return Stages.of(lambda: nn.Sequential(nn.Linear(before, after), nn.ReLU()))


def together(experts: Sequence[Stages]) -> nn.Module:
    """Make one module of several networks of one shape: (B, ...) to (B, E, ...)."""
    layers = [list(_leaves(expert.chain())) for expert in experts]
    if all(map(_stackable, layers[0])) and any(isinstance(layer, nn.Linear) for layer in layers[0]):
        return StackedExperts(layers)
    return LoopedExperts([expert.chain() for expert in experts])


def _stackable(layer: nn.Module) -> bool:
    """Whether a layer computes what its type does: subclasses and hooks may not."""
    hooks = layer._forward_hooks or layer._forward_pre_hooks
    return type(layer) in (nn.Linear, *_ON_NUMBERS) and not hooks


_ON_NUMBERS = (
    nn.CELU,
    nn.Dropout,
    nn.ELU,
    nn.GELU,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Identity,
    nn.LeakyReLU,
    nn.Mish,
    nn.ReLU,
    nn.ReLU6,
    nn.SELU,
    nn.Sigmoid,
    nn.SiLU,
    nn.Softplus,
    nn.Softsign,
    nn.Tanh,
)
"""Layers without parameters that act on each number alone."""


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of nested sequences in order; any other module as it is."""
    if type(module).forward is nn.Sequential.forward:
        for child in module.children():
            yield from _leaves(child)
    else:
        yield module


class StackedExperts(nn.Module):
    """Experts whose weights are stacked."""

    def __init__(self, experts: Sequence[Sequence[nn.Module]]) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for layers in zip(*experts, strict=True):
            linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
            self.layers.append(StackedLinear(linear) if linear else layers[0])

    def forward(self, inputs: Tensor, counting: Tensor | None = None) -> Tensor:
        if counting is not None and (count := _worth_picking(counting)) is not None:
            return self._of_rows(inputs, counting, count)
        state = inputs.flatten(0, -2)
        for layer in self.layers:
            state = layer(state)
        if inputs.dim() == 2:
            return state
        return state.view(*inputs.shape[:-1], *state.shape[1:]).movedim(-2, 1)

    def _of_rows(self, inputs: Tensor, counting: Tensor, count: list[int]) -> Tensor:
        """Run each expert on its rows; what does not count is 0."""
        experts, rows = counting.T.nonzero(as_tuple=True)
        state = inputs.index_select(0, rows)
        for layer in self.layers:
            if isinstance(layer, StackedLinear):
                state = layer.of_parts(torch.split(state, count))
            elif isinstance(layer, nn.Dropout) and self.training:  # drawn for all rows, as they are
                kept = layer(state.new_ones(*counting.shape, *state.shape[1:]))
                state = state * kept[rows, experts]
            else:
                state = layer(state)
        found = state.new_zeros(*counting.shape, *state.shape[1:])
        return found.index_put((rows, experts), state)


def _worth_picking(counting: Tensor) -> list[int] | None:
    """Return how many rows count for each expert, if they are few enough to run on them alone."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[no-untyped-call, attr-defined]  # torch's
    if traced or counting.device.type != "cpu":
        return None  # a traced graph is the same for all inputs, and a GPU would have to wait
    count: list[int] = counting.sum(dim=0).tolist()
    return count if 2 * sum(count) <= counting.numel() else None


def counting(weights: Iterable[Tensor]) -> Tensor:
    """Return for which experts some of the weights (B, E) are not 0, (B, E)."""
    found = [each.detach() != 0 for each in weights]
    return torch.stack(found).any(dim=0)


class StackedLinear(nn.Module):
    """E linear layers: ``weight`` (E, out, in), ``bias`` (E, out)."""

    undecayed = ("bias",)

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        with torch.no_grad():
            weights: list[Tensor] = [layer.weight for layer in layers]
            biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
            self.weight = nn.Parameter(torch.stack(weights))
            self.bias = nn.Parameter(torch.stack(biases)) if biases else None
        self.requires_grad_(layers[0].weight.requires_grad)

    def forward(self, state: Tensor) -> Tensor:
        """Map (N, in), the same for all, or (N, E, in) to (N, E, out)."""
        count, out, _ = self.weight.shape
        if state.dim() == 2:
            bias = None if self.bias is None else self.bias.flatten()
            return functional.linear(state, self.weight.flatten(0, 1), bias).view(-1, count, out)
        states, weights = state.transpose(0, 1), self.weight.transpose(1, 2)
        if self.bias is None:
            return torch.bmm(states, weights).transpose(0, 1)
        return torch.baddbmm(self.bias.unsqueeze(1), states, weights).transpose(0, 1)

    def of_parts(self, parts: Sequence[Tensor]) -> Tensor:
        """Map E tensors (N₁, ..., in), (N₂, ..., in), ..., each by its own layer, and join them."""
        biases = [None] * len(parts) if self.bias is None else self.bias.unbind()
        layers = zip(parts, self.weight.unbind(), biases, strict=True)
        return torch.cat([functional.linear(*each) for each in layers])


class LoopedExperts(nn.Module):
    """Experts that run one after the other."""

    def __init__(self, experts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)

    def forward(self, inputs: Tensor, counting: Tensor | None = None) -> Tensor:
        return torch.stack([expert(inputs) for expert in self.experts], dim=1)


class Gate(nn.Module):
    """Weights (B, E) for experts, a softmax of a linear map of pooled features (B, D).

    ``mean`` (E,) is a running mean over the batches of training.
    """

    means_of_rows = ("mean",)

    def __init__(self, width: int, experts: int, top_k: int | None = None) -> None:
        super().__init__()
        if top_k is not None and top_k > experts:
            raise InputError(
                f"found {top_k}, expected at most {experts}, the number of experts", option="top_k"
            )
        self.linear = nn.Linear(width, experts)
        self.top_k = top_k
        self.mean = nn.Buffer(torch.full((experts,), 1 / experts))

    def forward(self, features: Tensor) -> Tensor:
        scores = self.linear(features)
        if self.top_k is not None:
            best, where = scores.topk(self.top_k, dim=1)
            scores = torch.full_like(scores, -torch.inf).scatter(1, where, best)
        weights: Tensor = scores.softmax(dim=1)
        if self.training:
            move_mean(self.mean, weights)
        return weights


def mixed(weights: Tensor, experts: Sequence[Tensor]) -> Tensor:
    """Mix experts (B, E₁, ...), (B, E₂, ...), ... by weights (B, E₁ + E₂ + ...)."""
    sizes = [each.shape[1] for each in experts]
    shares = [weights] if len(sizes) == 1 else torch.split(weights, sizes, dim=1)
    pairs = zip(shares, experts, strict=True)
    parts = [torch.bmm(each.unsqueeze(1), states.flatten(2)).squeeze(1) for each, states in pairs]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total.view(-1, *experts[0].shape[2:])
