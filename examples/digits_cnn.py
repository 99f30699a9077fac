"""Which digit is it, and is it even? Two tasks on images in files, through a convolutional network.

The digits are the 1,797 real ones of scikit-learn (pip install scikit-learn pillow), written as
image files beside a table of their paths and labels; the model is examples/digits_cnn.yaml. Half
of the parity labels are missing in training, so that task relies on the other. Prints the test
accuracy of each task, of one model for both beside a model for each task alone, for every seed.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
import yaml

import motet

try:
    from PIL import Image
    from sklearn.datasets import load_digits
except ImportError:
    raise SystemExit("this example needs: pip install scikit-learn pillow") from None

CONFIG = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
SPLITS = ["train"] * 900 + ["validation"] * 200 + ["test"] * 697


def write_digits(folder: Path) -> Path:
    """Write every digit as an image file; return the path of the table that names them."""
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.images))
    path = folder / "digits.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["scan", "digit", "parity", "split"])
        for number, (row, split) in enumerate(zip(order, SPLITS, strict=True)):
            name = f"{number}.png"
            Image.fromarray((bunch.images[row] * 255 / 16).astype(np.uint8)).save(folder / name)
            parity = "odd" if bunch.target[row] % 2 else "even"
            labelled = split != "train" or number % 2
            digit = f"digit {bunch.target[row]}"
            table.writerow([name, digit, parity if labelled else "", split])
    return path


def accuracies(tasks: list[str], rows: Path, seed: int) -> dict[str, float]:
    """Train one model for some tasks; return the accuracy of each on the test rows."""
    config = {
        **CONFIG,
        "data": {**CONFIG["data"], "source": str(rows)},
        "tasks": {task: CONFIG["tasks"][task] for task in tasks},
    }
    output = rows.parent / f"{'-'.join(tasks)}-{seed}"
    run = motet.train(config, overrides=[f"training.seed={seed}"], output=output)
    report = run.evaluate(rows, split="test")
    return {task: report[task]["accuracy"] for task in tasks}


def main() -> None:
    """Compare one model for both tasks with one model for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    seeds, found = parser.parse_args().seeds, []
    with tempfile.TemporaryDirectory() as folder:
        rows = write_digits(Path(folder))
        for seed in range(seeds):
            both = accuracies(["digit", "parity"], rows, seed)
            alone = accuracies(["digit"], rows, seed) | accuracies(["parity"], rows, seed)
            found.append((both, alone))
            for task in both:
                print(f"seed {seed}  {task:6}  both {both[task]:.3f}  alone {alone[task]:.3f}")
    for task in ("digit", "parity"):
        both, alone = (np.mean([each[way][task] for each in found]) for way in (0, 1))
        print(f"mean    {task:6}  both {both:.3f}  alone {alone:.3f}")


if __name__ == "__main__":
    main()
