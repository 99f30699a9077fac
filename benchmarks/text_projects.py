"""The projects on texts, several seeds: test metrics with their interval, and what a run costs.

Trains examples/clothing.yaml and, where the file is, examples/snips.yaml with seeds 0, 1, 2;
prints mean, 95 % interval (Student's t over seeds) and, beside them, linear models of a task each.
``--whole`` trains the clothing project on all 23,486 reviews of clothing_reviews.parquet.

    OMP_NUM_THREADS=2 python benchmarks/text_projects.py [--seeds 3] [--projects clothing,snips]
        [--whole] [--shared ../shared/data] [key=value ...]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import motet

ROOT = Path(__file__).resolve().parents[1]
STUDENT = {
    2: 12.706,
    3: 4.303,
    4: 3.182,
    5: 2.776,
    6: 2.571,
    7: 2.447,
    8: 2.365,
    9: 2.306,
    10: 2.262,
}
"""97.5 % quantile of Student's t by number of seeds."""
LINEAR = {  # TF-IDF of words and pairs of words, logistic regression; slots: window features
    "clothing": {
        ("recommended", "accuracy"): 0.8961,
        ("recommended", "macro_f1"): 0.7711,
        ("rating", "accuracy"): 0.6550,
        ("rating", "macro_f1"): 0.4035,
        ("department", "accuracy"): 0.8437,
        ("department", "macro_f1"): 0.5495,
    },
    "whole": {
        ("recommended", "accuracy"): 0.9081,
        ("recommended", "macro_f1"): 0.8338,
        ("rating", "accuracy"): 0.6668,
        ("rating", "macro_f1"): 0.4425,
        ("department", "accuracy"): 0.8695,
        ("department", "macro_f1"): 0.6317,
    },
    "snips": {
        ("intent", "accuracy"): 0.9786,
        ("slots", "span_f1"): 0.8267,
        ("slots", "token_accuracy"): 0.9354,
    },
}


def tested(project, overrides, seed):
    """Train once; return the metrics of the test part and the seconds it took."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = motet.train(
            ROOT / "examples" / f"{project}.yaml",
            overrides=[*overrides, f"training.seed={seed}"],
            output=f"{folder}/run",
        )
        (record,) = [record for record in run.history if record["event"] == "test"]
    return record["tasks"], time.perf_counter() - start


def report(name, project, overrides, seeds):
    runs = [tested(project, overrides, seed) for seed in range(seeds)]
    print(f"\n{name}: {seeds} seeds, {statistics.mean(s for _, s in runs):.0f} s a run")
    for (task, metric), linear in LINEAR[name].items():
        values = [tasks[task][metric] for tasks, _ in runs]
        half = float("nan")
        if seeds in STUDENT:
            half = STUDENT[seeds] * statistics.stdev(values) / seeds**0.5
        print(
            f"  {task:12} {metric:15} {statistics.mean(values):.4f} +- {half:.4f}   "
            f"linear {linear:.4f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--projects", default="clothing,snips")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    for project in arguments.projects.split(","):
        name, source = project, []
        if project == "snips":
            source = [f"data.source={arguments.shared / 'snips.parquet'}"]
        elif arguments.whole:
            name = "whole"
            source = [f"data.source={arguments.shared / 'clothing_reviews.parquet'}"]
        if source and not Path(source[0].partition("=")[2]).is_file():
            print(
                f"\n{name}: {source[0].partition('=')[2]} is not there; name its folder: --shared"
            )
            continue
        report(name, project, [*source, *arguments.overrides], arguments.seeds)


if __name__ == "__main__":
    main()
