"""Smooth Tchebycheff scalarisation."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from motet.balancing.families import LONG_EPOCH, LossBalancer, numbers_by_task
from motet.balancing.families.uncompiled import uncompiled
from motet.balancing.log import positive
from motet.options import NonNegativeInt, PositiveFloat, Sequence, checked
from motet.problems import InputError

_TINY = 1e-30  # below it a loss is as good as 0


@final
class STCH(LossBalancer):
    """Minimise a smooth maximum of the losses (Lin et al., ICML 2024, arXiv:2402.19078).

    Losses are compared with their nadirs z, which makes them free of scale, in the form that the
    authors use for deep networks::

        T μ log Σ exp(log(λ_k L_k / z_k) / μ):    w_k = T softmax_k / L_k

    The preferences λ are the task weights, scaled to a mean of 1; z is taken from losses without
    them. With weights of 1 this is the authors' form, the factor T included. The value / T lies
    between max_k log(λ_k L_k / z_k) and μ log T more: a small μ minimises max_k λ_k L_k / z_k.

    We differ in two points. The authors' deep form has no λ. Theirs for other problems has it in
    front of L_k less the ideal point; in front of log(L_k / z_k) it would change sign as soon as
    losses are below their nadirs, so it is inside. And without a warm-up, z are the first losses
    seen, with one the means of all of it, trained on the plain sum; the authors train on Σ log L_k
    for 5 epochs and take the means of the last. A loss of 0 is never a nadir.

    Args:
        tasks: Names of the tasks.
        mu: μ; the smaller, the more the worst task alone counts.
        warmup: Epochs or steps of plain training, over which losses are averaged to be z.
        unit: What ``warmup`` counts. Epochs are announced by `end_epoch`, which `motet.Trainer`
            calls.

    Raises:
        InputError: If ``unit`` is given without a warm-up, or a loss is negative (when called).
    """

    task_axes: ClassVar[Mapping[str, int]] = {"nadir": 1, "seen": 1}

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        mu: PositiveFloat = 1.0,
        warmup: NonNegativeInt = 0,
        unit: Literal["epoch", "steps"] = "epoch",
    ) -> None:
        super().__init__(tasks)
        if unit == "steps" and not warmup:
            raise InputError("applies only with warmup; give warmup, or remove unit", option="unit")
        self.mu, self.warmup, self.unit = mu, warmup, unit
        self.nadir = nn.Buffer(torch.zeros(len(tasks)))
        """Mean of the losses seen in the warm-up, (T,); 0 where none was seen."""
        self.seen = nn.Buffer(torch.zeros(len(tasks)))
        """How many losses the nadir is the mean of, (T,)."""
        if warmup and unit == "epoch":
            self.expect(
                "end_epoch(means)",
                within=LONG_EPOCH,
                otherwise="it still trains on the plain sum. Call it after every epoch, or choose "
                "unit='steps'; if your epochs are longer than that, all is well",
            )

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        preference = self.task_weights[present].to(losses)
        plain = positive(losses / preference, [self.tasks[index] for index in present])
        warming = self.warmup and bool(self.seen.max() < self.warmup)  # a device sync
        if self.unit == "steps" or not self.warmup:
            self._average(plain.detach(), present)
        if warming:
            return losses.sum()
        nadir = self.nadir[present].to(losses)
        ratio = plain / torch.where(nadir > 0, nadir, plain.detach())
        terms = (preference / preference.mean() * ratio).log() / self.mu
        return len(losses) * self.mu * torch.logsumexp(terms, dim=0)

    @uncompiled
    def end_epoch(self, means: Mapping[str, float]) -> None:
        """Read the mean losses of an epoch, over all its rows and processes.

        Args:
            means: Mean loss by task, without task weights; tasks that were absent are left out.

        Raises:
            InputError: If a name is not a task, or its mean not a number.
        """
        self.heard("end_epoch")
        found = list(numbers_by_task(means, self.tasks, "means"))
        if self.warmup and self.unit == "epoch" and found:
            indices, values = zip(*found, strict=True)
            present = torch.tensor(indices, device=self.nadir.device)
            self._average(torch.tensor(values).to(self.nadir), present)

    def _average(self, losses: Tensor, present: Tensor) -> None:
        nadir, seen = self.nadir[present], self.seen[present]
        losses = losses.to(nadir)
        wanted = (seen < max(self.warmup, 1)) & (losses > _TINY) & losses.isfinite()
        moved = nadir + (losses - nadir) / (seen + 1)
        self.nadir[present] = torch.where(wanted, moved, nadir)
        self.seen[present] = seen + wanted
