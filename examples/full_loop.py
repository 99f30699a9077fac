"""A training loop written by hand: motet only in place of `sum(losses).backward()`, and to judge.

Plain PyTorch does the rest, so this is where to start if you have a loop. Prints the weights that
learned uncertainty gives each task, the validation metrics of each epoch, and whether the weights
that were best, saved as safetensors and loaded into a new model, predict the same.
"""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import motet

TASKS = [motet.tasks.Classification("kind", classes=2), motet.tasks.Regression("area")]


def main() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(1200, 6)
    kind = (inputs[:, 0] + 0.3 * torch.randn(1200) > 0).long()
    area = inputs[:, 1] - 2 * inputs[:, 2] + 0.1 * torch.randn(1200)
    area[::4] = torch.nan  # not labelled
    rows = TensorDataset(inputs, kind, area)
    train, validation = torch.utils.data.random_split(rows, [1000, 200])

    model = made()
    balancer = motet.balancing.create(
        "uncertainty",
        tasks=["kind", "area"],
        kinds={"kind": "classification", "area": "regression"},
    )
    optimizer = torch.optim.Adam([*model.parameters(), *balancer.parameters()], lr=1e-2)
    metrics = motet.TaskMetrics(TASKS, {"kind": ["accuracy"], "area": ["r2"]})

    with tempfile.TemporaryDirectory() as folder:
        file, best = Path(folder) / "best.safetensors", float("-inf")
        for epoch in range(1, 6):
            model.train()
            for x, y_kind, y_area in DataLoader(train, batch_size=50, shuffle=True):
                losses = model.losses(model(x), {"kind": y_kind, "area": y_area})
                optimizer.zero_grad()
                result = motet.backward(losses, balancer)
                optimizer.step()

            model.eval()
            metrics.reset()
            with torch.no_grad():
                for x, y_kind, y_area in DataLoader(validation, batch_size=100):
                    metrics.update(model(x), {"kind": y_kind, "area": y_area})
            report = metrics.compute()
            weights = {task: round(weight.item(), 2) for task, weight in result.weights.items()}
            accuracy, r2 = report["kind"]["accuracy"], report["area"]["r2"]
            print(f"epoch {epoch}  weights {weights}  accuracy {accuracy:.3f}  R2 {r2:.3f}")
            if accuracy + r2 > best:
                best = accuracy + r2
                save_model(model, str(file))

        loaded, again = made(), made()
        load_model(loaded, str(file))
        load_model(again, str(file))
    x = validation[:][0]
    same = {task: torch.equal(raw, again(x)[task]) for task, raw in loaded(x).items()}
    print("loaded models agree:", same)


def made() -> motet.MultiTaskModel:
    return motet.MultiTaskModel(nn.Sequential(nn.Linear(6, 32), nn.ReLU()), TASKS)


if __name__ == "__main__":
    main()
