"""One step of training with motet, with other libraries and by hand: time and memory.

The same model, data and method for all: T regressions on one encoder (the models of step_cost.py),
forward and backward pass. Each contender has a process of its own, which waits between its steps,
so that imports, hooks and kept memory of one do not meet another. In each round every contender
makes a step, in a new random order; printed is the time relative to motet's of the same round, the
median over rounds with its quartiles, and the peak memory of the process above a plain step's.

by hand   T calls of torch.autograd.grad, flattened and stacked, then the formula
torchjd   its three settings: rows one by one, rows at once, and the engine of Gramians
LibMTL    its formulas on a CPU, with attributes in place of its trainer

A contender that is not installed, or fails, is named with the reason.

    python benchmarks/peers.py [--models mlp,cnn] [--tasks 3,8] [--methods pcgrad] [--rounds 21]
        [--threads 1]
"""

import argparse
import random
import statistics
import subprocess
import sys
import time
import types
from importlib.util import find_spec
from pathlib import Path

import torch
from process_memory import peak
from step_cost import MODELS, Problem, jacobian, ours, plain
from step_cost import engine as gramian_engine

TORCHJD = {"pcgrad": "PCGrad", "mgda": "MGDA", "upgrad": "UPGrad", "imtl_g": "IMTLG"}
LIBMTL = {
    "pcgrad": ("PCGrad", {}),
    "mgda": ("MGDA", {"mgda_gn": "none"}),
    "cagrad": ("CAGrad", {"calpha": 0.5, "rescale": 1}),
}
SETTINGS = {"rows one by one": 1, "rows at once": None}
METHODS = ("equal", "pcgrad", "mgda", "cagrad", "upgrad", "imtl_g")


# Contenders: each makes from a problem what maps losses to gradients ------------------------------


def by_hand(method):
    """Return a loop as people write it."""
    if method == "equal":
        return plain

    def made(problem):
        def run(losses):
            names = list(losses)
            rows = []
            for place, task in enumerate(names):
                wanted = [*problem.shared, *problem.own[task]]
                found = torch.autograd.grad(
                    losses[task], wanted, retain_graph=place < len(names) - 1
                )
                for own, gradient in zip(
                    problem.own[task], found[len(problem.shared) :], strict=True
                ):
                    own.grad = gradient
                rows.append(torch.cat([each.flatten() for each in found[: len(problem.shared)]]))
            direction = torch.stack(_projected(rows)).sum(dim=0)
            sizes = [parameter.numel() for parameter in problem.shared]
            for parameter, part in zip(problem.shared, direction.split(sizes), strict=True):
                parameter.grad = part.view_as(parameter)

        return run

    return made


def _projected(rows):
    """Return the gradients without what conflicts with others, in random order (PCGrad)."""
    found = []
    for place, row in enumerate(rows):
        row = row.clone()
        others = [other for number, other in enumerate(rows) if number != place]
        random.shuffle(others)
        for other in others:
            inner = row @ other
            if inner < 0:
                row -= inner / (other @ other) * other
        found.append(row)
    return found


def libmtl(method):
    """Return a method of LibMTL, whose classes read attributes of its trainer's model."""
    name, options = LIBMTL[method]
    spec = find_spec("LibMTL")
    if spec is None:
        raise ImportError("LibMTL is not installed")
    folder = Path(spec.origin).parent
    for package in ("LibMTL", "LibMTL.weighting"):  # their __init__ imports all of the library
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(folder.parent / package.replace(".", "/"))]
    weighting = getattr(__import__(f"LibMTL.weighting.{name}", fromlist=[name]), name)

    def made(problem):
        found = weighting()
        found.task_num, found.device, found.rep_grad = len(problem.tasks), "cpu", False
        found.task_name = problem.tasks
        found.get_share_params = lambda: problem.shared
        found.zero_grad_share_params = lambda: [
            parameter.grad.zero_() for parameter in problem.shared if parameter.grad is not None
        ]
        return lambda losses: found.backward(torch.stack(list(losses.values())), **options)

    return made


def torchjd(method, setting):
    from torchjd import aggregation

    name = TORCHJD[method]
    if setting in SETTINGS:
        return jacobian(getattr(aggregation, name), SETTINGS[setting])
    return gramian_engine(getattr(aggregation, f"{name}Weighting"))


def contender(who, method):
    """Return the method of a contender."""
    match who.split(", "):
        case ["motet"]:
            return ours(method)
        case ["plain"]:
            return plain
        case ["by hand"]:
            return by_hand(method)
        case ["LibMTL"]:
            return libmtl(method)
        case ["torchjd", setting]:
            return torchjd(method, setting)


def contenders(method):
    """Return who takes part in a method, motet first."""
    found = ["motet", "plain"]
    if method in ("equal", "pcgrad"):
        found.append("by hand")
    if method in TORCHJD:
        found += [f"torchjd, {setting}" for setting in (*SETTINGS, "gramian engine")]
    if method in LIBMTL:
        found.append("LibMTL")
    return found


# Processes ------------------------------------------------------------------------------------


def work(who, method, model, count, threads):
    """Make a step for each line of input, and print its seconds; at the end the peak memory."""
    torch.set_num_threads(threads)
    clock = time.thread_time if threads == 1 else time.perf_counter
    problem = Problem(model, count)
    run = contender(who, method)(problem)
    print("ready", flush=True)
    for _ in sys.stdin:
        problem.reset()
        start = clock()
        run(problem.losses())
        print(clock() - start, flush=True)
    print(peak(), flush=True)


class Worker:
    """A process of one contender."""

    def __init__(self, *arguments):
        command = [sys.executable, __file__, "--work", *map(str, arguments)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.process.stdout.readline()

    def step(self):
        """Return the seconds of a step; None if the contender failed."""
        try:
            self.process.stdin.write("step\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        answer = self.process.stdout.readline()
        return float(answer) if answer else None

    def end(self):
        """Return the last line of output, which is the peak memory, and the last of the errors."""
        output, errors = self.process.communicate()
        return output.strip(), (errors.strip().splitlines() or [""])[-1]


def compare(method, model, count, rounds, threads):
    """Print what each contender takes, relative to motet."""
    workers = {who: Worker(who, method, model, count, threads) for who in contenders(method)}
    seconds = {who: [] for who in workers}
    draw = random.Random(0)
    for turn in range(rounds + 2):
        for who in draw.sample(list(workers), len(workers)):
            found = workers[who].step() if seconds[who] is not None else None
            if found is None:
                seconds[who] = None
            elif turn >= 2:  # the first steps reserve memory
                seconds[who].append(found)
    ends = {who: worker.end() for who, worker in workers.items()}
    own = seconds["motet"]
    for who, found in seconds.items():
        cells = f"{model:12}{count:3}  {method:8}{who:26}"
        if found is None:
            print(f"{cells}{ends[who][1][:100]}", flush=True)
            continue
        low, middle, high = statistics.quantiles([a / b for a, b in zip(found, own, strict=True)])
        memory = float(ends[who][0]) - float(ends["plain"][0])
        print(
            f"{cells}{statistics.median(found) * 1e3:8.2f} ms {middle:6.2f} x "
            f"({low:.2f} to {high:.2f}){memory:8.0f} MiB",
            flush=True,
        )


def main():
    if sys.argv[1:2] == ["--work"]:
        who, method, model, count, threads = sys.argv[2:]
        work(who, method, model, int(count), int(threads))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--tasks", default="3,8")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {options.threads} threads; time relative to motet")
    for model in options.models.split(","):
        for count in map(int, options.tasks.split(",")):
            for method in options.methods.split(","):
                compare(method, model, count, options.rounds, options.threads)
            print()


if __name__ == "__main__":
    main()
