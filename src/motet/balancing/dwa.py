"""Dynamic weight average."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from motet.balancing.families import LONG_EPOCH, LossBalancer, numbers_by_task
from motet.balancing.families.uncompiled import uncompiled
from motet.options import PositiveFloat, PositiveInt, Sequence, checked
from motet.problems import InputError


@final
class DWA(LossBalancer):
    """Weigh up the tasks whose losses fall slowly.

    Source: Liu, Johns & Davison (CVPR 2019, arXiv:1803.10704)::

        w = T softmax(r / τ),    r_k = L_k(e-1) / L_k(e-2),  1 while one of them is unknown

    where L_k(e) is the task's mean loss over epoch e. `motet.Trainer` announces the means; your own
    loop calls `end_epoch`, or uses ``unit="steps"``, which compares the means of the last two
    blocks of steps. Losses are taken without their task weights.

    Beyond the paper: an absent task keeps its means.

    Args:
        tasks: Names of the tasks.
        temperature: τ; the larger, the more equal the weights.
        window: With epochs, how many of the last means are kept, the newest being compared
            with the oldest: 2 is the paper. With steps, the length of a block.
        unit: Whether means are announced per epoch, or taken over blocks of steps.

    Raises:
        InputError: If ``window`` is 1 with epochs.
    """

    task_axes: ClassVar[Mapping[str, int]] = {"means": 1, "block_sum": 1, "block_steps": 1}

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        temperature: PositiveFloat = 2.0,
        window: PositiveInt = 2,
        unit: Literal["epoch", "steps"] = "epoch",
    ) -> None:
        super().__init__(tasks)
        if unit == "epoch" and window < 2:
            raise InputError("found 1, expected at least 2 epochs to compare", option="window")
        self.temperature, self.window, self.unit = temperature, window, unit
        self.means = nn.Buffer(torch.zeros(len(tasks), window if unit == "epoch" else 2))
        """Mean losses, the newest last, (T, window); 0 where unknown."""
        self.block_sum = nn.Buffer(torch.zeros(len(tasks)))
        self.block_steps = nn.Buffer(torch.zeros(len(tasks)))
        if unit == "epoch":
            self.expect(
                "end_epoch(means)",
                within=LONG_EPOCH,
                otherwise="its weights are still 1. Call it after every epoch, or choose "
                "unit='steps'; if your epochs are longer than that, all is well",
            )

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        weights = self.weights(present)
        if self.unit == "steps":
            self._observe(losses.detach() / self.task_weights[present].to(losses), present)
        return (weights.to(losses) * losses).sum()

    def weights(self, present: Tensor) -> Tensor:
        """Return the weights of the present tasks (T',), which sum to T'."""
        oldest, newest = self.means[present, 0], self.means[present, -1]
        known = (oldest != 0) & (newest != 0)
        ratio = torch.where(known, newest / torch.where(known, oldest, 1.0), 1.0)
        return len(present) * torch.softmax(ratio / self.temperature, dim=0)

    @uncompiled
    def end_epoch(self, means: Mapping[str, float]) -> None:
        """Read the mean losses of an epoch, over all its rows and processes.

        Args:
            means: Mean loss by task, without task weights; tasks that were absent are left out.

        Raises:
            InputError: If a name is not a task, or its mean not a number.
        """
        self.heard("end_epoch")
        if self.unit == "epoch":
            for index, mean in numbers_by_task(means, self.tasks, "means"):
                self._remember(index, self.means.new_tensor(mean))

    def _observe(self, losses: Tensor, present: Tensor) -> None:
        finite = losses.isfinite()
        self.block_sum[present] += torch.where(finite, losses, 0.0).to(self.block_sum)
        self.block_steps[present] += finite.to(self.block_steps)
        full = self.block_steps >= self.window  # no sync: tensor operations for all tasks
        mean = self.block_sum / self.window
        moved = torch.stack([self.means[:, 1], mean], dim=1)
        self.means.copy_(torch.where(full[:, None], moved, self.means))
        self.block_sum.masked_fill_(full, 0.0)
        self.block_steps.masked_fill_(full, 0.0)

    def _remember(self, index: int, mean: Tensor) -> None:
        if mean.isfinite():
            self.means[index] = torch.cat([self.means[index, 1:], mean[None]])
