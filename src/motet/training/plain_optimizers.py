"""Torch's optimizers beneath the marks for ``torch.compile``, which take a second of every run.

Methods of `torch.optim.Optimizer` keep the compiler out. For that they import it when the first is
called, and with it FSDP and all else that it knows: a third of the time to the first step of a
small run. Nothing compiles a trainer's optimizer, so these classes call what is marked directly.
A step is recorded only while a profiler runs. Hooks and states are those of torch.
"""

import inspect
from typing import Any, TypeVar, cast

import torch
from torch.optim import Optimizer, optimizer

Kind = TypeVar("Kind", bound=Optimizer)


def _unmarked(kind: type[Kind]) -> type[Kind]:
    """Return a subclass of the same name whose methods import no compiler."""
    marked = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in marked}
    bare: Any = torch.no_grad()(inspect.unwrap(kind.step))
    recorded: Any = Optimizer.profile_hook_step(bare)

    def step(self: Optimizer, closure: Any = None) -> Any:
        observed = (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or optimizer._global_optimizer_pre_hooks
            or optimizer._global_optimizer_post_hooks
            or torch.autograd._profiler_enabled()  # type: ignore[attr-defined]  # torch's
        )
        return (recorded if observed else bare)(self, closure)

    step.hooked = True  # type: ignore[attr-defined]  # so that torch does not wrap it again
    return cast("type[Kind]", type(kind.__name__, (kind,), {**methods, "step": step}))


Adam = _unmarked(torch.optim.Adam)
AdamW = _unmarked(torch.optim.AdamW)
RMSprop = _unmarked(torch.optim.RMSprop)
SGD = _unmarked(torch.optim.SGD)
ALL = (Adam, AdamW, RMSprop, SGD)
