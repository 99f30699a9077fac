"""What `motet.Trainer` costs compared with a hand-written PyTorch loop.

An epoch on an in-memory table (100,000 rows, 50 numbers, three tasks, MLP [256, 128], batch 512),
against a loop with the same model, the same batches and the same optimizer, in turn in one process.
Prints the time of an epoch of each and the ratio, pair by pair.

    python benchmarks/training_overhead.py [--rows 100000] [--pairs 7]
"""

import argparse

import torch
from interleaved import compare, ratio
from torch import nn
from torch.nn import functional as F

import motet
from motet.data.arrays import ArrayData
from motet.encoders import MLP

BATCH = 512


def make_data(rows):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 50, generator=generator)
    w = torch.randn(50, 3, generator=generator)
    signal = x @ w
    targets = {
        "a": (signal[:, 0] > 0).long(),
        "b": (signal[:, 1] / signal[:, 1].std()),
        "c": signal[:, 2].div(4).round().clamp(-2, 2).long() + 2,
    }
    return x, targets


def make_model():
    torch.manual_seed(0)
    tasks = [
        motet.tasks.Classification("a", classes=2),
        motet.tasks.Regression("b"),
        motet.tasks.Classification("c", classes=5),
    ]
    return motet.MultiTaskModel(MLP(50), tasks)


class Plain(nn.Module):
    """The same network without motet."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(
            nn.Linear(50, 256),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Dropout(0.1),
        )
        self.heads = nn.ModuleDict(
            {"a": nn.Linear(128, 2), "b": nn.Linear(128, 1), "c": nn.Linear(128, 5)}
        )

    def forward(self, x):
        z = self.encoder(x)
        return {name: head(z) for name, head in self.heads.items()}


def plain_epoch(model, optimizer, x, targets, order):
    model.train()
    for rows in order.split(BATCH):
        raw = model(x[rows])
        loss = (
            F.cross_entropy(raw["a"], targets["a"][rows])
            + F.mse_loss(raw["b"].squeeze(-1), targets["b"][rows])
            + F.cross_entropy(raw["c"], targets["c"][rows])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def passes(rows):
    """Return the epochs of both, by the number of a pair."""
    x, targets = make_data(rows)
    data = ArrayData({"numbers": x}, targets)
    trainer = motet.Trainer(make_model(), batch_size=BATCH, device="cpu")
    plain = Plain()
    decays = [p for p in plain.parameters() if p.dim() > 1]
    others = [p for p in plain.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decays}, {"params": others, "weight_decay": 0.0}], lr=1e-3, fused=True
    )

    def epochs(pair):
        order = data.order(0, pair)
        return {
            "motet": lambda: trainer.train_epoch(data),
            "by hand": lambda: plain_epoch(plain, optimizer, x, targets, order),
        }

    return epochs


def figures(quick):
    rows, pairs = (20_000, 7) if quick else (100_000, 9)
    yield "an epoch of Trainer / of a loop by hand", ratio(pairs, passes(rows)), 1.05


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=7)
    arguments = parser.parse_args()
    what = f"{arguments.rows:,} rows x 50, three tasks, batch {BATCH}"
    compare(what, arguments.pairs, passes(arguments.rows))


if __name__ == "__main__":
    main()
