"""Whether `uncertainty` learns the true noise of its tasks, and the weights that follow.

Three linear targets of ten inputs, 4,000 rows, with Gaussian noise .1, 1 and 5. At the optimum of
Kendall, Gal & Cipolla (CVPR 2018, arXiv:1705.07115) s is the log of the mean squared error: sigma
is the noise, the weight 1 / (2 sigma^2). `revised` (Liebel & Körner 2018, arXiv:1805.06334) learns
another number, c^2 = (L + sqrt(L^2 + 8 L)) / 4 for a loss L, as the closed form says.

    python benchmarks/outcomes/noise_recovery.py [--quick]
"""

import argparse
import math

import torch
from torch import nn

import motet

NOISE = {"precise": 0.1, "plain": 1.0, "noisy": 5.0}


def data(seed=0, rows=4000):
    """Inputs (rows, 10) and targets by task."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, 10, generator=generator)
    slopes = torch.randn(10, len(NOISE), generator=generator)
    error = torch.randn(rows, len(NOISE), generator=generator) * torch.tensor([*NOISE.values()])
    return inputs, dict(zip(NOISE, (inputs @ slopes + error).T, strict=True))


def learn(form, steps, rate=2e-2):
    """Train one linear model on all tasks; return the balancer and the losses of the last step."""
    torch.manual_seed(0)
    inputs, targets = data()
    model = nn.Linear(10, len(NOISE))
    balancer = motet.balancing.create("uncertainty", tasks=[*NOISE], form=form)
    optimizer = torch.optim.Adam([*model.parameters(), *balancer.parameters()], lr=rate)
    for _ in range(steps):
        predicted = dict(zip(NOISE, model(inputs).T, strict=True))
        losses = {task: nn.functional.mse_loss(predicted[task], targets[task]) for task in NOISE}
        optimizer.zero_grad()
        result = motet.backward(losses, balancer)
        optimizer.step()
    return balancer, result


def expected(form, loss):
    """Closed form of the learned number at a loss."""
    square = loss if form == "kendall" else (loss + math.sqrt(loss**2 + 8 * loss)) / 4
    return math.sqrt(square)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="a fifth of the steps, five times as long"
    )
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    print(
        f"{'form':10}{'task':10}{'true noise':>12}{'learned':>10}{'closed form':>13}{'weight':>10}"
    )
    for form in ("kendall", "revised"):
        balancer, result = learn(form, *((600, 1e-1) if quick else (3000, 2e-2)))
        for task, learned in balancer.uncertainties().items():
            exact, weight = expected(form, float(result.losses[task])), float(result.weights[task])
            print(f"{form:10}{task:10}{NOISE[task]:12g}{learned:10.4g}{exact:13.4g}{weight:10.4g}")


if __name__ == "__main__":
    main()
