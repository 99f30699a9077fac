"""motet in PyTorch Lightning: manual optimisation, with `motet.backward` for `manual_backward`.

    torchrun --nproc-per-node 2 examples/lightning_loop.py

Two tasks on one encoder, balanced by UPGrad. Accumulates two micro-batches per step, clips, and
supports any precision of the `Trainer`, and several processes (strategy "ddp"); one without
torchrun. Prints the validation losses before and after training, and how often the tasks were in
conflict. Needs `pip install 'motet[loops]'`.
"""

import os
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import motet


class TwoTasks(lightning.LightningModule):
    """An encoder, two heads and a balancer, all of which go into its checkpoints."""

    def __init__(self, balancer: str = "upgrad", accumulate: int = 2, clip: float = 1.0) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.encoder = nn.Sequential(nn.Linear(6, 32), nn.ReLU())
        self.heads = nn.ModuleDict({"kind": nn.Linear(32, 2), "area": nn.Linear(32, 1)})
        self.balancer = motet.balancing.create(balancer, tasks=["kind", "area"])
        self.waiting: motet.balancing.BackwardResult | None = None  # gradients of micro-batches
        self.conflicts: list[bool] = []

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Predict the logits of `kind` (B, 2) and the value of `area` (B, 1)."""
        features = self.encoder(x)
        return {task: head(features) for task, head in self.heads.items()}

    def losses(self, batch: list[Tensor]) -> dict[str, Tensor]:
        """Compute a loss for each task."""
        x, kind, area = batch
        raw = self(x)
        return {
            "kind": functional.cross_entropy(raw["kind"], kind),
            "area": functional.mse_loss(raw["area"], area),
        }

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Add up the gradients of micro-batches; balance and step at the last of them."""
        accumulate = self.hparams["accumulate"]
        solve = (batch_idx + 1) % accumulate == 0 or self.trainer.is_last_batch
        losses = self.losses(batch)
        self.log_dict({f"train/{task}": loss for task, loss in losses.items()})
        result = motet.backward(
            {task: loss / accumulate for task, loss in losses.items()},
            self.balancer,
            shared=self.encoder,
            task_parameters=dict(self.heads.items()),
            process_group=distributed.group.WORLD if self.trainer.world_size > 1 else None,
            scaler=getattr(self.trainer.precision_plugin, "scaler", None),
            solve=solve,
            previous=self.waiting,
        )
        self.waiting = None if solve else result
        if solve:
            self.conflicts.append(bool(result.cosines[0, 1] < 0))
            optimizer: Any = self.optimizers()
            optimizer.step()
            optimizer.zero_grad()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip here: at the end of `training_step`, gradients still have the loss scale."""
        self.clip_gradients(optimizer, gradient_clip_val=self.hparams["clip"])

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log the losses."""
        losses = {f"validation/{task}": loss for task, loss in self.losses(batch).items()}
        self.log_dict(losses, sync_dist=True)  # their means over the processes

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Train all parameters, without weight decay: a balancer's parameters must not decay."""
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def loader(rows: int, seed: int, **options: Any) -> DataLoader[tuple[Tensor, ...]]:
    """Create random data."""
    generator = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(rows, 6, generator=generator), torch.randn(rows, generator=generator)
    kind = (x[:, 0] + 0.3 * noise > 0).long()
    area = (x[:, 1] - 2 * x[:, 2])[:, None]
    return DataLoader(TensorDataset(x, kind, area), batch_size=25, **options)


def main() -> None:
    """Train, and validate before and after."""
    lightning.seed_everything(0, verbose=False)
    model, validation = TwoTasks(), loader(200, seed=1)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # that torchrun started
    trainer = lightning.Trainer(
        max_epochs=5,
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    [before] = trainer.validate(model, validation, verbose=False)
    trainer.fit(model, loader(1000, seed=0, shuffle=True), validation)
    if not trainer.is_global_zero:
        return
    for task in model.heads:
        after = float(trainer.callback_metrics[f"validation/{task}"])
        print(f"{task}: loss {before[f'validation/{task}']:.3f} -> {after:.3f}")
    print(f"in conflict at {sum(model.conflicts)} of {len(model.conflicts)} steps")


if __name__ == "__main__":
    main()
