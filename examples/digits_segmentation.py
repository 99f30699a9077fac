"""Labels of pixels: the digit that each belongs to, and its distance to the nearest stroke.

One of scikit-learn's 8 x 8 digits (pip install scikit-learn pillow) is drawn somewhere on a noisy
canvas of 16 x 16 pixels; faint pixels at the edge of a stroke have no class. The model is
examples/digits_segmentation.yaml. Prints mean IoU and mean absolute error in pixels on test
canvases, whose digits no training canvas has, of one model for both tasks beside one for each.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import motet

try:
    from sklearn.datasets import load_digits
except ImportError:
    raise SystemExit("this example needs: pip install scikit-learn pillow") from None

CONFIG = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
SIDE = 16
METRICS = {"digit": "mean_iou", "distance": "mae"}


def canvases(train: int = 1000, validation: int = 200, test: int = 400) -> dict[str, list[Any]]:
    """Draw canvases, each of a digit of its own, with their labels, as lists of lists."""
    rng, bunch = np.random.default_rng(0), load_digits()
    splits = np.repeat(["train", "validation", "test"], [train, validation, test]).tolist()
    chosen = rng.permutation(len(bunch.images))[: len(splits)]
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1)
    rows: dict[str, list[Any]] = {"image": [], "digit": [], "distance": [], "split": splits}
    for row in chosen:
        canvas, classes = rng.normal(40, 25, (SIDE, SIDE)), np.zeros((SIDE, SIDE), int)
        top, left = rng.integers(SIDE - 7, size=2)
        place, strength = np.s_[top : top + 8, left : left + 8], bunch.images[row]
        canvas[place] += 11 * strength
        label = np.where(strength >= 8, bunch.target[row] + 1, 0)
        classes[place] = np.where((strength > 2) & (strength < 8), 255, label)
        strokes = np.argwhere((classes > 0) & (classes < 255))
        apart = np.linalg.norm(grid[:, :, None] - strokes, axis=-1).min(axis=-1)
        rows["image"].append(canvas.clip(0, 255).astype(np.uint8).tolist())
        rows["digit"].append(classes.tolist())
        rows["distance"].append(apart.tolist())
    return rows


def scores(tasks: list[str], rows: Any, seed: int, output: Path) -> dict[str, float]:
    """Train one model for some tasks; return the metric of each on the test rows."""
    config = {**CONFIG, "tasks": {task: CONFIG["tasks"][task] for task in tasks}}
    run = motet.train(config, rows, overrides=[f"training.seed={seed}"], output=output)
    report = run.evaluate(rows, split="test")
    return {task: report[task][METRICS[task]] for task in tasks}


def main() -> None:
    """Compare one model for both tasks with one model for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    seeds, rows = parser.parse_args().seeds, canvases()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            at = Path(folder) / str(seed)
            both = scores(["digit", "distance"], rows, seed, at / "both")
            alone = scores(["digit"], rows, seed, at / "digit")
            alone |= scores(["distance"], rows, seed, at / "distance")
            found.append((both, alone))
    for task, metric in METRICS.items():
        for way, name in enumerate(("both", "alone")):
            values = [each[way][task] for each in found]
            print(f"{task:8}  {metric:8}  {name:5}  {np.mean(values):.3f}  of {len(values)} seeds")


if __name__ == "__main__":
    main()
