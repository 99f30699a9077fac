"""Three tasks from images: which digit, is it even, how much ink; 1,797 real 8x8 images.

The images come with scikit-learn (pip install scikit-learn); nothing is downloaded. A small
convolutional network is shared. Half of the parity labels are missing, so that task leans on the
others. Prints each task's metrics on images that training never saw, beside a predictor that
ignores the image.
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
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.images))
    images = (bunch.images[order, None] / 16).astype("float32")  # (N, 1, 8, 8), in [0, 1]
    digit = bunch.target[order]
    parity = digit % 2
    parity[:1300:2] = -100  # not labelled
    mass = images.mean(axis=(1, 2, 3)) * 10
    labels = {"digit": digit, "parity": parity, "mass": mass}
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
        motet.tasks.Regression("mass", metrics=["r2", "mae"]),
    ]
    model = motet.MultiTaskModel(encoder, tasks)
    trainer = motet.Trainer(model, "uncertainty", learning_rate=5e-3, batch_size=50)
    history = trainer.fit(train, validation, epochs=6)

    report = trainer.evaluate(test)
    print("best epoch:", history.best_epoch)
    for task in model.tasks.names:
        for metric, trivial in report.trivial[task].items():
            print(f"{task} {metric}: {report[task][metric]:.3f} (ignoring the image {trivial:.3f})")
    print("training labels:", {task: int((y != -100).sum()) for task, y in train[1].items()})


if __name__ == "__main__":
    main()
