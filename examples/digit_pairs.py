"""Two digits drawn over each other as one image: which is the left one, which is the right one?

The digits are the 1,797 real ones of scikit-learn (pip install scikit-learn pillow); those of the
training, validation and test pairs are different digits. The images are PNG files in a column of
bytes, and the model is examples/digit_pairs.yaml. Prints the test accuracy of each task, of one
model for both tasks beside a model for each task alone, for every seed.
"""

import argparse
import io
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

import motet

try:
    from PIL import Image
    from sklearn.datasets import load_digits
except ImportError:
    raise SystemExit("this example needs: pip install scikit-learn pillow") from None

CONFIG = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
PAIRS = {"train": (1200, 3000), "validation": (200, 600), "test": (397, 1000)}
"""By split, how many digits there are, and how many pairs are drawn of them."""


def pairs() -> pa.Table:
    """Draw pairs of digits: the left one at the top, the right one below, over half of it."""
    bunch = load_digits()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(bunch.images))
    columns: dict[str, list[object]] = {"picture": [], "left": [], "right": [], "split": []}
    first = 0
    for split, (digits, count) in PAIRS.items():
        own, first = order[first : first + digits], first + digits
        for left, right in rng.choice(own, (count, 2)):
            canvas = np.zeros((10, 12))
            canvas[:8, :8] = bunch.images[left]
            canvas[2:, 4:] = np.maximum(canvas[2:, 4:], bunch.images[right])
            file = io.BytesIO()
            Image.fromarray((canvas * 255 / 16).astype(np.uint8)).save(file, "PNG")
            columns["picture"].append(file.getvalue())
            columns["left"].append(f"digit {bunch.target[left]}")
            columns["right"].append(f"digit {bunch.target[right]}")
            columns["split"].append(split)
    return pa.table(columns)


def accuracies(tasks: list[str], rows: pa.Table, seed: int) -> dict[str, float]:
    """Train one model for some tasks; return the accuracy of each on the test rows."""
    config = {**CONFIG, "tasks": {task: CONFIG["tasks"][task] for task in tasks}}
    with tempfile.TemporaryDirectory() as folder:
        run = motet.train(
            config, data=rows, overrides=[f"training.seed={seed}"], output=f"{folder}/run"
        )
        report = run.evaluate(rows, split="test")
    return {task: report[task]["accuracy"] for task in tasks}


def main() -> None:
    """Compare one model for both tasks with one model for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    rows, found = pairs(), []
    for seed in range(parser.parse_args().seeds):
        both = accuracies(["left", "right"], rows, seed)
        alone = accuracies(["left"], rows, seed) | accuracies(["right"], rows, seed)
        found.append((both, alone))
        for task in both:
            print(f"seed {seed}  {task:5}  both {both[task]:.3f}  alone {alone[task]:.3f}")
    for task in ("left", "right"):
        both, alone = (np.mean([each[way][task] for each in found]) for way in (0, 1))
        print(f"mean    {task:5}  both {both:.3f}  alone {alone:.3f}")


if __name__ == "__main__":
    main()
