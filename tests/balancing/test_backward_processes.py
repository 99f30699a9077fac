"""`motet.backward` over processes: what one process with all rows finds, to rounding.

Labels are spread unevenly: task a is labelled everywhere, b on one process alone, c every third
row; the last process has no row at all.
"""

import pytest
import torch
from gloo import in_processes
from torch import distributed, nn
from torch.testing import assert_close

from motet.balancing import available, backward, create
from motet.registry import BALANCERS

TASKS = ("a", "b", "c")
OPTIONS = {"manual": {"weights": {"a": 1.0, "b": 2.0, "c": 0.5}}}
NAMES = [name for name in available() if name not in ("meta", "gradnorm", "gradient_ratio")]
ROWS = 12
SHARES = {
    1: [range(ROWS)],
    2: [range(5), range(5, ROWS)],
    4: [range(3), range(3, 4), range(4, ROWS), range(0)],
}
generator = torch.Generator().manual_seed(0)
X = torch.randn(ROWS, 5, dtype=torch.float64, generator=generator)
Y = {task: torch.randn(ROWS, dtype=torch.float64, generator=generator) for task in TASKS}
LABELLED = {
    "a": torch.arange(ROWS) >= 0,
    "b": torch.arange(ROWS) < 3,
    "c": torch.arange(ROWS) % 3 == 0,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.encoder = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 6), nn.Tanh())
        self.heads = nn.ModuleDict({task: nn.Linear(6, 1) for task in TASKS})
        self.double()

    def losses(self, rows, count=1, factor=1.0):
        """Return ``count`` times this process's share of the mean over all labelled rows."""
        rows = torch.tensor(list(rows), dtype=torch.long)
        z, found = self.encoder(X[rows]), {}
        for task in TASKS:
            here = LABELLED[task][rows]
            if here.any():
                residuals = self.heads[task](z)[here, 0] - Y[task][rows][here]
                total = residuals.square().sum() + residuals.abs().sum()
                found[task] = factor * count * total / LABELLED[task].sum()
        return found

    @property
    def lists(self):
        return {"shared": self.encoder, "task_parameters": dict(self.heads)}


def processes():
    """Return the rank, the number of processes and the argument of `motet.backward`."""
    if not distributed.is_initialized():
        return 0, 1, {}
    group = distributed.group.WORLD
    return distributed.get_rank(), distributed.get_world_size(), {"process_group": group}


def trained(name, steps=5, **options):
    """Return all numbers of the model and the balancer after some steps."""
    rank, count, group = processes()
    model = Model()
    own = {**OPTIONS.get(name, {}), **options}
    balancer = create(name, TASKS, **own)
    optimizer = torch.optim.Adam([*model.parameters(), *balancer.parameters()], lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        losses = model.losses(SHARES[count][rank], count)
        result = backward(losses, balancer, **model.lists, **group)
        optimizer.step()
    found = {**model.state_dict(), **balancer.state_dict()}
    return {**found, **{f"loss of {task}": loss for task, loss in result.losses.items()}}


def each(function, arguments):
    return {argument: function(argument) for argument in arguments}


@pytest.fixture(scope="module")
def of_processes():
    """All balancers after 5 steps, on 2 and 4 processes."""
    return {count: in_processes(count, each, trained, NAMES) for count in (2, 4)}


@pytest.mark.parametrize("name", NAMES)
def test_processes_make_the_steps_of_one_process(name, of_processes):
    expected = trained(name)
    for found in (found[name] for count in (2, 4) for found in of_processes[count]):
        assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_every_registered_balancer_is_in_the_table():
    assert set(NAMES) <= set(BALANCERS)
