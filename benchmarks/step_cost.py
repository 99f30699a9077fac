"""Time the backward pass of every balancer, compared with the plain sum, the floor and torchjd.

    python benchmarks/step_cost.py [--quick] [--models mlp,cnn] [--tasks 2,16] [--threads 1]
    python benchmarks/step_cost.py --gramian [--tasks 16] [--threads 1]
    python benchmarks/step_cost.py --tables [--models words,lstm] [--tasks 3,8] [--threads 1]

Three models, T heads on one shared encoder. In each round every method makes one step, in a new
random order; a ratio is the median over rounds of the ratio within a round. "plain" is
``sum(losses).backward()``; "floor" is T bare vector-Jacobian products, nothing stored; "by hand"
keeps them, finds their Gramian and writes a weighted sum, as every Gramian balancer has to. Loss
balancers are compared with plain by whole steps (forward pass, backward pass), all others with the
floor by the backward pass alone. torchjd is shown at its best setting for each method.

With --gramian: a whole step of `pcgrad` compared with a plain one of the same losses, batch 64,
width 512, with the Gramian from rows, from layers and by the default rule, for tasks that share
their inputs, tasks with a separate batch each, tasks with separate rows in one batch, and pairs of
tasks with separate rows.

With --tables: `pcgrad` on models with embedding tables, which it reads by the rows that a batch
uses, or as whole rows (gramian="rows"), compared with the floor by the backward pass alone.
"""

import argparse
import random
import statistics
from itertools import pairwise

import torch
from interleaved import clock
from torch import nn

from motet.balancing import available, backward, create
from motet.balancing.families import LossBalancer

# Models ----------------------------------------------------------------------------------------


class MeanOverTokens(nn.Module):
    def forward(self, tokens):
        return tokens.mean(dim=1)


def mlp():
    layers = [layer for _ in range(4) for layer in (nn.Linear(384, 384), nn.ReLU())]
    return nn.Sequential(*layers), torch.randn(128, 384), 384


def transformer():
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(encoder, MeanOverTokens()), torch.randn(16, 32, 128), 128


def cnn():
    widths = (3, 32, 32, 64, 64, 128, 128)
    layers = []
    for place, (before, after) in enumerate(pairwise(widths)):
        layers += [nn.Conv2d(before, after, 3, stride=1 + place % 2, padding=1), nn.ReLU()]
    return (
        nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        torch.randn(8, 3, 32, 32),
        128,
    )


class WordStates(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.words, self.encoder = nn.Embedding(30_000, 128), encoder

    def forward(self, ids):
        return self.encoder(self.words(ids))


class LastState(nn.LSTM):
    def forward(self, tokens):
        return super().forward(tokens)[0][:, -1]


class Categories(nn.Module):
    """Eight categories of 20,000 values, beside 16 numbers."""

    def __init__(self):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(20_000, 32) for _ in range(8))
        self.layers = nn.Sequential(
            nn.Linear(8 * 32 + 16, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()
        )

    def forward(self, inputs):
        ids, numbers = inputs
        found = [table(column) for table, column in zip(self.tables, ids.unbind(1), strict=True)]
        return self.layers(torch.cat([*found, numbers], dim=1))


def word_ids(*shape):
    """Draw words as a text has them: a few are frequent, most are rare."""
    return (30_000 ** torch.rand(shape)).long() - 1


def words():
    layers = nn.Sequential(MeanOverTokens(), nn.Linear(128, 128), nn.ReLU())
    return WordStates(layers), word_ids(64, 64), 128


def categories():
    return Categories(), (torch.randint(20_000, (256, 8)), torch.randn(256, 16)), 128


def long_transformer():
    encoder, _, width = transformer()
    return WordStates(encoder), word_ids(16, 32), width


def lstm():
    return WordStates(LastState(128, 128, batch_first=True)), word_ids(32, 32), 128


MODELS = {"mlp": mlp, "transformer": transformer, "cnn": cnn}
TABLES = {
    "words": words,
    "categories": categories,
    "transformer of words": long_transformer,
    "lstm": lstm,
}


class Problem:
    """T regressions on one encoder."""

    def __init__(self, model, count):
        torch.manual_seed(0)
        self.encoder, self.inputs, width = {**MODELS, **TABLES}[model]()
        self.tasks = [f"task {k}" for k in range(count)]
        self.heads = nn.ModuleList(nn.Linear(width, 1) for _ in self.tasks)
        rows = len(self.inputs[0] if isinstance(self.inputs, tuple) else self.inputs)
        self.targets = [torch.randn(rows, 1) for _ in self.tasks]
        self.shared = list(self.encoder.parameters())
        self.own = {
            task: list(head.parameters()) for task, head in zip(self.tasks, self.heads, strict=True)
        }

    def losses(self):
        self.features = self.encoder(self.inputs)
        outputs = [head(self.features) for head in self.heads]
        pairs = zip(outputs, self.targets, strict=True)
        return {
            task: nn.functional.mse_loss(output, target)
            for task, (output, target) in zip(self.tasks, pairs, strict=True)
        }

    def reset(self):
        for parameter in [*self.shared, *self.heads.parameters()]:
            parameter.grad = None


# Methods: each maps losses to gradients --------------------------------------------------------


def plain(problem):
    return lambda losses: sum(losses.values()).backward()


def floor(problem):
    def run(losses):
        *before, last = problem.tasks
        for task in [*before, last]:
            wanted = [*problem.shared, *problem.own[task]]
            torch.autograd.grad(losses[task], wanted, retain_graph=task != last)

    return run


def by_hand(problem):
    """T products that are kept, their Gramian, and a sum of them in .grad: what all have to do."""
    sizes = [parameter.numel() for parameter in problem.shared]
    rows = torch.empty(len(problem.tasks), sum(sizes))

    def run(losses):
        for row, task in zip(rows, problem.tasks, strict=True):
            wanted = [*problem.shared, *problem.own[task]]
            found = torch.autograd.grad(losses[task], wanted, retain_graph=True)
            torch.cat([each.reshape(-1) for each in found[: len(sizes)]], out=row)
            for parameter, each in zip(problem.own[task], found[len(sizes) :], strict=True):
                parameter.grad = each
        weights = (rows @ rows.T).sum(dim=0)
        for parameter, part in zip(problem.shared, (weights @ rows).split(sizes), strict=True):
            parameter.grad = part.view_as(parameter)

    return run


def ours(name, **options):
    def made(problem):
        balancer = create(name, problem.tasks)
        known = {"shared": problem.shared, "task_parameters": problem.own}
        if isinstance(balancer, LossBalancer):
            return lambda losses: backward(losses, balancer)
        return lambda losses: backward(losses, balancer, **known, **options)

    return made


def peers():
    """Return torchjd's equivalents of a balancer: {balancer: {setting: method}}."""
    try:
        import torchjd
        from torchjd import aggregation as theirs
    except ImportError:
        return {}
    del torchjd
    names = {"upgrad": "UPGrad", "mgda": "MGDA", "pcgrad": "PCGrad", "imtl_g": "IMTLG"}
    names |= {"dualproj": "DualProj", "aligned": "AlignedMTL"}
    return {
        name: {
            "rows one by one": jacobian(getattr(theirs, peer), 1),
            "rows at once": jacobian(getattr(theirs, peer), None),
            "gramian engine": engine(getattr(theirs, f"{peer}Weighting")),
        }
        for name, peer in names.items()
    }


def jacobian(aggregator, chunk):
    def made(problem):
        from torchjd.autojac import jac_to_grad, mtl_backward

        combine = aggregator()

        def run(losses):
            mtl_backward(
                list(losses.values()),
                features=problem.features,
                tasks_params=list(problem.own.values()),
                shared_params=problem.shared,
                retain_graph=chunk is None,
                parallel_chunk_size=chunk,
            )
            jac_to_grad(problem.shared, combine)

        return run

    return made


def engine(weighting):
    def made(problem):
        from torchjd.autogram import Engine

        weigh, gram = weighting(), Engine(problem.encoder, batch_dim=None)

        def run(losses):
            values = torch.stack(list(losses.values()))
            values.backward(weigh(gram.compute_gramian(values)))

        return run

    return made


# Measurements ----------------------------------------------------------------------------------


def times(problem, methods, rounds):
    """Return for each method its seconds per round, (forward, backward)."""
    ready = {name: made(problem) for name, made in methods.items()}
    found = {name: [] for name in ready}
    order, draw, now = list(ready), random.Random(0), clock()
    for turn in range(rounds + 2):
        draw.shuffle(order)
        for name in order:
            problem.reset()
            start = now()
            losses = problem.losses()
            middle = now()
            ready[name](losses)
            end = now()
            del losses
            if turn >= 2:  # the first steps reserve memory
                found[name].append((middle - start, end - middle))
    return found


def ratio(found, name, reference, whole):
    """Return the median over rounds of the ratio of two methods."""
    pairs = zip(found[name], found[reference], strict=True)
    return statistics.median(sum(a) / sum(b) if whole else a[1] / b[1] for a, b in pairs)


def usable(problem, methods):
    """Leave out what cannot run, and print a line about it."""
    good = {}
    for name, made in methods.items():
        problem.reset()
        try:
            made(problem)(problem.losses())
            good[name] = made
        except Exception as error:  # a peer may fail in any way
            print(f"  ({name}: {type(error).__name__}: {str(error).splitlines()[0][:90]})")
    return good


def relative(model, count, methods, rounds):
    """Yield each method with its milliseconds a step, and what it is compared with and how much."""
    problem = Problem(model, count)
    references = {"plain": plain, "floor": floor, "by hand": by_hand}
    found = times(problem, usable(problem, references | methods), rounds)
    for name in found:
        whole = name == "plain" or (
            name in available() and isinstance(create(name, ["a"]), LossBalancer)
        )
        reference = "plain" if whole else "floor"
        milliseconds = 1e3 * statistics.median(sum(pair) for pair in found[name])
        yield name, milliseconds, reference, ratio(found, name, reference, whole)
        if name in methods and not whole:
            yield name, milliseconds, "by hand", ratio(found, name, "by hand", whole)


def measure(model, count, rounds):
    methods = {name: ours(name) for name in available() if name != "manual"}
    methods["pcgrad, memory=low"] = ours("pcgrad", memory="low")
    for name, milliseconds, reference, value in relative(model, count, methods, rounds):
        cells = f"{model:12}{count:4}  {name:22}{milliseconds:9.2f} ms{value:7.3f} x {reference}"
        print(cells, flush=True)
    compare(model, count, rounds)


def compare(model, count, rounds):
    """Time torchjd beside motet; its hooks stay on a model, so each setting has its own."""
    for name, settings in peers().items():
        if name not in available():
            continue
        speeds = {}
        for setting, made in settings.items():
            problem = Problem(model, count)
            methods = usable(problem, {"motet": ours(name), f"torchjd, {setting}": made})
            if len(methods) == 2 and setting != "gramian engine":
                found = times(problem, methods, max(3, rounds // 2))
                speeds[setting] = ratio(found, f"torchjd, {setting}", "motet", whole=False)
            elif len(methods) == 2:  # its hooks would slow motet's passes down
                other = Problem(model, count)
                del methods["motet"]
                speeds[setting] = apart(problem, methods, other, name, max(3, rounds // 2))
        if speeds:
            best = min(speeds, key=lambda setting: speeds[setting])
            told = ", ".join(f"{setting} {speed:.2f}" for setting, speed in speeds.items())
            print(
                f"{model:12}{count:4}  {name:22}{speeds[best]:7.2f} x faster than torchjd ({told})"
            )


def apart(problem, methods, other, name, rounds):
    """Return how much longer one method takes on its problem than motet's on another."""
    ratios = []
    for _ in range(rounds):
        theirs = times(problem, methods, 1)
        mine = times(other, {name: ours(name)}, 1)
        ratios.append(next(iter(theirs.values()))[0][1] / mine[name][0][1])
    return statistics.median(ratios)


class Wide(Problem):
    """T regressions on four layers of width 512, batch 64."""

    def __init__(self, count, inputs):
        torch.manual_seed(0)
        layers = [layer for _ in range(4) for layer in (nn.Linear(512, 512), nn.ReLU())]
        self.encoder, self.inputs, self.way = nn.Sequential(*layers), torch.randn(64, 512), inputs
        self.tasks = [f"task {k}" for k in range(count)]
        self.heads = nn.ModuleList(nn.Linear(512, 1) for _ in self.tasks)
        self.shared = list(self.encoder.parameters())
        self.own = {
            task: list(head.parameters()) for task, head in zip(self.tasks, self.heads, strict=True)
        }

    def losses(self):
        if self.way == "same inputs":
            parts = [self.encoder(self.inputs)] * len(self.tasks)
        elif self.way == "a batch each":
            parts = [self.encoder(part) for part in self.inputs.chunk(len(self.tasks))]
        elif self.way == "rows of one batch":
            parts = self.encoder(self.inputs).chunk(len(self.tasks))
        else:
            sources = self.encoder(self.inputs).chunk(len(self.tasks) // 2)
            parts = [part for part in sources for _ in range(2)]
        outputs = [head(part) for head, part in zip(self.heads, parts, strict=True)]
        return {t: (out - 1).square().mean() for t, out in zip(self.tasks, outputs, strict=True)}


def gramians(count, rounds):
    """Time a step with the Gramian computed in every way."""
    for inputs in ("same inputs", "a batch each", "rows of one batch", "two tasks per source"):
        problem = Wide(count, inputs)
        ways = {way: ours("pcgrad", gramian=way) for way in ("rows", "layers", "auto")}
        found = times(problem, {"plain": plain} | ways, rounds)
        for way in found:
            result = None if way == "plain" else ways[way](problem)(problem.losses())
            path = "" if result is None else f"  ({result.path})"
            times_plain = ratio(found, way, "plain", whole=True)
            print(f"{inputs:20}{count:4}  {way:8}{times_plain:7.2f} x plain{path}")


def tables(model, count, rounds):
    """Time a step on a model with embedding tables, read by the rows used and as whole rows."""
    problem = Problem(model, count)
    ways = {way: ours("pcgrad", gramian=way) for way in ("rows", "auto")}
    found = times(problem, {"plain": plain, "floor": floor} | ways, rounds)
    for way in ways:
        path = ways[way](problem)(problem.losses()).path
        times_floor = ratio(found, way, "floor", whole=False)
        print(f"{model:22}{count:4}  {way:8}{times_floor:7.2f} x floor  ({path})", flush=True)


def figures(quick):
    rounds = 9 if quick else 25
    losses, gradients = ("equal", "uncertainty"), ("pcgrad", "upgrad", "graddrop")
    methods = {name: ours(name) for name in (*losses, *gradients)}
    for model in MODELS:
        for count in (3, 8):
            for name, _, reference, value in relative(model, count, methods, rounds):
                if name in methods:
                    goal = 1.03 if reference == "plain" else 1.05
                    yield f"{model}, T = {count}: {name} / {reference}", value, goal
    for model in TABLES:
        for name, _, reference, value in relative(model, 3, {"pcgrad": ours("pcgrad")}, rounds):
            if name == "pcgrad" and reference == "floor":
                yield f"{model}, T = 3: {name} / {reference}", value, 1.10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, T in 2 and 16")
    parser.add_argument("--models", default=None, help=f"of {', '.join([*MODELS, *TABLES])}")
    parser.add_argument("--tasks", default=None, help="such as 2,16")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--threads", type=int, default=None, help="torch's own choice if left out")
    parser.add_argument("--gramian", action="store_true", help="ways to find the Gramian")
    parser.add_argument("--tables", action="store_true", help="models with embedding tables")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    counts = [int(t) for t in (given.tasks or ("2,16" if given.quick else "2,4,8,16")).split(",")]
    rounds = given.rounds or (5 if given.quick else 25)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {rounds} rounds\n")
    if given.gramian:
        for count in [int(t) for t in (given.tasks or "16").split(",")]:
            gramians(count, rounds)
        return
    models = given.models.split(",") if given.models else list(TABLES if given.tables else MODELS)
    if given.tables:
        for model in models:
            for count in [int(t) for t in (given.tasks or "3,8").split(",")]:
                tables(model, count, rounds)
        return
    for model in models:
        for count in counts:
            measure(model, count, rounds)
            print()


if __name__ == "__main__":
    main()
