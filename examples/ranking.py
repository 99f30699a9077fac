"""Rank the results of searches, beside a task that predicts their price.

Made-up data: within each search, results that match better are more relevant; some results have no
label. The three forms of the ranking loss are trained, each with the price, on the same data, in
batches that never cut a search. Prints NDCG on searches that training has not seen, and what a
random order would have.
"""

import numpy as np
import torch
from torch import nn

import motet


def main() -> None:
    """Train each form, and compare them on new searches."""
    train, test = searches(300, seed=0), searches(100, seed=1)
    for form in ("pointwise", "pairwise", "listwise"):
        torch.manual_seed(0)
        tasks = [
            motet.tasks.Ranking("relevance", form=form, metrics=["ndcg", "ndcg@3"]),
            motet.tasks.Regression("price"),
        ]
        model = motet.MultiTaskModel(nn.Sequential(nn.Linear(6, 32), nn.ReLU()), tasks)
        trainer = motet.Trainer(model, batch_size=100, learning_rate=1e-2)
        trainer.fit(train, epochs=8)
        report = trainer.evaluate(test)
        own = report["relevance"]
        print(
            f"{form:<12} ndcg {own['ndcg']:.3f}  ndcg@3 {own['ndcg@3']:.3f}  "
            f"price r2 {report['price']['r2']:.3f}"
        )
    trivial = report.trivial["relevance"]
    print(f"random order ndcg {trivial['ndcg']:.3f}  ndcg@3 {trivial['ndcg@3']:.3f}")


def searches(count: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Make the results of searches, in no order."""
    rng = np.random.default_rng(seed)
    query = rng.permutation(np.repeat(np.arange(count), rng.integers(4, 12, count)))
    x = rng.normal(size=(len(query), 6)).astype("float32")
    relevance = np.clip(np.round(1.5 * x[:, 0] - x[:, 1] + 0.3 * rng.normal(size=len(x))), 0, 3)
    relevance[rng.random(len(x)) < 0.1] = np.nan  # not labelled
    price = x[:, 2] + x[:, 0] + 0.2 * rng.normal(size=len(x))
    return x, {"relevance": np.stack([relevance, query], axis=1), "price": price}


if __name__ == "__main__":
    main()
