"""Two quadratics in conflict: does each balancer stop on the Pareto set, and where on it?

L_k = 1/2 (x - a_k)' H_k (x - a_k) with H = diag(1, 4), diag(3, 1) and a = (1, 0), (-1, 2). Weights
w on the simplex have their minimum at (sum w_k H_k)^-1 sum w_k H_k a_k; these points are the Pareto
set. The sum has (-.5, .4). Plain gradient descent, float64, nine starts on a grid, a learning rate
that decays to 0.

    python benchmarks/outcomes/quadratics.py [--quick]

*off the set*: largest distance of an end from the Pareto set. *off the sum's minimum*: largest
distance from (-.5, .4). For a method that stops anywhere on the set, the latter depends on the
start.
"""

import argparse
import functools
import itertools

import torch
from descent import descend

from motet.balancing import create

HESSIANS = torch.tensor([[1.0, 4.0], [3.0, 1.0]], dtype=torch.float64)  # diagonals
CENTRES = torch.tensor([[1.0, 0.0], [-1.0, 2.0]], dtype=torch.float64)
STARTS = tuple(itertools.product((-3.0, 0.0, 3.0), repeat=2))
METHODS = (
    "equal random pcgrad gradvac cagrad aligned upgrad dualproj conflict_free fairgrad mgda imtl_g "
    "nash moco"
)


def losses(points):
    """Losses (N, 2) at points (N, 2)."""
    return 0.5 * ((points[:, None] - CENTRES) ** 2 * HESSIANS).sum(dim=2)


def pareto_points(weights):
    """Minimum (N, 2) of the losses under weights (N, 2)."""
    return (weights @ (HESSIANS * CENTRES)) / (weights @ HESSIANS)


def distance_to_set(points):
    """Distance of points (N, 2) from the Pareto set, to about 1e-5."""
    first = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    return torch.cdist(points, pareto_points(torch.stack((first, 1 - first), 1))).amin(dim=1)


def ends(name, steps, rate=0.1, **options):
    """Where a method ends from each start, (starts, 2)."""
    runs = [(create(name, ["one", "two"], **options), start) for start in STARTS]
    return descend(losses, runs, steps, functools.partial(torch.optim.SGD, lr=rate), decay=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the steps")
    steps = 200 if parser.parse_args().quick else 1000
    torch.set_num_threads(1)
    print(f"{'':18}{'off the set':>12}{'off the sum minimum':>22}")
    for name in METHODS.split():
        found = ends(name, steps)
        off_sum = (found - torch.tensor([-0.5, 0.4])).norm(dim=1).max()
        print(f"{name:18}{distance_to_set(found).max():12.1e}{off_sum:22.1e}")
    print("\nmanual weights: largest distance from the closed form")
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        weights = {"one": share, "two": 1 - share}
        exact = pareto_points(torch.tensor([[*weights.values()]], dtype=torch.float64))
        off = (ends("manual", steps, weights=weights) - exact).norm(dim=1).max()
        print(
            f"{share:.1f} : {1 - share:.1f}  at ({exact[0, 0]:.4f}, {exact[0, 1]:.4f}) {off:10.1e}"
        )


if __name__ == "__main__":
    main()
