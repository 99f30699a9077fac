"""A gradient balancer in a plain loop over several processes, beside heads in plain DDP.

    torchrun --nproc-per-node 2 examples/several_processes.py

trains the same model as ``python examples/several_processes.py`` does in one process. Each process
has its share of the rows of every batch; some labels are missing, so that processes have unequal
numbers of them. `DistributedDataParallel` averages the gradients of the heads, and
``motet.backward`` balances the gradients of the encoder that all processes have together. Prints
the loss of each task on the whole batch at the first and the last step.
"""

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

import motet

TASKS = ("sum", "product")


def main() -> None:
    """Train in this process alone, or with those that torchrun started."""
    if not distributed.is_torchelastic_launched():
        train()
        return
    distributed.init_process_group("gloo")
    train()
    distributed.destroy_process_group()


def train(steps: int = 60) -> dict[str, Tensor]:
    """Train a model; return its parameters."""
    group = distributed.group.WORLD if distributed.is_initialized() else None
    rank, count = (group.rank(), group.size()) if group else (0, 1)
    generator = torch.Generator().manual_seed(0)  # the same rows and model in every process
    inputs = torch.randn(256, 2, generator=generator, dtype=torch.float64)
    targets = {"sum": inputs.sum(dim=1, keepdim=True), "product": inputs.prod(dim=1, keepdim=True)}
    labelled = {task: torch.rand(256, 1, generator=generator) < 0.5 for task in TASKS}
    torch.manual_seed(1)
    encoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh()).double()
    heads = nn.ModuleDict({task: nn.Linear(16, 1) for task in TASKS}).double()
    wrapped = dict(heads)
    if group:
        wrapped = {task: DistributedDataParallel(head) for task, head in heads.items()}
    balancer = motet.balancing.create("upgrad", tasks=TASKS)
    optimizer = torch.optim.Adam([*encoder.parameters(), *heads.parameters()], lr=0.02)

    for step in range(steps):
        batch = torch.arange(64 * (step % 4), 64 * (step % 4) + 64)
        rows = batch[rank::count]  # this process's share
        z = encoder(inputs[rows])
        features = {task: z.detach().requires_grad_() for task in TASKS}
        losses = {}
        for task in TASKS:
            here = labelled[task][rows]
            squares = (wrapped[task](features[task]) - targets[task][rows])[here].square()
            # DDP computes the mean over W processes: so W times the sum here, over the number of
            # labels in the whole batch (known to all here; otherwise an all_reduce)
            losses[task] = count * squares.sum() / labelled[task][batch].sum()
        optimizer.zero_grad()
        sum(losses.values()).backward()  # the heads: DDP averages
        result = motet.backward(
            {task: behind(z, features[task].grad, losses[task]) for task in TASKS},
            balancer,
            shared=encoder,
            task_parameters={},
            process_group=group,
        )
        optimizer.step()
        if rank == 0 and step in (0, steps - 1):
            joined = (f"{task} {loss.item():.3f}" for task, loss in result.losses.items())
            print(f"step {step + 1}: loss of", *joined)
    return {**encoder.state_dict(), **heads.state_dict()}


def behind(z: Tensor, gradient: Tensor, loss: Tensor) -> Tensor:
    """Return a number with the value of a loss, and the gradient that it passes on at z."""
    product = (z * gradient).sum()
    return product + (loss - product).detach()


if __name__ == "__main__":
    main()
