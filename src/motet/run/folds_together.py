"""What the runs of all folds give together: predictions of all rows, mean metrics, and an ensemble.

Each row is predicted by the model that did not see it.
"""

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from math import nan
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from motet.figures import figure
from motet.run import folder, saving
from motet.run.calibrating import Calibration, calibrated_predictions, joined_folds
from motet.run.card import ensemble_card
from motet.run.layout import columns, line
from motet.run.observers import Say
from motet.run.prepared import ROW
from motet.run.runs import Run
from motet.training.history import read_records
from motet.version import __version__
from motet.writing import replacing

_QUALITY = (
    "Of the models alone, each on the fold that it was not trained on. The ensemble itself",
    "was not evaluated, as every row trained some of its models.",
    "",
    "```",
)


def put_together(
    path: Path, runs: Sequence[Run], calibration: Calibration | None, say: Say
) -> None:
    """Write the predictions, the metrics and the models of all folds.

    Args:
        path: Folder of the whole run.
        runs: The finished run of each fold.
        calibration: What `calibrated_together` returned, if it was asked for.
        say: Called with lines about the metrics.
    """
    tables = [pq.ParquetFile(run.path / folder.TEST_PREDICTIONS).read() for run in runs]
    predictions = pa.concat_tables(tables, promote_options="default").sort_by(ROW)
    with replacing(path / folder.TEST_PREDICTIONS) as file:
        pq.write_table(predictions, file, write_page_checksum=True)
    results = [_test_result(run.path) for run in runs]
    summary = _summary(results)
    say(line("folds", f"{len(runs)}, each tested with the model that did not see it"))
    for each in summary:
        say(each)
    folder.write_text(path / folder.METRICS, json.dumps(_joined(results)) + "\n")
    models = [run.path / folder.MODEL for run in runs]
    made = f"Trained with motet {__version__}, a model for each of {len(runs)} folds"
    card = ensemble_card(results[0]["tasks"], len(runs), made, [*_QUALITY, *summary, "```"])
    saving.save_members(path / folder.MODEL, models, card, calibration)
    if calibration is not None:
        say(line("calibrate", "intervals and sets, each row with the model that did not see it"))


def calibrated_together(runs: Sequence[Run], data: Any, step: Say) -> Calibration | None:
    """Learn intervals and sets of the models together; each has temperatures of its own.

    Args:
        runs: The finished run of each fold.
        data: All rows.
        step: Called with a line about the work in progress.

    Returns:
        What was learned; None if no task can have intervals or sets.
    """
    found = joined_folds([_scores_of(run, data, step) for run in runs])
    return found if found.tasks else None


def _scores_of(run: Run, data: Any, step: Say) -> Calibration:
    """Return what the test rows of a fold give for the models of all folds together."""
    rows = run._labelled_rows(data, None, "test", None, step)
    parts = (
        (
            {
                task: each._replace(spread=None)  # of this model, not of all
                for task, each in run._predictions(part.inputs, list(rows.tasks)).items()
            },
            {task: torch.tensor(values) for task, values in part.targets.items()},
            dict[str, torch.Tensor](),
        )
        for part in rows.encoded()
    )
    tasks = [run.model.tasks[name] for name in rows.tasks]
    return calibrated_predictions(tasks, parts, "folds")


def _test_result(run: Path) -> dict[str, Any]:
    """Read the record of a run's test, with None where a number was NaN."""
    records = reversed(read_records(run / folder.METRICS))
    return next(record for record in records if record["event"] == "test")


def _summary(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a table with the mean of each metric over the folds, and its spread."""
    rows: list[Sequence[str]] = [("task", "metric", "mean", "deviation", "lowest", "highest")]
    for task, values in results[0]["tasks"].items():
        for metric in values:
            if metric not in ("loss", "count"):
                found = _known(results, "tasks", task, metric)
                spread = stdev(found) if len(found) > 1 else nan
                ends = (min(found, default=nan), max(found, default=nan))
                numbers = (_mean(found), spread, *ends)
                rows.append((task, metric, *map(figure, numbers)))
    return list(columns(rows, right=(2, 3, 4, 5)))


def _joined(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one record with the means over the folds, and the numbers of all labels."""
    tasks: dict[str, Any] = {}
    for task, values in results[0]["tasks"].items():
        tasks[task] = {metric: _mean(_known(results, "tasks", task, metric)) for metric in values}
        tasks[task]["count"] = sum(_known(results, "tasks", task, "count"))
    seconds = sum(each["seconds"] for each in results)
    joined = {
        **results[0],
        "seconds": seconds,
        "tasks": tasks,
        "score": _mean_of(results, "score"),
        "scores": {task: _mean_of(results, "scores", task) for task in tasks},
        "trivial": {
            task: {metric: _mean_of(results, "trivial", task, metric) for metric in values}
            for task, values in results[0]["trivial"].items()
        },
    }
    return dict(folder.finite(joined))


def _mean_of(results: Sequence[Any], *keys: str) -> float:
    return _mean(_known(results, *keys))


def _known(results: Sequence[Any], *keys: str) -> list[float]:
    """Return the numbers at the same place of each record, where it is there and not NaN."""
    found = [reduce(lambda at, key: at.get(key, {}), keys, each) for each in results]
    return [value for value in found if isinstance(value, (int, float))]


def _mean(values: Sequence[float]) -> float:
    return mean(values) if values else nan
