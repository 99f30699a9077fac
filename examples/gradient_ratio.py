"""The gradient-ratio penalty in a plain loop: no task's gradient is much longer than the other's.

One task's loss is 16 times as large, as its numbers are in a finer unit, so its gradient dominates
the other's. The penalty adds to the losses alpha times how unequal the lengths of the two gradients
on the last shared layer are, and is differentiated with them, through second derivatives. Trains
from the same start with alpha = 0, the plain sum, and with alpha = 0.12. Prints the ratio of the
longer gradient to the shorter, the median over the steps, and each task's loss compared with that
of predicting its mean. The penalty brings the lengths closer; whether that helps the tasks is
another question, and here the plain sum ends with the lower losses.
"""

import torch
from torch import Tensor, nn

import motet

TASKS = ("fine", "coarse")


def main() -> None:
    """Train without the penalty, and with it."""
    generator = torch.Generator().manual_seed(0)
    inputs, mixing = (torch.randn(size, generator=generator) for size in ((512, 6), (6, 2)))
    truth = torch.tanh(inputs @ mixing)
    targets = {"fine": 4 * truth[:, :1], "coarse": truth[:, 1:]}
    for alpha in (0.0, 0.12):
        train(inputs, targets, alpha)


def train(inputs: Tensor, targets: dict[str, Tensor], alpha: float) -> None:
    """Train a model, and print the results."""
    torch.manual_seed(1)
    encoder = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh())
    heads = nn.ModuleDict({task: nn.Linear(16, 1) for task in TASKS})
    balancer = motet.balancing.create("gradient_ratio", tasks=TASKS, alpha=alpha)
    optimizer = torch.optim.Adam([*encoder.parameters(), *heads.parameters()], lr=3e-3)

    def losses_of(rows: slice) -> dict[str, Tensor]:
        features = encoder(inputs[rows])
        return {
            task: nn.functional.mse_loss(head(features), targets[task][rows])
            for task, head in heads.items()
        }

    ratios = []
    for step in range(200):
        start = 64 * (step % 8)
        losses = losses_of(slice(start, start + 64))
        ratios.append(ratio_of(losses, encoder[2].weight))
        optimizer.zero_grad()
        motet.backward(losses, balancer)  # in place of sum(losses).backward()
        optimizer.step()

    ratio = torch.tensor(ratios).median()
    losses = losses_of(slice(None))
    printed = (f"{t} loss {losses[t]:.3f} (mean {targets[t].var():.2f})" for t in TASKS)
    print(f"alpha {alpha}: longer gradient {ratio:.2f} times the other", *printed, sep="  ")


def ratio_of(losses: dict[str, Tensor], layer: Tensor) -> float:
    """Return the ratio of the longer gradient on a layer to the shorter."""
    lengths = [
        torch.autograd.grad(loss, layer, retain_graph=True)[0].norm() for loss in losses.values()
    ]
    return float(max(lengths) / min(lengths))


if __name__ == "__main__":
    main()
