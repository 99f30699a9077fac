"""motet in Hugging Face Accelerate: `motet.backward` in place of `accelerator.backward`.

    torchrun --nproc-per-node 2 examples/accelerate_loop.py

Two tasks on one encoder, balanced by UPGrad once per step of two micro-batches. Accelerate divides
the rows of each batch among the processes, and handles devices, precision and clipping. Prints the
losses on all rows before and after training, and how often the tasks were in conflict: the same
with one process, without torchrun, and with two. Needs `pip install 'motet[loops]'`.
"""

from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import set_seed
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import motet


class TwoTasks(nn.Module):
    """An encoder and two heads; returns a loss for each task."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 32), nn.ReLU())
        self.heads = nn.ModuleDict({"kind": nn.Linear(32, 2), "area": nn.Linear(32, 1)})

    def forward(self, x: Tensor, kind: Tensor, area: Tensor) -> dict[str, Tensor]:
        """Compute the mean loss over the rows (B, ...) of each task."""
        features = self.encoder(x)
        return {
            "kind": functional.cross_entropy(self.heads["kind"](features), kind),
            "area": functional.mse_loss(self.heads["area"](features), area),
        }


def train(
    model: TwoTasks, data: TensorDataset, accelerator: Accelerator, epochs: int = 5, batch: int = 50
) -> list[motet.balancing.BackwardResult]:
    """Train, and return the result of each step."""
    # not the model: in DistributedDataParallel, which it would get, gradients are averaged too
    model.to(accelerator.device)
    balancer = motet.balancing.create("upgrad", tasks=list(model.heads))
    shuffled = DataLoader(
        data, batch_size=batch, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    loader: Any
    optimizer: Any
    optimizer, loader = accelerator.prepare(torch.optim.Adam(model.parameters(), lr=1e-2), shuffled)
    waiting, steps = None, []
    for _ in range(epochs):
        for rows in loader:
            with accelerator.accumulate():
                with accelerator.autocast():
                    losses = model(*rows)
                last = accelerator.sync_gradients  # of the micro-batches of a step
                result = motet.backward(
                    {
                        t: loss / accelerator.gradient_accumulation_steps
                        for t, loss in losses.items()
                    },
                    balancer,
                    shared=model.encoder,
                    task_parameters=dict(model.heads.items()),
                    process_group=distributed.group.WORLD
                    if accelerator.num_processes > 1
                    else None,
                    scaler=accelerator.scaler,
                    solve=last,
                    previous=waiting,
                )
                waiting = None if last else result
                if last:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                    steps.append(result)
                optimizer.step()  # does nothing before the last micro-batch, nor does zero_grad
                optimizer.zero_grad()
    return steps


def new_data(rows: int, seed: int) -> TensorDataset:
    """Draw random rows, with labels for both tasks."""
    generator = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(rows, 6, generator=generator), torch.randn(rows, generator=generator)
    return TensorDataset(x, (x[:, 0] + 0.3 * noise > 0).long(), (x[:, 1] - 2 * x[:, 2])[:, None])


def main() -> None:
    """Train, and compute the losses before and after."""
    accelerator = Accelerator(
        cpu=True,
        gradient_accumulation_steps=2,
        dataloader_config=DataLoaderConfiguration(split_batches=True),  # batch: of all processes
    )
    set_seed(0)  # the same model in every process
    model, data = TwoTasks(), new_data(1000, seed=0)
    with torch.no_grad():
        before = model(*data.tensors)
    steps = train(model, data, accelerator)
    with torch.no_grad():
        after = model(*data.tensors)
    for task in model.heads:
        accelerator.print(f"{task}: loss {before[task]:.3f} -> {after[task]:.3f}")
    conflicts = sum(bool(step.cosines[0, 1] < 0) for step in steps if step.cosines is not None)
    accelerator.print(f"in conflict at {conflicts} of {len(steps)} steps")
    accelerator.end_training()
    if distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
