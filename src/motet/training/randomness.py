"""Random numbers of training: seeded for each purpose and step, the user's generators untouched."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from motet.seeds import derive


class Generators:
    """torch's global generators, which dropout and initialisation on a device draw from.

    Args:
        device: The device.
        seed: The seed that all others are derived from.
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        self._device, self._seed = device, seed
        self._owned = False

    def own(self) -> AbstractContextManager[None]:
        """Return the context that restores them at its end; a nested one does and costs nothing."""
        return nullcontext() if self._owned else self._owning()

    @contextmanager
    def _owning(self) -> Iterator[None]:
        self._owned = True
        try:
            devices = [self._device] if self._device.type == "cuda" else []
            with torch.random.fork_rng(devices=devices):
                yield
        finally:
            self._owned = False

    @contextmanager
    def apart(self, purpose: str, step: int) -> Iterator[None]:
        """Seed them for a purpose within a block, and continue as before after it."""
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            self.seed(purpose, step)
            yield

    def seed(self, purpose: str, step: int = 0) -> None:
        """Seed them for a purpose and a step."""
        value = derive(self._seed, purpose, step)
        torch.default_generator.manual_seed(value)
        if self._device.type == "cuda":
            with torch.cuda.device(self._device):
                torch.cuda.manual_seed(value)
        elif self._device.type == "mps":
            torch.mps.manual_seed(value)
