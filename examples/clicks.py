"""Clicks and purchases: a purchase is known only after a click, and is predicted for every row.

The probability of a click and a purchase is a product, trained on all rows (ESMM: Ma et al., SIGIR
2018, arXiv:1804.07931); purchase given click has no labels of its own. For comparison, a model is
trained on the rows with a click alone. Here both predict purchase given click for all new rows
about equally well, with mean errors below 0.08; the first one predicts click and purchase, too.
"""

import torch
from torch import nn

import motet
from motet.tasks import Classification


def rows(count, seed):
    """Make users who click if they are curious, and who buy after a click if they are also rich."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=generator)
    buys = (2 * x[:, 1] - x[:, 0] * x[:, 2]).sigmoid()  # purchase given click
    click = torch.rand(count, generator=generator) < (2 * x[:, 0] - 1).sigmoid()
    buy = click & (torch.rand(count, generator=generator) < buys)
    return x, click.long(), buy.long(), buys


def trained(tasks, x, targets):
    """Train a model of some tasks."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
    model = motet.MultiTaskModel(encoder, tasks)
    motet.Trainer(model, learning_rate=3e-3, batch_size=256).fit((x, targets), epochs=15)
    return model.eval()


def main():
    """Compare both models on new rows."""
    x, click, buy, _ = rows(6000, seed=0)
    new, _, _, truth = rows(4000, seed=1)
    product = trained(
        [
            Classification("click", classes=2),
            Classification("purchase", classes=2, product=["click", "purchase_given_click"]),
            Classification("purchase_given_click", classes=2, latent=True),
        ],
        x,
        {"click": click, "purchase": buy},
    )
    after_click = buy.where(click == 1, -100)  # in a config: rows: click == 1
    alone = trained(
        [Classification("purchase_given_click", classes=2)],
        x,
        {"purchase_given_click": after_click},
    )
    for name, model in (("product", product), ("clicked rows alone", alone)):
        with torch.no_grad():
            found = model(new)["purchase_given_click"].softmax(-1)[:, 1]
        print(f"{name}: mean error {(found - truth).abs().mean():.3f} on all new rows")


if __name__ == "__main__":
    main()
