"""Time steps of two processes, count what they exchange, and show which schemes are not exact.

    python benchmarks/distributed.py [--quick] [--models mlp,transformer,words] [--tasks 4]

Two processes of one thread each, joined by gloo. In each round every way makes some steps (forward
pass, `motet.backward`, SGD), in a new random order that both processes follow:

    one            the first process alone, with its rows; the other one waits
    independent    both at once, each for itself
    joined         both together, with process_group=

"ratio" is the median over rounds of rows per second, joined to independent: 1 would be an exchange
that costs nothing. "work" is the same for the time that processors computed, which hardly depends
on what else the machine does. The plain sum of the losses is joined by DistributedDataParallel;
"fsdp" is a balancer on parameters of fully_shard.

Numbers exchanged are counted at torch.distributed, as a ring sends them: one for each number of a
reduce-scatter or all-gather, two for one of an all-reduce; x P divides by the shared parameters.
Bytes are those numbers times their size, (W - 1) / W of them per process.

At the end, directions of a small problem in float64 compared with those of one process: motet's,
and those of schemes in use: each process weighs by its own Gramian, or by the mean of the Gramians
(C, D of the docs), or calls backward for each task under DistributedDataParallel (F).
"""

import argparse
import random
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import torch
from step_cost import Problem
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from motet.balancing import backward, combine, create

BALANCERS = {"loss": "equal", "Gramian": "upgrad", "Jacobian": "graddrop"}
PROCESSES = 2
FACTORS = {"all_reduce": 2, "reduce_scatter": 1, "all_gather": 1, "all_to_all": 1, "broadcast": 1}
"""How many numbers a ring sends for each of a collective."""


# Steps -----------------------------------------------------------------------------------------


class Training:
    """A problem with an optimizer; `step` makes one step of a way to train it."""

    def __init__(self, model, tasks, balancer, way, alone):
        self.problem = problem = Problem(model, tasks)
        self.options = {"shared": problem.shared, "task_parameters": problem.own}
        self.balancer = None if balancer is None else create(balancer, problem.tasks)
        self.way = way
        if way != "fsdp":
            joined = distributed.group.WORLD if way == "joined" else alone
            self.options["process_group"] = joined
        if way == "ddp":
            problem.encoder = DistributedDataParallel(problem.encoder)
            problem.heads = nn.ModuleList(map(DistributedDataParallel, problem.heads))
        if way == "fsdp":
            shard(problem)
            self.options["shared"] = problem.encoder
            self.options["task_parameters"] = dict(zip(problem.tasks, problem.heads, strict=True))
        self.leaves = [*problem.encoder.parameters(), *problem.heads.parameters()]
        self.optimizer = torch.optim.SGD(self.leaves, 1e-3)
        self.rows = len(problem.targets[0])

    def step(self):
        self.optimizer.zero_grad()
        losses = self.problem.losses()
        if self.balancer is None:
            sum(losses.values()).backward()
        else:
            backward(losses, self.balancer, **self.options)
        self.optimizer.step()


def shard(problem):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (PROCESSES,))
    layers = [module for module in problem.encoder.modules() if len(list(module.children())) > 2]
    for module in [*layers[1:], problem.encoder, *problem.heads]:
        fully_shard(module, mesh=mesh)


# Measurements ----------------------------------------------------------------------------------


class Counted:
    """Counts the numbers and bytes of collectives while it is entered."""

    def __enter__(self):
        self.numbers, self.bytes, self.kept, self.inside = 0, 0.0, {}, False
        for name in dir(distributed):
            for kind, factor in FACTORS.items():
                if name.startswith(kind) and "object" not in name and "coalesced" not in name:
                    self.kept[name] = getattr(distributed, name)
                    setattr(distributed, name, self._counted(self.kept[name], factor))
        return self

    def __exit__(self, *error):
        for name, function in self.kept.items():
            setattr(distributed, name, function)

    def _counted(self, function, factor):
        def call(*given, **options):
            if self.inside:  # one collective in terms of another
                return function(*given, **options)
            sizes = [_size(each) for each in [*given, *options.values()]]
            numbers, size = max(sizes)
            self.numbers += factor * numbers
            self.bytes += factor * numbers * size * (PROCESSES - 1) / PROCESSES
            self.inside = True
            try:
                return function(*given, **options)
            finally:
                self.inside = False

        return call


def _size(argument):
    """Return how many numbers an argument of a collective has, and the size of each."""
    tensors = argument if isinstance(argument, list) else [argument]
    if not all(isinstance(each, torch.Tensor) for each in tensors):
        return 0, 0
    return sum(each.numel() for each in tensors), tensors[0].element_size()


def measured(step, steps, here=True):
    """Make steps, on this process if ``here``.

    Returns the seconds per step of every process, and those that its processors computed, in all
    threads; 0 where there was nothing to do.
    """
    distributed.barrier()
    found = torch.zeros(2, PROCESSES, dtype=torch.float64)
    if here:
        start, busy = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        passed = time.perf_counter() - start, time.process_time() - busy
        found[:, distributed.get_rank()] = torch.tensor(passed).double() / steps
    distributed.all_reduce(found)
    return found


def compare(model, tasks, rounds, least, alone, fsdp):
    """Measure all ways of one model, where ``alone`` is a group of this process; yields lines."""
    gramian = BALANCERS["Gramian"]
    apart = {name: Training(model, tasks, name, "alone", alone) for name in BALANCERS.values()}
    apart["plain sum"] = Training(model, tasks, None, "alone", alone)
    joined = {name: Training(model, tasks, name, "joined", alone) for name in BALANCERS.values()}
    joined["plain sum"] = Training(model, tasks, None, "ddp", alone)
    if fsdp:
        joined[f"{gramian}, fsdp"] = Training(model, tasks, gramian, "fsdp", alone)
    sent = {name: exchanged(training) for name, training in joined.items()}
    for training in apart.values():
        training.step()  # reserves memory
    once = float(measured(apart["plain sum"].step, 3).max(dim=1).values[0])
    steps, first = max(1, round(least / once)), distributed.get_rank() == 0
    runs = {("one", name): (training, first) for name, training in apart.items()}
    runs |= {("independent", name): (training, True) for name, training in apart.items()}
    runs |= {("joined", name): (training, True) for name, training in joined.items()}
    times, draw, order = {key: [] for key in runs}, random.Random(0), list(runs)
    for _ in range(rounds):
        draw.shuffle(order)
        for key in order:
            training, here = runs[key]
            times[key].append(measured(training.step, steps, here))
    size = sum(parameter.numel() for parameter in apart["plain sum"].problem.shared)
    rows = apart["plain sum"].rows
    yield f"{model}, {tasks} tasks, P = {size:,}; {rows} rows per process and step, ms a step"
    yield f"  {'':14}{'one':>9}{'indep.':>9}{'joined':>9}{'ratio':>8}{'work':>8}{'x P':>8}{'MB':>8}"
    for name, (numbers, total) in sent.items():
        known = name.partition(",")[0]
        one, alone_, both = (
            torch.stack(times[key])
            for key in (("one", known), ("independent", known), ("joined", name))
        )  # (rounds, 2, processes)
        rates = PROCESSES / both[:, 0].max(dim=1).values / (1 / alone_[:, 0]).sum(dim=1)
        work = alone_[:, 1].sum(dim=1) / both[:, 1].sum(dim=1)
        cells = [one[:, 0, 0], alone_[:, 0].max(dim=1).values, both[:, 0].max(dim=1).values]
        yield (
            f"  {name:14}{''.join(f'{1e3 * each.median():9.2f}' for each in cells)}"
            f"{rates.median():8.2f}{work.median():8.2f}{numbers / size:8.2f}{total / 1e6:8.2f}"
        )


def exchanged(training):
    """Return how many numbers and bytes a step exchanges."""
    training.step()  # reserves memory
    with Counted() as counted:
        training.step()
    if training.way == "ddp":  # it exchanges outside Python
        whole = FACTORS["all_reduce"] * sum(p.numel() for p in training.leaves)
        return whole, 4 * whole * (PROCESSES - 1) / PROCESSES
    return counted.numbers, counted.bytes


# Schemes that are not exact ----------------------------------------------------------------------


class Conflict(nn.Module):
    """Three outputs of a small network, whose tasks disagree on rows of different processes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
        self.x = torch.randn(8, 6, dtype=torch.float64)
        self.y = 3 * torch.randn(8, 3, dtype=torch.float64)

    def losses(self, rows, module=None):
        z = (module or self.encoder)(self.x[rows])
        return list((z - self.y[rows]).square().mean(dim=0))


def jacobian(losses, leaves):
    rows = []
    for loss in losses:
        found = torch.autograd.grad(loss, leaves, retain_graph=True)
        rows.append(torch.cat([each.flatten() for each in found]))
    return torch.stack(rows)


def mean(tensor):
    found = tensor.clone()
    distributed.all_reduce(found)
    return found / PROCESSES


def errors(name):
    """Return the relative error of the direction of every scheme."""
    net, rank, tasks = Conflict(), distributed.get_rank(), ["a", "b", "c"]
    leaves = list(net.encoder.parameters())
    share = slice(rank * 4, rank * 4 + 4)
    exact = combine(jacobian(net.losses(slice(0, 8)), leaves), create(name, tasks))
    mine = jacobian(net.losses(share), leaves)
    found = {}
    backward(
        net.losses(share),
        create(name, tasks),
        shared=leaves,
        task_parameters={},
        process_group=distributed.group.WORLD,
    )
    found["motet"] = torch.cat([leaf.grad.flatten() for leaf in leaves])
    gramian = mean(mine @ mine.T)
    found["C: mean of the processes' Gramians"] = mean(create(name, tasks)(gramian).to(mine) @ mine)
    found["D: each process its own weights"] = mean(combine(mine, create(name, tasks)))
    wrapped, rows = DistributedDataParallel(net.encoder), []
    losses = net.losses(share, wrapped)
    for loss in losses:
        wrapped.zero_grad()
        loss.backward(retain_graph=True)
        rows.append(torch.cat([leaf.grad.flatten() for leaf in leaves]))
    found["F: DDP, a backward call per task"] = combine(torch.stack(rows), create(name, tasks))
    return {scheme: float((each - exact).norm() / exact.norm()) for scheme, each in found.items()}


# Processes -------------------------------------------------------------------------------------


def work(rank, store, options):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        store=distributed.FileStore(store, PROCESSES),
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(seconds=120),
    )
    rounds, least = (2, 0.0) if options.quick else (options.rounds, 0.2)
    alone = [distributed.new_group([each]) for each in range(PROCESSES)][rank]
    for model in options.models.split(","):
        for line in compare(model, options.tasks, rounds, least, alone, fsdp=model != "words"):
            if rank == 0:
                print(line, flush=True)
    for name in ("mgda", "pcgrad", "upgrad"):
        for scheme, error in errors(name).items():
            if rank == 0:
                print(f"{name:8}{scheme:38}{error:10.1e} of the exact direction", flush=True)
    distributed.barrier()
    distributed.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default="mlp,transformer,words")
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        torch.multiprocessing.spawn(work, (store, options), PROCESSES)


if __name__ == "__main__":
    main()
