"""A hand-written training loop: `motet.backward` in place of `sum(losses).backward()`.

Plain PyTorch does the rest, so start here if you already have a loop. Prints, for each epoch, the
weight that learned uncertainty gives each task and the validation metrics; then whether the model,
saved as safetensors and loaded into a new one, predicts the same to the last bit.
"""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import motet


def main() -> None:
    """Train, validate, save and load, by hand."""
    torch.manual_seed(0)
    inputs = torch.randn(1200, 6)
    kind = (inputs[:, 0] + 0.3 * torch.randn(1200) > 0).long()
    area = inputs[:, 1] - 2 * inputs[:, 2] + 0.1 * torch.randn(1200)
    area[::4] = torch.nan  # not labelled
    train, validation = random_split(TensorDataset(inputs, kind, area), [1000, 200])

    model = new_model()
    kinds = {task.name: task.uncertainty_kind for task in model.tasks}  # which formula each uses
    balancer = motet.balancing.create("uncertainty", tasks=["kind", "area"], kinds=kinds)
    optimizer = torch.optim.Adam([*model.parameters(), *balancer.parameters()], lr=1e-2)
    metrics = motet.TaskMetrics(model.tasks, {"kind": ["accuracy"], "area": ["r2"]})

    for epoch in range(1, 6):
        model.train()
        for x, *labels in DataLoader(train, batch_size=50, shuffle=True):
            raw = model(x)
            losses = model.losses(raw, dict(zip(raw, labels, strict=True)))
            optimizer.zero_grad()
            result = motet.backward(losses, balancer)  # fills .grad
            optimizer.step()

        model.eval()
        metrics.reset()
        with torch.no_grad():
            for x, *labels in DataLoader(validation, batch_size=100):
                raw = model(x)
                metrics.update(raw, dict(zip(raw, labels, strict=True)))
        report = metrics.compute()
        weights = "  ".join(f"{task} {weight:.2f}" for task, weight in result.weights.items())
        accuracy, r2 = report["kind"]["accuracy"], report["area"]["r2"]
        print(f"epoch {epoch}  weights: {weights}  accuracy {accuracy:.3f}  R2 {r2:.3f}")

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        save_model(model, str(file))
        loaded = new_model().eval()
        load_model(loaded, str(file))
    expected, found = model(inputs), loaded(inputs)
    print("loaded model equal:", {task: torch.equal(found[task], expected[task]) for task in found})


def new_model() -> motet.MultiTaskModel:
    """Create the untrained model."""
    tasks = [motet.tasks.Classification("kind", classes=2), motet.tasks.Regression("area")]
    return motet.MultiTaskModel(nn.Sequential(nn.Linear(6, 32), nn.ReLU()), tasks)


if __name__ == "__main__":
    main()
