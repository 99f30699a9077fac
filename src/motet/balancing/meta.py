"""Weights learned from validation data."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from motet.balancing.adam import adam_step
from motet.balancing.families import KnownTask, LossBalancer, by_task
from motet.balancing.families.uncompiled import keep_buffers, uncompiled
from motet.balancing.look_ahead import Losses, sensitivities
from motet.options import PositiveFloat, Sequence, checked
from motet.problems import InputError
from motet.processes import ALONE, Group


@final
class Meta(LossBalancer):
    """Learn weights with which a step lowers the validation losses (Auto-λ, Liu et al., TMLR 2022).

    arXiv:2202.03091. Before each step, the step is tried, θ' = θ - step(Σ λ_k g_k), and λ takes a
    step of Adam down the gradient of the main tasks' validation losses at θ'::

        ∂L_val(θ') / ∂λ_k = -⟨∇L_val(θ') ⊙ ∂step/∂g, g_k⟩

    The authors approach it by finite differences of the whole model; this is exact for the step
    that Adam, AdamW or SGD would make, their momentum and weight decay included, for the step of
    plain gradient descent with other optimizers, and without clipping. All inner products come from
    one forward-mode pass; where an operation has none, from a backward pass per task.

    Validation data from which weights are learned are no longer held out: use separate test data.
    `motet.Trainer.fit` takes a batch of its validation data for each step; your own loop calls
    `look_ahead`.

    We differ in one more point: weights start at 1, as those of the plain sum, and move by 0.001;
    the paper's start at 0.1 and move by 0.0001. They are held at 0 or above.

    Args:
        tasks: Names of the tasks.
        learning_rate: Learning rate of the weights.
        initial: First value of every weight.
        main: Tasks whose validation losses count, times their task weights; all if left out.
            `motet.Trainer` fills in the main tasks when it makes the balancer by name.

    Raises:
        InputError: If ``main`` is empty or names no task; when called before `look_ahead`.
    """

    task_axes: ClassVar[Mapping[str, int]] = {"learned": 1, "moments": 1}

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        learning_rate: PositiveFloat = 1e-3,
        initial: PositiveFloat = 1.0,
        main: Sequence[str] | None = None,
    ) -> None:
        super().__init__(tasks)
        keep_buffers()
        self.learning_rate = learning_rate
        if main is not None and not main:
            raise InputError("found no task, expected one or more", option="main")
        named = dict.fromkeys(tasks if main is None else main)
        self.main = [self.tasks[i] for i, _ in by_task(named, tasks, "main", complete=False)]
        self.learned = nn.Buffer(torch.full((len(tasks),), float(initial)))
        """λ, (T,)."""
        self.moments = nn.Buffer(torch.zeros(len(tasks), 3))
        """Memory of Adam, (T, 3)."""
        self.expect(
            "look_ahead(module, optimizer, train, validation)",
            within=0,
            otherwise="its weights are learned from validation losses. Give validation data to "
            "Trainer.fit, or call it in your loop; without such data choose another balancer",
        )

    @classmethod
    def filled_in(cls, options: Mapping[str, Any], tasks: Iterable[KnownTask]) -> Mapping[str, Any]:
        """Add the tasks that are marked as main, if ``main`` names none."""
        if options.get("main") is not None:
            return options
        return {**options, "main": [task.name for task in tasks if task.main] or None}

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        return (self.learned[present].to(losses) * losses).sum()

    @uncompiled
    def look_ahead(
        self,
        module: nn.Module,
        optimizer: Optimizer,
        train: Losses,
        validation: Losses,
        *,
        process_group: distributed.ProcessGroup | None = None,
    ) -> None:
        """Learn from a step that is tried and not made; call it before each step.

        The module does not change, and random generators are restored.

        Args:
            module: The model, called by ``train`` and ``validation``.
            optimizer: What will make the step.
            train: Computes the losses of the step's batch, by task.
            validation: Computes the losses of a validation batch, by task.
            process_group: Processes that have rows of their own, as for `motet.backward`; their
                losses have the same values, and their gradients are averaged.
        """
        self.heard("look_ahead")
        own = {task: self.weight(task) for task in self.tasks}  # a device sync each
        learned = dict(zip(self.tasks, self.learned.tolist(), strict=True))
        gains = sensitivities(
            module,
            optimizer,
            train,
            lambda: {t: own[t] * loss for t, loss in validation().items() if t in self.main},
            {task: own[task] * learned[task] for task in self.tasks},
            Group(process_group) if process_group is not None else ALONE,
        )
        found = list(by_task(gains, self.tasks, "losses", complete=False))
        if not found:
            return
        present = torch.tensor([index for index, _ in found], device=self.learned.device)
        gain = torch.stack([gain.to(self.learned) for _, gain in found])
        slope = -gain * self.task_weights[present]
        if slope.isfinite().all():  # a device sync
            adam_step(self.learned, slope, self.moments, present, rate=self.learning_rate)
            self.learned.clamp_(min=0)
