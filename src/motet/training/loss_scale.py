"""The loss scale of float16, without which small gradients would round to 0."""

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer


class LossScale(nn.Module):
    """A factor on the losses, halved where gradients overflow (Micikevicius et al., ICLR 2018).

    It begins with 65,536 and doubles after 2,000 steps without an overflow. It is a module, so that
    it is saved with the others.

    Args:
        device: Device of the model.
        active: Whether losses are scaled; otherwise the factor is 1.
    """

    def __init__(self, device: torch.device, *, active: bool) -> None:
        super().__init__()
        self.scaler = GradScaler(device.type) if active else None
        """What `motet.backward` takes."""
        if self.scaler is not None:
            self.scaler.scale(torch.ones((), device=device))  # before that it loads no state

    @property
    def factor(self) -> float:
        """The factor; a device sync where losses are scaled."""
        return 1.0 if self.scaler is None else self.scaler.get_scale()

    def unscale(self, optimizer: Optimizer) -> None:
        """Divide the gradients in ``.grad`` by the factor."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def update(self) -> bool:
        """Adapt the factor to the gradients that were unscaled last.

        Returns:
            Whether it was halved from more than 1, so that the overflow was due to it.
        """
        if self.scaler is None:
            return False
        before = self.factor
        self.scaler.update()
        return 1 < before > self.factor

    def get_extra_state(self) -> Tensor:
        """Return the factor and the steps since it changed, (2,); (0,) without a scaler."""
        if self.scaler is None:
            return torch.empty(0)
        state = self.scaler.state_dict()
        return torch.tensor([state["scale"], state["_growth_tracker"]], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Continue with what `get_extra_state` returned."""
        if self.scaler is not None and len(state):
            scale, steps = state.tolist()
            saved = {"scale": scale, "_growth_tracker": int(steps)}
            self.scaler.load_state_dict({**self.scaler.state_dict(), **saved})
