"""Whether all processes have the same model: compared where a difference would do harm.

Each process makes the same steps from the same numbers, so nothing keeps the models alike but that
nobody changes one alone. A sum of the bits of each tensor shows if that happened: it costs a pass
over the weights, and some bytes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from motet.problems import InputError
from motet.processes import Processes


def check_replicas(modules: Mapping[str, nn.Module], processes: Processes, step: int) -> None:
    """Check that all processes have the same weights, balancers and schedulers.

    Args:
        modules: What is compared, by name.
        processes: The processes.
        step: Steps made.

    Raises:
        InputError: If some tensor differs.
    """
    if not processes.several:
        return
    named = {
        f"{prefix}/{name}": tensor
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
        if isinstance(tensor, Tensor)
    }
    own = {name: _mark(tensor) for name, tensor in named.items()}
    for rank, found in enumerate(processes.of_each(own)):
        other = next((name for name in own if found.get(name) != own[name]), None)
        if other is not None or found.keys() != own.keys():
            raise InputError(
                f"after {step:,} steps, processes {processes.rank} and {rank} have different "
                f"models ({other or 'other tensors'}); expected the same on each, as all make the "
                "same steps: create the model from the same seed, or load the same weights, and "
                "change it on all processes alike"
            )


def _mark(tensor: Tensor) -> int:
    """Return a sum of a tensor's bytes, the same in any order."""
    return int(tensor.detach().contiguous().reshape(-1).view(torch.uint8).sum())
