"""Weighting by learned uncertainty."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from motet.balancing.bounds import bounded
from motet.balancing.families import KnownTask, LossBalancer, by_task
from motet.options import Mapping, Real, Sequence, checked
from motet.problems import InputError

_FACTORS = {
    "regression": (0.5, 0.5),
    "classification": (1.0, 0.5),
    "laplace": (1.0, 1.0),
    "likelihood": (1.0, 0.0),
}
"""Factors of exp(-s) L and of s."""


@final
class Uncertainty(LossBalancer):
    """Weigh tasks by learned noise (Kendall, Gal & Cipolla, CVPR 2018, arXiv:1705.07115).

    Each task has a learned s, the log of its noise variance (of its scale for Laplace noise)::

        regression      1/2 exp(-s) L + 1/2 s      L a mean squared error
        classification      exp(-s) L + 1/2 s      L a cross-entropy
        laplace             exp(-s) L +     s      L a mean absolute error
        likelihood                  L              L a negative log-likelihood with its own noise

    The last is beyond the paper: a loss that is a whole likelihood, of counts or of censored
    numbers with a learned scale, already has what s stands for, so its s stays 0, in both forms.

    ``form="revised"`` is Liebel & Körner (2018, arXiv:1805.06334): L / (2 c^2) + ln(1 + c^2), whose
    second term cannot become negative. We learn s = ln c^2 instead of c: so c^2 stays positive.

    We differ in one more point: s is held in [-10, 10], so that a loss near 0 cannot send a weight
    to infinity. What a step of the optimizer takes out of that range is reset to the bound at
    the next call, so s leaves the bound at the first step whose gradient points inwards.

    A task weight would be undone by ``form="kendall"``, and is refused; "revised" dampens it.

    The ``log_variance`` parameters (T,) belong in an optimizer group without weight decay;
    `motet.Trainer` sees to that.

    Args:
        tasks: Names of the tasks.
        kinds: Noise model by task; "regression" for tasks not named. `motet.Trainer` fills in what
            fits each task's loss when it makes the balancer by name.
        form: "kendall" or "revised".
        initial: First value of s, one for all tasks or by name.

    Raises:
        InputError: If ``kinds`` or ``initial`` names no task, ``initial`` one whose loss is a
            likelihood, or ``kinds`` another kind than that with ``form="revised"``, which has one
            form for the rest.
    """

    task_axes: ClassVar[Mapping[str, int]] = {"log_variance": 1}
    compares = False
    has_noise: Tensor | None
    """1, or 0 for a likelihood, (T,); None if no loss is one."""
    refuses_weight: ClassVar[str] = (
        "the learned uncertainties undo it (at their optimum the weight depends on the loss "
        "alone); use form: revised, `equal` or `manual`"
    )

    @checked
    def __init__(
        self,
        tasks: Sequence[str],
        *,
        kinds: Mapping[str, Literal["regression", "classification", "laplace", "likelihood"]]
        | None = None,
        form: Literal["kendall", "revised"] = "kendall",
        initial: Real | Mapping[str, Real] = 0.0,
    ) -> None:
        super().__init__(tasks)
        if form == "revised" and set((kinds or {}).values()) - {"likelihood"}:
            raise InputError(
                "applies only with form: kendall (revised has one form for all kinds of loss but "
                "likelihood); remove kinds or set form: kendall",
                option="kinds",
            )
        if form == "revised":
            self.refuses_weight = ""  # type: ignore[misc]  # form decides, not the class
        self.form = form
        self.kinds = ["regression"] * len(self.tasks)
        for index, kind in by_task(kinds or {}, tasks, "kinds", complete=False):
            self.kinds[index] = kind
        start = torch.zeros(len(tasks))
        if isinstance(initial, Mapping):
            for index, value in by_task(initial, tasks, "initial", complete=False):
                if self.kinds[index] == "likelihood":
                    raise InputError(
                        f"found {value} for {tasks[index]!r}, whose loss is a likelihood with its "
                        "own noise and has no s; remove it",
                        option="initial",
                    )
                start[index] = value
        else:
            start += initial
        self.log_variance = nn.Parameter(start)
        revised = form == "revised"
        factors = [
            (0.5, 1.0) if revised and kind != "likelihood" else _FACTORS[kind]
            for kind in self.kinds
        ]
        self.loss_factor, self.log_factor = (
            nn.Buffer(torch.tensor(column), persistent=False)
            for column in zip(*factors, strict=True)
        )
        noise = torch.tensor([float(kind != "likelihood") for kind in self.kinds])
        self.register_buffer("has_noise", None if noise.all() else noise, persistent=False)

    @classmethod
    def filled_in(cls, options: Mapping[str, Any], tasks: Iterable[KnownTask]) -> Mapping[str, Any]:
        """Add the noise model that fits each task's loss, where ``kinds`` does not name it."""
        given = options.get("kinds")
        if not isinstance(given, Mapping | None):
            return options
        fitting = {task.name: task.uncertainty_kind for task in tasks}
        if options.get("form") == "revised":
            fitting = {name: kind for name, kind in fitting.items() if kind == "likelihood"}
        return {**options, "kinds": {**fitting, **(given or {})}}

    def forward(self, losses: Tensor, present: Tensor) -> Tensor:
        s = self._noise()[present]
        weighted = self.loss_factor[present] * torch.exp(-s) * losses
        noise = softplus(s) if self.form == "revised" else s
        return (weighted + self.log_factor[present] * noise).sum()

    def _noise(self) -> Tensor:
        """Return s (T,), 0 for likelihoods."""
        s = bounded(self.log_variance)
        return s if self.has_noise is None else s * self.has_noise

    def uncertainties(self) -> dict[str, float]:
        """Return the learned noise of each task: sigma (b for Laplace noise, c for "revised").

        It is 1 for a task whose loss is a likelihood.
        """
        halves = [1.0 if kind == "laplace" else 0.5 for kind in self.kinds]
        s = self._noise().detach().cpu()
        values = (s * torch.tensor(halves)).exp().tolist()
        return dict(zip(self.tasks, values, strict=True))
