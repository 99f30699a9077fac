"""NumPy in, NumPy out: a two-task model without a line of PyTorch.

One mapping of arrays holds inputs and labels; columns that are not tasks are inputs, and text
columns are categories. Categories, scaling, the split and the seeds are handled automatically.
Prints the test metrics, one of them a function on arrays, and predictions for new rows.
"""

import tempfile

import numpy as np

import motet


def rows(count: int, seed: int) -> dict[str, np.ndarray]:
    """Create random rows: five sensors in one array, a site, and what to predict."""
    rng = np.random.default_rng(seed)
    sensors = rng.normal(size=(count, 5))
    site = rng.choice(["north", "south"], count)
    load = 40 + 10 * sensors[:, 0] + 5 * (site == "south") + rng.normal(size=count)
    alarm = np.where(sensors[:, 1] + 0.3 * rng.normal(size=count) > 0.5, "on", "off")
    return {"sensors": sensors, "site": site, "load": load, "alarm": alarm}


def share_within_two(predictions: np.ndarray, targets: np.ndarray) -> float:
    """Share of predictions at most 2 off."""
    return float(np.mean(np.abs(predictions - targets) <= 2))


def main() -> None:
    """Train on 1,500 rows, evaluate on 500 others."""
    motet.register("metric", "share_within_two", share_within_two)
    config = {
        "tasks": {
            "load": {"type": "regression", "metrics": ["r2", "share_within_two"]},
            "alarm": {"type": "classification", "metrics": ["accuracy"]},
        },
        "training": {"epochs": 8, "batch_size": 50, "optimizer": {"learning_rate": 3e-3}},
    }
    data = rows(1500, seed=0)
    data["load"][::5] = np.nan  # not labelled
    with tempfile.TemporaryDirectory() as folder:
        run = motet.train(config, data, output=folder)

    new = rows(500, seed=1)
    report = run.evaluate(new)
    for task, trivial in report.trivial.items():
        for metric, value in trivial.items():
            print(f"{task} {metric}: {report[task][metric]:.3f} (trivial {value:.3f})")

    table = run.predict({"sensors": new["sensors"][:3], "site": new["site"][:3]})
    predictions = {name: table[name].to_numpy() for name in ("load", "alarm")}
    print("loads:", predictions["load"].round(1), "alarms:", predictions["alarm"])


if __name__ == "__main__":
    main()
