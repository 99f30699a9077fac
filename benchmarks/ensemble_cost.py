"""Processor time of a step of an ensemble, beside that of an MLP of the same layers.

One thread, the least of several steps. Products grow with the number of members K; calls do not, so
that small batches cost far less than K times as much.

    python benchmarks/ensemble_cost.py
"""

import time
from collections.abc import Callable

import torch
from torch import nn

import motet
from motet import balancing
from motet.encoders import MLP, Ensemble
from motet.model import MultiTaskModel
from motet.tasks import Regression

COLUMNS = 100
SIZES = ((512, 3), (32, 14))
"""Rows and tasks."""


def measured(
    make: Callable[[], nn.Module], rows: int, count: int, balancer: str
) -> tuple[float, str]:
    """Return the milliseconds of a step, and the way of the backward pass."""
    torch.manual_seed(0)
    names = [f"task_{number}" for number in range(count)]
    model = MultiTaskModel(make(), [Regression(name) for name in names])
    inputs, targets = torch.randn(rows, COLUMNS), {name: torch.randn(rows) for name in names}
    optimizer, chosen = torch.optim.AdamW(model.parameters()), balancing.create(balancer, names)
    times, path = [], ""
    for _ in range(8):
        start = time.process_time()
        optimizer.zero_grad()
        path = motet.backward(model.losses(model(inputs), targets), chosen).path
        optimizer.step()
        times.append(time.process_time() - start)
    return 1000 * min(times), path


def main() -> None:
    """Print a line for each size, balancer and number of members."""
    torch.set_num_threads(1)
    for rows, count in SIZES:
        for balancer in ("equal", "upgrad"):
            base, path = measured(lambda: MLP(COLUMNS), rows, count, balancer)
            print(f"{rows} rows, {count} tasks, {balancer}: mlp {base:.1f} ms ({path})")
            for members in (4, 16, 32):
                make = lambda members=members: Ensemble(COLUMNS, members=members)  # noqa: E731
                found, path = measured(make, rows, count, balancer)
                print(f"  {members} members: {found:.1f} ms, {found / base:.1f} x ({path})")


if __name__ == "__main__":
    main()
