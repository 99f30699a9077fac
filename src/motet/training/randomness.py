"""Random numbers of a run: seeded for every purpose and step, the user's generators untouched."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from motet.seeds import derive


@contextmanager
def own_generators(device: torch.device) -> Iterator[None]:
    """Give back torch's global generators at the end as they were at the start."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_generators(device: torch.device, seed: int, purpose: str, step: int = 0) -> None:
    """Seed the generators that dropout and initialisation on ``device`` draw from."""
    value = derive(seed, purpose, step)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)
