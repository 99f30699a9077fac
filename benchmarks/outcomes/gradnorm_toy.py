"""The GradNorm toy problem: two tasks that differ only in their scale, 1 and 100.

y_k = s_k tanh((M + E_k) x) with x in R^250, 100 outputs, entries of M with variance 10, of E_k with
3.5, and s = 1, 100 (Chen et al., ICML 2018, arXiv:1711.02257). Four shared layers of 100, linear
heads, fresh batches of 200, Adam 1e-3, 1,500 steps. x ~ N(0, I / 250).

    python benchmarks/outcomes/gradnorm_toy.py [--quick] [--seeds 3]

Prints means over the last 50 steps of each task's loss, divided by its first, and of its weight.
The plain sum neglects the task of scale 1: its loss is 10,000 times smaller.
"""

import argparse

import torch
from torch import nn

import motet

SCALES = {"small": 1.0, "large": 100.0}
METHODS = {"equal": {}, "gradnorm": {"alpha": 0.12}, "uncertainty": {}, "imtl_g": {}, "nash": {}}


def targets(seed):
    """A function of inputs (B, 250) to targets (B, 100) by task, and the generator it drew from."""
    generator = torch.Generator().manual_seed(seed)
    common = 10**0.5 * torch.randn(100, 250, generator=generator)
    maps = {task: common + 3.5**0.5 * torch.randn(100, 250, generator=generator) for task in SCALES}
    return lambda x: {t: SCALES[t] * torch.tanh(x @ maps[t].T) for t in SCALES}, generator


def train(name, options, steps, seed):
    """Losses over the first ones (steps, 2), and weights (steps, 2)."""
    true, generator = targets(seed)
    torch.manual_seed(seed)
    layers = [(nn.Linear(before, 100), nn.ReLU()) for before in (250, 100, 100, 100)]
    encoder = nn.Sequential(*(layer for pair in layers for layer in pair))
    heads = nn.ModuleDict({task: nn.Linear(100, 100) for task in SCALES})
    balancer = motet.balancing.create(name, tasks=[*SCALES], **options)
    learned = {"params": list(balancer.parameters()), "lr": 2.5e-2}
    model = {"params": [*encoder.parameters(), *heads.parameters()]}
    optimizer = torch.optim.Adam([model, learned], lr=1e-3)
    history = {"losses": [], "weights": []}
    for _ in range(steps):
        x = torch.randn(200, 250, generator=generator) / 250**0.5
        y, features = true(x), encoder(x)
        losses = {task: (head(features) - y[task]).pow(2).mean() for task, head in heads.items()}
        optimizer.zero_grad()
        result = motet.backward(losses, balancer, shared=encoder)
        optimizer.step()
        for what, values in history.items():
            values.append([float(value) for value in getattr(result, what).values()])
    found, weights = torch.tensor(history["losses"]), torch.tensor(history["weights"])
    return found / found[0], weights


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 steps")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':12} seed   small   large    weights")
    for name, given in METHODS.items():
        for seed in range(options.seeds):
            losses, weights = train(name, given, 300 if options.quick else 1500, seed)
            small, large = losses[-50:].mean(dim=0).tolist()
            first, second = weights[-50:].mean(dim=0).tolist()
            line = f"{name:12} {seed:4} {small:7.3f} {large:7.3f}    {first:.4g} {second:.4g}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
