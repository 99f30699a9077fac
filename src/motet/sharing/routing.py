"""Task routing: tasks take different paths through one network."""

from collections.abc import Iterator
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.options import Annotated, OnlyWith, PositiveFloat, PositiveInt, Sequence, Share, checked
from motet.problems import InputError
from motet.sharing.base import SharedModule, Sharing, Special
from motet.sharing.by_task import ByTask
from motet.sharing.experts import counting, mixed, together
from motet.sharing.features import Features
from motet.sharing.running_means import move_mean
from motet.sharing.stages import Stages

RATIO, BLOCKS, TEMPERATURE = 0.5, 3, 1.0


@final
class Routing(Sharing):
    """Let each task take its own path through one network.

    - fixed: after each stage that has weights, a task keeps some features, drawn at random once and
      for all, and the others are 0 (Strezoski et al., ICCV 2019, arXiv:1903.12117). A share of them
      is kept by all tasks, the rest divided evenly. 1 is hard sharing; with 0 no two tasks have a
      weight in common, but embeddings. Stages run once for each task.
    - learned: the last stages come in several copies, blocks, and a router of each task and stage
      picks one for each row (Rosenbaum et al., ICLR 2018, arXiv:1711.01239). We train routers by
      gradients where the paper takes reinforcement learning: in training a pick is a sample of a
      Gumbel-softmax (Jang et al., ICLR 2017, arXiv:1611.01144), afterwards the most likely block.
      One block is hard sharing. In training all blocks are computed, as the gradient of a pick
      needs them; afterwards, on a CPU, linear ones on the rows alone that picked them.

    Args:
        mode: Random masks, or learned routers.
        ratio: Share of features that all tasks keep, 0 to 1; 0.5 if left out.
        routers: How many stages, the last ones, have routers; all after the first if left out.
        blocks: How many blocks there are to pick from; 3 if left out.
        width: Width of the hidden layer of routers that read the state of a row; if left out they
            read nothing, and a task takes one path for all rows.
        pick: Whether a row goes through one block, its gradient that of the soft pick
            (straight-through), or through all, weighted; hard if left out.
        temperature: Of the Gumbel-softmax; lower is closer to one block. 1 if left out.
    """

    carries = ("rows", "map")

    @checked
    def __init__(
        self,
        *,
        mode: Literal["fixed", "learned"] = "fixed",
        ratio: Annotated[Share | None, OnlyWith("mode", ("fixed",))] = None,
        routers: Annotated[PositiveInt | None, OnlyWith("mode", ("learned",))] = None,
        blocks: Annotated[PositiveInt | None, OnlyWith("mode", ("learned",))] = None,
        width: Annotated[PositiveInt | None, OnlyWith("mode", ("learned",))] = None,
        pick: Annotated[Literal["hard", "soft"] | None, OnlyWith("mode", ("learned",))] = None,
        temperature: Annotated[PositiveFloat | None, OnlyWith("mode", ("learned",))] = None,
    ) -> None:
        self.mode, self.routers, self.width = mode, routers, width
        self.ratio = RATIO if ratio is None else ratio
        self.blocks, self.soft = blocks or BLOCKS, pick == "soft"
        self.temperature = temperature or TEMPERATURE

    def build(self, stages: Sequence[nn.Module], tasks: Sequence[str], width: int) -> SharedModule:
        stages = Stages.of(stages)
        if self.mode == "fixed":
            masked = stages.read_at(stages.places(None, ""), width)
            return _Fixed(stages, masked, tasks, width, self.ratio)
        routed = self._routed(stages)
        first = len(stages) - routed
        read = [stages.features(place - 1) for place in range(first, len(stages))]
        levels = []
        for place, features in zip(range(first, len(stages)), read, strict=True):
            routers = {task: self._router(features) for task in tasks}
            blocks = together(stages[place : place + 1].copies(self.blocks))
            levels.append(_Level(blocks, ByTask(routers)))
        return _Learned(stages[:first].chain(), levels, width)

    def _routed(self, stages: Stages) -> int:
        stages.require(
            2,
            "routers read the previous stage's output",
            "set mode: fixed, which works with one stage",
        )
        if self.routers is None:
            return len(stages) - 1
        if self.routers >= len(stages):
            raise InputError(
                f"found {self.routers}, but the encoder has {stages.counted()}, and the first has "
                f"no router; expected at most {len(stages) - 1}",
                option="routers",
            )
        return self.routers

    def _router(self, features: Features) -> "_Router":
        return _Router(features, self.blocks, self.width, self.temperature, soft=self.soft)


class _Fixed(SharedModule):
    """``masks`` are buffers ``mask_<place>`` (T, D) of zeros and ones."""

    def __init__(
        self,
        stages: Stages,
        masked: dict[int, Features],
        tasks: Sequence[str],
        width: int,
        ratio: float,
    ) -> None:
        super().__init__()
        self.stages, self.width, self.tasks = nn.ModuleList(stages), width, list(tasks)
        self._masked = masked
        for place, features in masked.items():
            mask = _drawn(features.width, len(tasks), ratio, str(stages[place : place + 1]))
            self.register_buffer(f"mask_{place}", mask)

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        first = min(self._masked, default=len(self.stages) - 1) + 1
        common = inputs
        for stage in self.stages[:first]:
            common = stage(common)
        states = {}
        for task in tasks:
            state = self._kept(task, first - 1, common)
            for place in range(first, len(self.stages)):
                state = self._kept(task, place, self.stages[place](state))
            states[task] = state
        return states

    def _kept(self, task: str, place: int, state: Tensor) -> Tensor:
        if place not in self._masked:
            return state
        features = self._masked[place]
        features.check(state)
        mask = self.get_buffer(f"mask_{place}")[self.tasks.index(task)]
        return state * features.along(mask.to(state.dtype), state)

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """Yield none: only one task may reach some entries of a tensor, as masks define."""
        yield from ()

    def describe(self) -> dict[str, Any]:
        """Return how many features each task keeps after each stage, and how many all keep."""
        found = {}
        for place in self._masked:
            mask = self.get_buffer(f"mask_{place}")
            kept = zip(self.tasks, mask.sum(dim=1).int().tolist(), strict=True)
            shared = int(mask.all(dim=0).sum())
            found[f"stage {place + 1}"] = {
                "of": mask.shape[1],
                "shared": shared,
                "kept": dict(kept),
            }
        return {"features": found}


def _drawn(width: int, tasks: int, ratio: float, stage: str) -> Tensor:
    """Draw a mask (T, D)."""
    shared = round(ratio * width)
    if shared == 0 and width < tasks:
        raise InputError(
            f"{stage} has too few outputs ({width}) to deal out to {tasks} tasks; set ratio: 1, so "
            "that all tasks keep all, or give a wider encoder"
        )
    order = torch.randperm(width)
    mask = torch.zeros(tasks, width)
    mask[:, order[:shared]] = 1
    for task in range(tasks):
        mask[task, order[shared + task :: tasks]] = 1
    return mask


class _Learned(SharedModule):
    def __init__(self, bottom: nn.Module, levels: "Sequence[_Level]", width: int) -> None:
        super().__init__()
        self.bottom, self.levels, self.width = bottom, nn.ModuleList(levels), width

    def forward(self, inputs: Any, tasks: Sequence[str]) -> dict[str, Tensor]:
        states = dict.fromkeys(tasks, self.bottom(inputs))
        for level in self.levels:
            states = level(states)
        return states

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        for level in self.levels:
            assert isinstance(level, _Level)
            yield from level.routers[task].parameters()

    def describe(self) -> dict[str, Any]:
        """Return, for each task and routed stage, the load of the blocks and its entropy.

        Returns:
            Loads are running means over the batches of training; entropy is in nats: 0 if all goes
            through one block, the logarithm of their number if all are used equally.
        """
        levels = [level for level in self.levels if isinstance(level, _Level)]
        return {
            "routers": {
                task: [level.routers[task].report() for level in levels]
                for task in levels[0].routers.names
            }
        }


class _Level(nn.Module):
    """A stage in several copies, and the routers that pick one."""

    def __init__(self, blocks: nn.Module, routers: "ByTask[_Router]") -> None:
        super().__init__()
        self.blocks, self.routers = blocks, routers

    def forward(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        known: dict[int, Tensor] = {}  # all tasks come from the same state at first
        following = {}
        for task, state in states.items():
            if id(state) not in known:
                known[id(state)] = self.blocks(state, self._picked(state, states))
            following[task] = mixed(self.routers[task](state), [known[id(state)]])
        return following

    def _picked(self, state: Tensor, states: dict[str, Tensor]) -> Tensor | None:
        """Return which blocks count for rows of a state, (B, E); None if all do, in training."""
        if self.training:
            return None
        return counting(self.routers[task](state) for task in states if states[task] is state)


class _Router(nn.Module):
    """Weights (B, E) of blocks for the rows of a state; ``load`` (E,) is their running mean."""

    means_of_rows = ("load",)

    def __init__(
        self, features: Features, blocks: int, width: int | None, temperature: float, *, soft: bool
    ) -> None:
        super().__init__()
        self._features, self._temperature, self._soft = features, temperature, soft
        self._blocks = blocks
        self.logits = nn.Parameter(torch.zeros(blocks)) if width is None else None
        self.layers = None
        if width is not None:
            first = nn.Linear(features.width, width)
            self.layers = nn.Sequential(first, nn.ReLU(), nn.Linear(width, blocks))
        self.load = nn.Buffer(torch.full((blocks,), 1 / blocks))

    def forward(self, state: Tensor) -> Tensor:
        if self.layers is None:
            assert self.logits is not None
            logits = self.logits.expand(state.shape[0], -1)
        else:
            logits = self.layers(self._features.pooled(state))
        if not self.training:
            return self._likely(logits)
        weights = functional.gumbel_softmax(logits, self._temperature, hard=not self._soft)
        move_mean(self.load, weights)
        return weights

    def _likely(self, logits: Tensor) -> Tensor:
        if self._soft:
            return (logits / self._temperature).softmax(dim=1)
        return functional.one_hot(logits.argmax(dim=1), self._blocks).to(logits.dtype)

    def report(self) -> dict[str, Any]:
        load = self.load.double()
        return {"load": load.tolist(), "entropy": float(-torch.special.xlogy(load, load).sum())}

    def special_parameters(self) -> Iterator[tuple[nn.Parameter, Special]]:
        if self.logits is not None:
            yield self.logits, Special(decays=False)
