"""Three tasks from images: which digit, is it even, how much ink; 1,797 real 8x8 images.

The images come with scikit-learn (pip install scikit-learn); nothing is downloaded. A small
convolutional network is shared. Half of the parity labels are missing, so that task relies on the
others. Ink is standardised: otherwise its loss would dominate the other tasks. Prints each task's
metrics on held-out images, compared with a baseline that ignores the image.
"""

import numpy as np
import torch
from torch import nn

import motet

try:
    from sklearn.datasets import load_digits
except ImportError:
    raise SystemExit("this example needs scikit-learn: pip install scikit-learn") from None


def main() -> None:
    """Train on 1,100 images, choose the epoch on 200, evaluate on the rest."""
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.images))
    images = (bunch.images[order, None] / 16).astype("float32")  # (N, 1, 8, 8), in [0, 1]
    digit = bunch.target[order]
    parity = digit % 2
    parity[:1300:2] = -100  # not labelled
    mass = images.sum(axis=(1, 2, 3))
    mean, std = mass[:1100].mean(), mass[:1100].std()  # of the training rows
    labels = {"digit": digit, "parity": parity, "mass": (mass - mean) / std}
    train, validation, test = (
        (images[part], {task: values[part] for task, values in labels.items()})
        for part in (slice(0, 1100), slice(1100, 1300), slice(1300, None))
    )

    torch.manual_seed(0)
    encoder = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 64),
        nn.ReLU(),
    )
    tasks = [
        motet.tasks.Classification("digit", classes=10, metrics=["accuracy", "macro_f1"]),
        motet.tasks.Classification("parity", classes=["even", "odd"], metrics=["accuracy"]),
        motet.tasks.Regression("mass", metrics=["r2", "mae"], scaling=(mean, std)),
    ]
    model = motet.MultiTaskModel(encoder, tasks)
    trainer = motet.Trainer(model, "uncertainty", learning_rate=5e-3, batch_size=50)
    history = trainer.fit(train, validation, epochs=6)

    report = trainer.evaluate(test)
    print("best epoch:", history.best_epoch)
    for task in model.tasks.names:
        for metric, trivial in report.trivial[task].items():
            print(f"{task} {metric}: {report[task][metric]:.3f} (ignoring the image {trivial:.3f})")
    print("training images:", len(train[0]), "with parity:", (train[1]["parity"] >= 0).sum())


if __name__ == "__main__":
    main()
