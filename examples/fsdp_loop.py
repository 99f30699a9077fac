"""A training loop over processes that hold a part of the parameters each, by FSDP2.

    torchrun --nproc-per-node 2 examples/fsdp_loop.py

Two tasks, one of them with missing labels. Each process computes its rows of every batch; the loss
of a task is divided by the number of labels on all processes, so that the mean over the processes,
which FSDP takes, is that over all rows. Prints the losses of the first and last step, and how often
the tasks were in conflict: the same with any number of processes.
"""

import os

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import motet

TASKS = ("a", "b")


def new_model() -> nn.ModuleDict:
    """Create the same model on every process."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
    return nn.ModuleDict(
        {"encoder": encoder, "heads": nn.ModuleDict({task: nn.Linear(32, 1) for task in TASKS})}
    )


def mean_over_all(errors: Tensor) -> Tensor:
    """Return this process's part of the mean over the rows of all processes.

    Without a row here it is 0, with a graph: all processes make the same backward passes.
    """
    count = torch.tensor(float(len(errors)))
    distributed.all_reduce(count)
    return errors.sum() * distributed.get_world_size() / count


def train() -> None:
    """Train on this process's rows."""
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    model = new_model()
    encoder, heads = model["encoder"], model["heads"]
    mesh = init_device_mesh("cpu", (processes,))
    for module in (encoder[0], encoder[2], encoder, *heads.values()):
        fully_shard(module, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    balancer = motet.balancing.create("upgrad", tasks=TASKS)

    draw = torch.Generator().manual_seed(0)
    x = torch.randn(512, 6, generator=draw)
    targets = {"a": x[:, 0] * x[:, 1], "b": -x[:, 0] * x[:, 1] + x[:, 2]}
    targets["b"][::3] = torch.nan  # not labelled
    steps = []
    for start in list(range(0, len(x), 64)) * 10:
        rows = torch.arange(start, start + 64).chunk(processes)[rank]
        features = encoder(x[rows])
        losses = {}
        for task in TASKS:
            labelled = targets[task][rows].isfinite()
            errors = heads[task](features[labelled])[:, 0] - targets[task][rows][labelled]
            losses[task] = mean_over_all(errors.square())
        optimizer.zero_grad()
        result = motet.backward(losses, balancer, shared=encoder, task_parameters=dict(heads))
        optimizer.step()
        steps.append(result)

    if rank == 0:
        for task in TASKS:
            print(f"{task}: loss {steps[0].losses[task]:.3f} -> {steps[-1].losses[task]:.3f}")
        conflicts = sum(bool(step.cosines[0, 1] < 0) for step in steps if step.cosines is not None)
        print(f"in conflict at {conflicts} of {len(steps)} steps")


def main() -> None:
    """Join the processes that torchrun started; without it, train in one."""
    if "RANK" in os.environ:
        distributed.init_process_group("gloo")
    else:
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        train()
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
