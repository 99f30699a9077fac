"""Concave fronts: a weighted sum reaches only the ends, `stch` and gradient methods the rest.

ZDT2 (Zitzler, Deb & Thiele 2000) has 30 numbers and the front f2 = 1 - f1^2; the problem of Fonseca
& Fleming (1995), here with 3, the front f1 = 1 - exp(-(t - 1)^2), f2 = 1 - exp(-(t + 1)^2) for t
between -1 and 1. Where a front is concave, the minimum of any weighted sum is one of its ends.

    python benchmarks/outcomes/concave_fronts.py [--quick]

Eleven runs each: `manual` and `stch` with eleven ratios of task weights, the others with weights of
1. Starts are random; *ZDT2 near* starts close to the front, f1 spread evenly. *on the front*: runs
that end within .01 of it. *inside*: of these, f1 between .05 and .9. *largest gap* between
neighbouring f1 on the front, ends included: 1 if only ends are reached, .1 if spread evenly.
"""

import argparse
import functools

import torch
from descent import descend

from motet.balancing import create

SHARES = torch.linspace(0.02, 0.98, 11, dtype=torch.float64).tolist()


def zdt2(numbers):
    """Losses (N, 2) at N x 30 numbers, which stand for x = sin^2 in [0, 1]."""
    x = numbers.sin() ** 2
    f1, g = x[:, 0], 1 + 9 / (x.shape[1] - 1) * x[:, 1:].sum(dim=1)
    return torch.stack((f1, g * (1 - (f1 / g) ** 2)), dim=1)


def zdt2_front(f1):
    return 1 - f1**2


def fonseca(x):
    """Losses (N, 2) at points (N, P)."""
    centre = x.shape[1] ** -0.5
    return torch.stack([1 - (-((x - s * centre) ** 2).sum(dim=1)).exp() for s in (1, -1)], dim=1)


def fonseca_front(f1):
    """The other loss on the front, where t = 1 - sqrt(-log(1 - f1))."""
    t = 1 - (-torch.log1p(-f1)).clamp(min=0).sqrt()
    return 1 - (-((t + 1) ** 2)).exp()


def anywhere(count, generator):
    return torch.rand(count, 30, generator=generator, dtype=torch.float64).sqrt().asin()


def near(count, generator):
    """f1 spread evenly, g = 1.45."""
    x = torch.full((count, 30), 0.05, dtype=torch.float64)
    x[:, 0] = torch.linspace(0.05, 0.95, count)
    return x.sqrt().asin()


def fonseca_starts(count, generator):
    return 1.6 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 0.8


PROBLEMS = {
    "ZDT2": (zdt2, zdt2_front, anywhere),
    "ZDT2 near": (zdt2, zdt2_front, near),
    "Fonseca": (fonseca, fonseca_front, fonseca_starts),
}
METHODS = ("manual", "stch", "pcgrad", "upgrad", "mgda", "imtl_g", "nash")


def balancers(name):
    """Return one per run: with the weights of SHARES where the method has weights, else equal."""
    for share in SHARES:
        if name == "manual":
            yield create(name, ["one", "two"], weights={"one": share, "two": 1 - share})
        elif name == "stch":
            stch = create(name, ["one", "two"], mu=0.05).double()
            stch(torch.ones(2))  # the nadir, the same for all runs
            stch.set_weight("one", 2 * share)
            stch.set_weight("two", 2 - 2 * share)
            yield stch
        else:
            yield create(name, ["one", "two"])


def ends(problem, name, steps, rate=1e-2):
    """Losses (runs, 2) at which a method ends."""
    losses, _, draw = PROBLEMS[problem]
    starts = draw(len(SHARES), torch.Generator().manual_seed(0)).tolist()
    runs = list(zip(balancers(name), starts, strict=True))
    adam = functools.partial(torch.optim.Adam, lr=rate)
    return losses(descend(losses, runs, steps, adam, decay=True))


def judged(problem, found):
    """Return how many final losses (runs, 2) are on the front, how many inside, the largest gap."""
    front = PROBLEMS[problem][1]
    f1 = found[(found[:, 1] - front(found[:, 0])).abs() < 0.01, 0]
    inside = (f1 > 0.05) & (f1 < 0.9)
    reached, _ = torch.cat((f1, f1.new_tensor([0.0, 1.0]))).sort()
    return len(f1), int(inside.sum()), float(reached.diff().max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the steps")
    steps = 500 if parser.parse_args().quick else 2000
    torch.set_num_threads(1)
    print(f"{'':18}{'on the front':>14}{'inside':>8}{'largest gap':>13}   f1")
    for problem in PROBLEMS:
        for name in METHODS:
            found = ends(problem, name, steps)
            on, inside, gap = judged(problem, found)
            f1 = " ".join(f"{value:.2f}" for value in found[:, 0].sort().values.tolist())
            print(f"{problem:10}{name:8}{on:8} of {len(found)}{inside:8}{gap:13.2f}   {f1}")


if __name__ == "__main__":
    main()
