"""Peak memory of a step: by balancer, and by each way to need less of it.

    python benchmarks/peak_memory.py [--models transformer] [--tasks 8] [--threads 1]
    python benchmarks/peak_memory.py --ladder [--rounds 25]

Without an option, every balancer that reads gradients on the models of step_cost.py, divided by the
limit: the peak of a plain step, and T x P numbers of four bytes for each of the task gradients and
what the balancer keeps of that size. With --ladder, ways to train with less memory, from most to
least: peak and time of a whole step, relative to one of the plain sum.

Memory is the peak of what torch allocates in a first step, forward pass and kept buffers included.
"""

import argparse
from itertools import accumulate

import torch
from step_cost import MODELS, Problem, ours, plain, ratio, times, usable
from torch.profiler import ProfilerActivity, profile

from motet.balancing import available, create
from motet.balancing.families import GramianBalancer, JacobianBalancer

LADDER = {
    "moco": ours("moco"),
    "graddrop": ours("graddrop"),
    "pcgrad, gramian: rows": ours("pcgrad", gramian="rows"),
    "pcgrad": ours("pcgrad"),
    "pcgrad, gramian: layers": ours("pcgrad", gramian="layers"),
    "pcgrad, memory: low": ours("pcgrad", memory="low"),
    "pcgrad, at: representation": ours("pcgrad", at="representation"),
    "plain": plain,
}


def peak(model, count, made):
    """Return the most bytes that a first step holds, from losses to gradients."""
    problem = Problem(model, count)
    run = made(problem)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run(problem.losses())
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(sizes))


def limited(model, count, names):
    """Yield each balancer with its peak, in bytes and relative to the limit."""
    numbers = sum(parameter.numel() for parameter in Problem(model, count).shared)
    base = peak(model, count, plain)
    for name in names:
        balancer = create(name, ["a"])
        kept = len(balancer.column_state) if isinstance(balancer, JacobianBalancer) else 0
        found = peak(model, count, ours(name))
        yield name, found, found / (base + (1 + kept) * 4 * count * numbers)


def figures(quick):
    names = ("pcgrad", "graddrop", "moco") if quick else reading_gradients()
    for model in MODELS:
        for name, _, share in limited(model, 8, names):
            yield f"{model}, T = 8: peak of {name} / limit", share, 1.10


def reading_gradients():
    names = [name for name in available() if name != "manual"]
    return [n for n in names if isinstance(create(n, ["a"]), (GramianBalancer, JacobianBalancer))]


def ladder(model, count, rounds):
    problem = Problem(model, count)
    ways = usable(problem, LADDER)
    base, found = peak(model, count, plain), times(problem, ways, rounds)
    for name, made in ways.items():
        held = peak(model, count, made)
        problem = Problem(model, count)
        path = getattr(made(problem)(problem.losses()), "path", "")
        print(
            f"{model:12}{count:3}  {name:28}{held / 2**20:8.1f} MiB {held / base:6.2f} x plain"
            f"{ratio(found, name, 'plain', whole=True):7.2f} x its time  {path}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="transformer,mlp,cnn")
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ladder", action="store_true", help="ways to need less memory")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"torch {torch.__version__}, {given.threads} threads")
    for model in given.models.split(","):
        if given.ladder:
            ladder(model, given.tasks, given.rounds)
            continue
        for name, held, share in limited(model, given.tasks, reading_gradients()):
            print(
                f"{model:12}{given.tasks:3}  {name:14}{held / 2**20:8.1f} MiB {share:6.2f} x limit"
            )


if __name__ == "__main__":
    main()
