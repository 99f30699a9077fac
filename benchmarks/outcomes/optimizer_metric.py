"""Do balancers decide better in the metric of Adam than on plain gradients?

Adam divides the direction d by the root of a running mean of squares, so that a step makes D d with
a diagonal D. A method that keeps d from opposing any task's gradient keeps D d from it only if it
compares gradients by the inner products of D, the Gramian J D J'. Directions are linear in the
gradients, so this is the same as balancing the rows J S, S = sqrt(D), and dividing the result by S.

quadratics  two quadratics of 20 numbers, curvatures from 1 to 1e4 along the axes, 20 starts
toy         the two-task toy with the setting of Nash-MTL, as two_task_toy.py --quick
adult       census data, three tasks, an MLP; 5 seeds, chosen on nothing, epochs fixed

Prints for each method, on plain gradients and in Adam's metric: the share of steps whose D d
opposes the gradient of some task; and what it reached: on quadratics the mean over starts of the
distance to the front (the norm of the shortest convex combination of gradients in the metric of the
curvatures, so that 0 is optimal), on the toy how many of five starts reached the front, on adult
the mean test score of the tasks (AUROC, AUROC, R2).

    OMP_NUM_THREADS=1 python benchmarks/outcomes/optimizer_metric.py [--parts quadratics toy adult]
        [--seeds 5] [--quick]
"""

import argparse
import statistics

import numpy as np
import torch
from sklearn.metrics import r2_score, roc_auc_score
from torch import nn
from torch.nn import functional as F
from two_task_toy import NASH_STARTS, SHORT_MEMORY, reached, toy

from motet.analysis import interval
from motet.balancing import combine, create
from motet.data.sources import read

METHODS = ("equal", "pcgrad", "cagrad", "mgda", "upgrad", "imtl_g")
EPS = 1e-8


class Adam:
    """Adam on one vector, which shows the diagonal D of its step before it is made."""

    def __init__(self, point, rate, betas=(0.9, 0.999)):
        self.rate, self.betas, self.steps = rate, betas, 0
        self.mean, self.squares = torch.zeros_like(point), torch.zeros_like(point)

    def metric(self):
        """Return D of the steps so far; 1 before the first."""
        if self.steps == 0:
            return torch.ones_like(self.squares)
        return 1 / ((self.squares / (1 - self.betas[1] ** self.steps)).sqrt() + EPS)

    def step(self, point, direction):
        self.steps += 1
        self.mean.lerp_(direction, 1 - self.betas[0])
        self.squares.lerp_(direction.square(), 1 - self.betas[1])
        return point - self.rate * self.metric() * self.mean / (1 - self.betas[0] ** self.steps)


def balanced(rows, balancer, losses, scale):
    """Return the direction from rows (T, P), compared in the metric of a scale S (P,)."""
    return combine(rows * scale, balancer, losses) / scale


def descend(problem, point, balancer, adam, steps, in_metric, decay=False):
    """Return where Adam ends, and the share of steps that oppose a task."""
    opposing, rate = 0, adam.rate
    for step in range(steps):
        losses, rows = problem(point)
        metric = adam.metric()
        scale = metric.sqrt() if in_metric else torch.ones_like(metric)
        direction = balanced(rows, balancer, losses, scale)
        inner = rows @ (metric * direction)
        sizes = (rows.square() @ metric).sqrt() * (direction.square() @ metric).sqrt()
        opposing += bool((inner < -1e-6 * sizes).any())
        if decay:
            adam.rate = rate * (1 - step / steps)
        point = adam.step(point, direction)
    return point, opposing / steps


# Problems ------------------------------------------------------------------------------------


def quadratics(method, in_metric, quick):
    curvature = torch.logspace(0, 4, 20, dtype=torch.float64)
    shares, distances = [], []
    for seed in range(4 if quick else 20):
        generator = torch.Generator().manual_seed(seed)
        centres = torch.randn(2, 20, generator=generator, dtype=torch.float64)

        def problem(point, centres=centres):
            gap = point - centres
            return (gap.square() @ curvature) / 2, gap * curvature

        start = 3 * torch.randn(20, generator=generator, dtype=torch.float64)
        balancer = create(method, ["one", "two"]).double()
        end, share = descend(
            problem, start, balancer, Adam(start, 0.03), 500, in_metric, decay=True
        )
        _, rows = problem(end)
        inner = (rows / curvature) @ rows.T
        weight = (
            (inner[1, 1] - inner[0, 1]) / (inner[0, 0] + inner[1, 1] - 2 * inner[0, 1])
        ).clamp(0, 1)
        mix = torch.stack([weight, 1 - weight])
        shares.append(share)
        distances.append(float((mix @ inner @ mix).clamp(min=0).sqrt()))
    return statistics.mean(shares), f"{statistics.mean(distances):.4f}"


def two_tasks(method, in_metric, quick):
    def problem(point):
        point = point.detach().requires_grad_()
        losses = toy(point.unsqueeze(0), 0.1)[0]
        rows = [torch.autograd.grad(loss, point, retain_graph=True)[0] for loss in losses]
        return losses.detach(), torch.stack(rows)

    ends, shares = [], []
    for start in NASH_STARTS:
        balancer = create(method, ["one", "two"]).double()
        start = torch.tensor(start, dtype=torch.float64)
        adam = Adam(start, 1e-2, SHORT_MEMORY)
        end, share = descend(problem, start, balancer, adam, 350 if quick else 3500, in_metric)
        ends.append(end)
        shares.append(share)
    return statistics.mean(shares), f"{int(reached(torch.stack(ends)).sum())} of 5"


class Census:
    """Rows of adult as numbers, and its three targets, on the device of training."""

    def __init__(self):
        frame = read("motet://adult").to_pandas()
        train = (frame["split"] == "train").to_numpy()
        labels = ["income", "never_married", "hours_per_week"]
        numbers = frame.drop(columns=[*labels, "split"]).select_dtypes("number")
        texts = frame.drop(columns=[*labels, "split", *numbers]).fillna("").astype(str)
        x = np.log1p(numbers.to_numpy(dtype=float))
        x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
        hot = [
            np.asarray(texts[name].to_numpy()[:, None] == np.unique(texts[name])) for name in texts
        ]
        y = np.stack([frame[name].astype("category").cat.codes for name in labels[:2]], axis=1)
        hours = frame["hours_per_week"].to_numpy(dtype=float)[:, None]
        hours = (hours - hours[train].mean()) / hours[train].std()
        self.x = torch.tensor(np.concatenate([x, *hot], axis=1), dtype=torch.float32)
        self.y = torch.tensor(np.concatenate([y, hours], axis=1), dtype=torch.float32)
        self.train = torch.from_numpy(np.flatnonzero(train))
        self.test = torch.from_numpy(np.flatnonzero(~train))


def census(data, method, in_metric, seed, quick):
    torch.manual_seed(seed)
    encoder = nn.Sequential(
        nn.Linear(data.x.shape[1], 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()
    )
    head = nn.Linear(64, 3)
    shared = list(encoder.parameters())
    point = nn.utils.parameters_to_vector(shared).detach()
    adam, heads = Adam(point, 1e-3), torch.optim.Adam(head.parameters(), 1e-3)
    balancer = create(method, ["income", "never_married", "hours_per_week"])
    opposing = steps = 0
    for _ in range(1 if quick else 5):
        for batch in torch.randperm(len(data.train)).split(256):
            rows_of = data.train[batch]
            raw, target = head(encoder(data.x[rows_of])), data.y[rows_of]
            losses = [
                *(F.binary_cross_entropy_with_logits(raw[:, k], target[:, k]) for k in (0, 1)),
                F.mse_loss(raw[:, 2], target[:, 2]),
            ]
            found = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses]
            rows = torch.stack([torch.cat([g.flatten() for g in each]) for each in found])
            heads.zero_grad()
            for parameter, gradient in zip(
                head.parameters(),
                torch.autograd.grad(sum(losses), list(head.parameters())),
                strict=True,
            ):
                parameter.grad = gradient
            metric = adam.metric().clamp(max=1e8)
            scale = metric.sqrt() if in_metric else torch.ones_like(metric)
            direction = balanced(rows, balancer, torch.stack(losses).detach(), scale)
            inner = (rows * metric).double() @ direction.double()
            opposing += bool((inner < 0).any())
            steps += 1
            point = adam.step(point, direction)
            nn.utils.vector_to_parameters(point, shared)
            heads.step()
    with torch.no_grad():
        raw, target = head(encoder(data.x[data.test])).numpy(), data.y[data.test].numpy()
    scores = [roc_auc_score(target[:, k], raw[:, k]) for k in (0, 1)]
    return opposing / steps, statistics.mean([*scores, r2_score(target[:, 2], raw[:, 2])])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("quadratics", "toy", "adult")
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fewer starts, steps and epochs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for part in options.parts:
        print(f"\n{part}: steps that oppose a task, and the result; plain, and in Adam's metric")
        data = Census() if part == "adult" else None
        for method in options.methods:
            cells = []
            if part == "adult":
                both = [
                    [
                        census(data, method, own, seed, options.quick)
                        for seed in range(options.seeds)
                    ]
                    for own in (False, True)
                ]
                for runs in both:
                    share, score = (statistics.mean(each) for each in zip(*runs, strict=True))
                    cells.append(f"{share:6.1%} {score:.4f}")
                gains = [own[1] - plain[1] for plain, own in zip(*both, strict=True)]
                found = interval(gains)
                cells.append(
                    f"difference {found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
                )
            else:
                solve = quadratics if part == "quadratics" else two_tasks
                for own in (False, True):
                    share, result = solve(method, own, options.quick)
                    cells.append(f"{share:6.1%} {result}")
            print(f"{method:8} " + "   ".join(cells), flush=True)


if __name__ == "__main__":
    main()
