"""Balancers that draw from torch's generators draw alike on all processes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from motet.balancing.engine.call import BackwardCall
from motet.processes import Processes


@contextmanager
def drawn_alike(call: BackwardCall, processes: Processes) -> Iterator[None]:
    """Let a balancer that draws use the generators of the first of several, and only those.

    Those of the other processes are restored at the end, as their own rows may draw from them too.
    """
    devices = {leaf.device for leaf in call.leaves.shared if leaf.device.type == "cuda"}
    places = sorted(device.index for device in devices)
    states = [torch.get_rng_state(), *map(torch.cuda.get_rng_state, places)]
    states = processes.of_first(states)
    if processes.first:
        yield
        return
    with torch.random.fork_rng(devices=places):
        torch.set_rng_state(states[0])
        for place, state in zip(places, states[1:], strict=True):
            torch.cuda.set_rng_state(state, place)
        yield
