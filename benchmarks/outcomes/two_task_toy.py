"""The two-task toy of CAGrad, Nash-MTL and FAMO: which balancer reaches the front from which start.

Two losses of two numbers, with a valley where one task's gradient dominates the other's (Liu et
al., NeurIPS 2021, arXiv:2110.14048; Navon et al., ICML 2022, arXiv:2202.01017). A run has reached
the Pareto front if it ends with |x2 + 8.3552| < .1 and |x1| <= 7.05. Adam, learning rate 1e-3,
float64.

    python benchmarks/outcomes/two_task_toy.py [--setting nash|nash_even|cagrad] [--quick]

`nash` scales the first loss to a tenth, `nash_even` does not; `cagrad` has other starts and more
steps. `--quick` takes a tenth of the steps, each ten times as long. Prints for each start: x1 where
the run reached the front, (x1, x2) where it did not.
"""

import argparse
import functools

import torch
from descent import descend

from motet.balancing import create

NASH_STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
CAGRAD_STARTS = ((-8.5, 7.5), (-8.5, -5.0), (9.0, 9.0))
SETTINGS = {  # scale of the first loss, starts, steps
    "nash": (0.1, NASH_STARTS, 35_000),
    "nash_even": (1.0, NASH_STARTS, 35_000),
    "cagrad": (1.0, CAGRAD_STARTS, 100_000),
}
METHODS = "equal,random,famo,pcgrad,cagrad,aligned,upgrad,fairgrad,mgda,imtl_g,nash"
SHORT_MEMORY = (0.9**10, 0.999**10)  # Adam's, where one step replaces ten


def toy(points, scale):
    """Losses (N, 2) at points (N, 2)."""
    x, y = points.unbind(dim=1)
    tanh = torch.tanh(-y)
    # clamp lets the gradient pass where it is equal, so that runs do not stop at the kink at (0, 0)
    f1 = (0.5 * (-x - 7) - tanh).abs().clamp(min=5e-6).log() + 6
    f2 = (0.5 * (-x + 3) + tanh + 2).abs().clamp(min=5e-6).log() + 6
    q1 = ((7 - x) ** 2 + 0.1 * (y + 8) ** 2) / 10 - 20
    q2 = ((x + 7) ** 2 + 0.1 * (y + 8) ** 2) / 10 - 20
    c1, c2 = torch.tanh(y / 2).clamp(min=0), torch.tanh(-y / 2).clamp(min=0)
    return torch.stack((scale * (c1 * f1 + c2 * q1), c1 * f2 + c2 * q2), dim=1)


def balancer(name, setting):
    scale, *_ = SETTINGS[setting]
    options = {
        "cagrad": {"c": 0.5 if setting == "cagrad" else 0.4},
        "famo": {"gamma": 1e-3, "lower_bounds": {"one": -21 * scale, "two": -21}},
    }
    return create(name, ["one", "two"], **options.get(name, {})).double()


def reached(points):
    return ((points[:, 1] + 8.3552).abs() < 0.1) & (points[:, 0].abs() <= 7.05)


def outcomes(setting, methods, quick=False):
    """Where each method ends from each start, {method: (starts, 2)}."""
    scale, starts, steps = SETTINGS[setting]
    adam = functools.partial(torch.optim.Adam, lr=1e-3)
    if quick:
        steps, adam = steps // 10, functools.partial(adam, lr=1e-2, betas=SHORT_MEMORY)
    runs = [(balancer(name, setting), start) for name in methods for start in starts]
    ends = descend(functools.partial(toy, scale=scale), runs, steps, adam)
    return dict(zip(methods, ends.split(len(starts)), strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setting", choices=SETTINGS, default="nash")
    parser.add_argument("--methods", help="names, separated by commas", default=METHODS)
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    starts = SETTINGS[options.setting][1]
    print(f"{'':10} front  " + "".join(f"{f'from {x:g}, {y:g}':>16}" for x, y in starts))
    found = outcomes(options.setting, options.methods.split(","), options.quick)
    for name, ends in found.items():
        there = reached(ends).tolist()
        cells = [
            f"{x:.2f}" if on_front else f"({x:.2f}, {y:.2f})"
            for (x, y), on_front in zip(ends.tolist(), there, strict=True)
        ]
        print(f"{name:10} {sum(there)} of {len(there)}" + "".join(f"{c:>16}" for c in cells))


if __name__ == "__main__":
    main()
