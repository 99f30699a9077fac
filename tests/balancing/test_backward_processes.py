"""`motet.backward` over processes: what one process with all rows finds, to rounding."""

from functools import partial

import pytest
import torch
from gloo import in_processes
from rows_of_processes import SHARES, TASKS, WORDS, Model, processes
from steps import look_ahead
from torch.testing import assert_close

from motet.balancing import LossBalancer, available, backward, create

OPTIONS = {"manual": {"weights": {"a": 1.0, "b": 2.0, "c": 0.5}}}
NAMES = available()


class Drawn(LossBalancer):
    """A balancer of the user's that draws from torch's generator."""

    draws = True

    def forward(self, losses, present):
        return (torch.rand(len(losses), dtype=torch.float64) * losses).sum()


def announce(balancer, result):
    """Make the calls of a training loop, alike on all processes."""
    if balancer.needs.epochs:
        balancer.end_epoch({task: float(loss) for task, loss in result.losses.items()})
    if balancer.needs.scores:
        balancer.observe_scores({task: float(loss) / 9 for task, loss in result.losses.items()})


def made(name, own):
    if name == "drawn":
        return Drawn(TASKS)
    return create(name, TASKS, **{**OPTIONS.get(name, {}), **own})


def plain(rank, count, model, balancer, options):
    """Balance the whole batch at once."""
    losses = model.losses(SHARES[count][rank], count)
    if options.get("at"):
        options = {**options, "representation": model.z}
    if options.get("penalty"):
        squares = [p.square().sum() for p in model.lists["shared"]]
        options = {**options, "penalty": torch.stack(squares).sum()}
    return backward(losses, balancer, **model.lists, **options)


def in_micro_batches(rank, count, model, balancer, options):
    """Balance the rows one by one, so that processes have unequal numbers of micro-batches."""
    rows = list(SHARES[count][rank]) or [None]
    result = None
    for row in rows:
        losses = {} if row is None else model.losses([row], count)
        last = row == rows[-1]
        result = backward(losses, balancer, **model.lists, solve=last, previous=result, **options)
    return result


def trained(name, own=(), options=(), *, make_step=plain, table=None, scaled=False, steps):
    """Return all numbers of the model and the balancer after some steps."""
    rank, count, group = processes()
    model, balancer = Model(table), made(name, dict(own))
    torch.manual_seed(100 + rank)
    learned = [*balancer.parameters()]
    if table is not None and table[1].get("sparse"):
        optimizers = [
            torch.optim.SparseAdam([model.table.weight], lr=0.01),
            torch.optim.Adam([*model.encoder.parameters(), *model.heads.parameters(), *learned]),
        ]
    else:
        optimizers = [torch.optim.Adam([*model.parameters(), *learned], lr=0.01)]
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, enabled=scaled)
    given = {**dict(options), **group, **({"scaler": scaler} if scaled else {})}
    for _ in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        look_ahead(balancer, TASKS)
        result = make_step(rank, count, model, balancer, given)
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()
        announce(balancer, result)
    found = {**model.state_dict(), **balancer.state_dict()}
    found |= {f"loss of {task}": loss for task, loss in result.losses.items()}
    if result.gramian is not None:
        found["gramian"] = result.gramian
    return found


LONG, SMALL = (WORDS, {}), (20, {"sparse": True})
CASES = {
    **{name: {"name": name} for name in NAMES},
    "heads weighted": {"name": "nash", "options": {"heads": "weighted"}},
    "loss balancer inside": {"name": "mgda", "own": {"losses": "dwa"}},
    "learned loss balancer inside": {"name": "upgrad", "own": {"losses": "uncertainty"}},
    "unit rows": {"name": "cagrad", "own": {"unit": True}},
    "every third step": {"name": "mgda", "own": {"every": 3}},
    "heads weighted every third step": {
        "name": "mgda",
        "own": {"every": 3},
        "options": {"heads": "weighted"},
    },
    "momentum": {"name": "mgda", "own": {"momentum": 0.5}},
    "rows": {"name": "pcgrad", "options": {"gramian": "rows"}},
    "low memory": {"name": "cagrad", "options": {"memory": "low"}},
    "low memory, heads weighted": {
        "name": "cagrad",
        "options": {"memory": "low", "heads": "weighted"},
    },
    "all norms": {"name": "gradnorm", "own": {"layer": "all"}},
    "penalty on all norms": {"name": "gradient_ratio", "own": {"layer": "all"}},
    "representation": {"name": "imtl", "options": {"at": "representation"}},
    "representation, heads weighted": {
        "name": "nash",
        "options": {"at": "representation", "heads": "weighted"},
    },
    "draws of a user's balancer": {"name": "drawn"},
    **{
        f"{name} with a penalty": {"name": name, "options": {"penalty": True}}
        for name in ("equal", "gradnorm", "gradient_ratio", "mgda", "graddrop")
    },
    "representation with a penalty": {
        "name": "mgda",
        "options": {"penalty": True, "at": "representation"},
    },
    **{
        f"{name} with a loss scaler": {"name": name, "scaled": True}
        for name in ("uncertainty", "gradnorm", "gradient_ratio", "nash", "moco")
    },
    **{
        f"{name} over micro-batches": {"name": name, "make_step": in_micro_batches}
        for name in ("uncertainty", "mgda", "imtl", "moco")
    },
    "heads weighted over micro-batches": {
        "name": "mgda",
        "make_step": in_micro_batches,
        "options": {"heads": "weighted"},
    },
    "all norms over micro-batches": {
        "name": "gradnorm",
        "own": {"layer": "all"},
        "make_step": in_micro_batches,
    },
    "graddrop on a long table": {"name": "graddrop", "table": LONG},
    **{
        f"{name} on {kind}": {"name": name, "table": table}
        for name in ("equal", "mgda")
        for kind, table in {
            "a long table": LONG,
            "a sparse long table": (WORDS, {"sparse": True}),
            "a sparse small table": SMALL,
        }.items()
    },
    "low memory on a sparse table": {
        "name": "mgda",
        "table": SMALL,
        "options": {"memory": "low"},
    },
    "rows of a sparse table": {"name": "mgda", "table": SMALL, "options": {"gramian": "rows"}},
}


def case(name, steps=3):
    return trained(**CASES[name], steps=steps)


def each(function, arguments):
    return {argument: function(argument) for argument in arguments}


@pytest.fixture(scope="module")
def of_two():
    return in_processes(2, each, case, list(CASES))


@pytest.fixture(scope="module")
def of_four():
    return in_processes(4, each, partial(case, steps=5), NAMES)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_make_the_steps_of_one(name, of_two):
    expected = case(name)
    for found in of_two:
        assert_close(found[name], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_four_processes_make_the_steps_of_one(name, of_four):
    expected = case(name, steps=5)
    for found in of_four:
        assert_close(found[name], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_four_processes_make_the_steps_of_one_with_all_options():
    names = [name for name in CASES if name not in NAMES]
    for found in in_processes(4, each, case, names):
        for name in names:
            assert_close(found[name], case(name), rtol=1e-12, atol=1e-12, msg=name)
