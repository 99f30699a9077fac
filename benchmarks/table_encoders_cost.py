"""Processor time of a step of `ensemble` and `tabular_transformer`, beside that of an `mlp`.

Default widths, one thread, the least of several steps. Products of an ensemble grow with the number
of members K; calls do not, so that small batches cost far less than K times as much. Those of a
tabular_transformer grow with the number of columns, and attention with its square.

    python benchmarks/table_encoders_cost.py
"""

import time
from collections.abc import Callable

import torch
from torch import nn

import motet
from motet import balancing
from motet.encoders import MLP, Ensemble, TabularTransformer
from motet.model import MultiTaskModel
from motet.tasks import Regression

COLUMNS = 100
SIZES = ((512, 3), (32, 14))
"""Rows and tasks."""


def measured(
    make: Callable[[], nn.Module], rows: int, count: int, balancer: str, columns: int = COLUMNS
) -> tuple[float, str]:
    """Return the milliseconds of a step, and the way of the backward pass."""
    torch.manual_seed(0)
    names = [f"task_{number}" for number in range(count)]
    model = MultiTaskModel(make(), [Regression(name) for name in names])
    inputs, targets = torch.randn(rows, columns), {name: torch.randn(rows) for name in names}
    optimizer, chosen = torch.optim.AdamW(model.parameters()), balancing.create(balancer, names)
    times, path = [], ""
    for _ in range(8):
        start = time.process_time()
        optimizer.zero_grad()
        path = motet.backward(model.losses(model(inputs), targets), chosen).path
        optimizer.step()
        times.append(time.process_time() - start)
    return 1000 * min(times), path


def print_ensembles() -> None:
    """Print a line for each size, balancer and number of members."""
    for rows, count in SIZES:
        for balancer in ("equal", "upgrad"):
            base, path = measured(lambda: MLP(COLUMNS), rows, count, balancer)
            print(f"{rows} rows, {count} tasks, {balancer}: mlp {base:.1f} ms ({path})")
            for members in (4, 16, 32):
                make = lambda members=members: Ensemble(COLUMNS, members=members)  # noqa: E731
                found, path = measured(make, rows, count, balancer)
                print(f"  {members} members: {found:.1f} ms, {found / base:.1f} x ({path})")


def print_transformers(rows: int = 32, count: int = 3) -> None:
    """Print a line for each number of columns."""
    for columns in (10, 100):
        given = rows, count, "equal", columns
        base, _ = measured(lambda columns=columns: MLP(columns), *given)
        found, _ = measured(lambda columns=columns: TabularTransformer(columns), *given)
        print(
            f"{rows} rows, {count} tasks, equal, {columns} columns: mlp {base:.1f} ms, "
            f"tabular_transformer {found:.1f} ms, {found / base:.0f} x"
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    print_transformers()
    print_ensembles()
