"""`motet.train` and `motet.resume`: one run, or with ``data.split.folds`` one run for each fold.

::

    runs/<name>-NNN/
      config.yaml  metrics.jsonl  environment.json
      folds/{1, 2, ...}/          the run of each fold, a run folder like any other
      predictions/test.parquet    of each row by the model that did not see it
      model/                      the models of all folds, an ensemble
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import reduce
from math import nan
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from motet.config import Config, Origin
from motet.config.collecting import read_on
from motet.config.only_tasks import only_tasks
from motet.figures import figure
from motet.model.checks import names_of
from motet.problems import InputError
from motet.processes import processes_of
from motet.run import folder, saving
from motet.run.building import check
from motet.run.calibrating import joined_folds
from motet.run.ensembles import Ensemble
from motet.run.given_sources import sources_of
from motet.run.joining import created, held, joined
from motet.run.launching import note_run
from motet.run.layout import columns, line
from motet.run.loading import load
from motet.run.observers import Say
from motet.run.origin_rows import fingerprint
from motet.run.prepared import ROW, Prepared
from motet.run.preparing import make_target
from motet.run.process_lines import processes_used
from motet.run.progress import Progress, progress_of
from motet.run.runs import Run
from motet.run.sealed import write_sealed
from motet.run.training import (
    resume_one,
    silent,
    stopping_when_full,
    train_one,
    write_config,
)
from motet.training.history import read_records
from motet.version import __version__
from motet.writing import replacing


def train(
    config: str | Path | Mapping[str, Any] | Config,
    data: Any = None,
    overrides: Sequence[str] = (),
    output: str | Path | None = None,
    *,
    tasks: Sequence[str] | None = None,
    say: Say | None = None,
    step: Say | None = None,
) -> Run:
    """Train a model as a config describes, and write a run folder.

    Config, data and output are checked before anything is written. Ctrl-C leaves a run that
    `resume` continues. With ``data.split.folds`` there is one run for each fold, and an ensemble of
    their models. In a script that torchrun starts, its processes train one model together, and
    return the same.

    Args:
        config: A YAML file, a mapping, or a `motet.Config`.
        data: Rows in place of ``data.source``: a frame, an Arrow table, a mapping of arrays.
        overrides: Changes such as ``"training.epochs=3"``.
        output: The run folder itself; ``runs/<config name>-NNN`` if left out.
        tasks: Names of the only tasks to train; all others are disabled.
        say: Called with each line of progress, for example ``print``.
        step: Called with a line about the step in progress, more often.

    Returns:
        The run, with the weights of the best epoch; with folds an `Ensemble`.

    Raises:
        ConfigError: If the config or the data cannot be used; all problems are reported together.
        InputError: If the output folder cannot be used.
        TrainingError: If losses stay non-finite.
        Interrupted: At Ctrl-C, a KeyboardInterrupt.
    """
    if tasks is not None:
        overrides = only_tasks(config, names_of(tasks), overrides)
    call = json.dumps([_named(config), list(overrides), str(output)])
    with joined() as team:
        say, step = _heard(say), _heard(step)
        begun = team.begun(call)
        if begun is not None:  # before torchrun restarted the processes
            return _continued(begun, config, data, overrides, say, step)
        return _train(config, data, overrides, output, say, step, team.remember)


def _heard(say: Say | None) -> Say:
    """Return who receives lines of progress: of several processes, those of the first."""
    return say if say is not None and processes_of().first else silent


def _named(config: str | Path | Mapping[str, Any] | Config) -> str:
    return str(config) if isinstance(config, (str, Path)) else repr(config)


def _continued(
    path: Path, config: Any, data: Any, overrides: Sequence[str], say: Say, step: Say
) -> Run:
    """Continue the run of an attempt that was restarted, from whatever it left."""
    state = _state(path)
    if state == "finished":
        return load(path)
    if state == "begun":
        return resume(path, data, say=say, step=step)
    _clear(path)
    return _train(config, data, overrides, path, say, step)


def _train(
    config: str | Path | Mapping[str, Any] | Config,
    data: Any,
    overrides: Sequence[str],
    output: str | Path | None,
    say: Say,
    step: Say,
    made: Callable[[Path], object] = Path,
) -> Run:
    found = read_on(config, overrides)[1].data.split
    if found.folds is None or found.fold is not None:
        return train_one(config, data, overrides, output, say=say, step=step, made=made)
    prepared = check(config, data=data, overrides=overrides)
    assert isinstance(prepared, Prepared)  # folds of several sources are refused
    origin = prepared.rows.origin.file
    chosen = with_classes(prepared)
    known = replace(fingerprint(prepared), train=len(prepared.rows.table))
    with created(output, origin.stem if origin else "run") as path:
        made(path)
        processes = processes_of()
        if processes.first:
            write_config(path, chosen, prepared.rows.origin.folder)
            content = folder.environment() | processes_used() | {"data": asdict(known)}
            write_sealed(path / folder.ENVIRONMENT, content)
        processes.wait()
        return _carry_out(path, chosen, data, say, step)


def resume(
    path: str | Path, data: Any = None, *, say: Say | None = None, step: Say | None = None
) -> Run:
    """Continue a run that was interrupted, exactly as if it had never stopped.

    Args:
        path: The run folder.
        data: The rows, if the run got them from Python.
        say: Called with each line of progress.
        step: Called with a line about the step in progress.

    Returns:
        The finished run.

    Raises:
        InputError: If the folder holds no unfinished run or another process writes to it, or data
            or checkpoints do not fit.
        TrainingError: If losses stay non-finite.
        Interrupted: At Ctrl-C.
    """
    path = Path(path)
    _require_unfinished(path)
    with joined(), held(path):
        say, step = _heard(say), _heard(step)
        note_run(path)
        _require_unfinished(path)  # another process may have finished it meanwhile
        folder.refuse_links(path)
        config = read_on(path / folder.CONFIG)[1]
        if config.data.split.folds is None or config.data.split.fold is not None:
            return resume_one(path, data, say=say, step=step)
        return _carry_out(path, config, data, say, step)


def _carry_out(path: Path, config: Config, data: Any, say: Say, step: Say) -> Ensemble:
    """Train the folds that are not finished, and put their models together."""
    with stopping_when_full(path, lambda: True):
        return _all_folds(path, config, data, say, step)


def _all_folds(path: Path, config: Config, data: Any, say: Say, step: Say) -> Ensemble:
    count = config.data.split.folds or 0
    runs = [_fold(path, config, fold, data, say, step) for fold in range(1, count + 1)]
    processes = processes_of()
    if processes.first:
        _put_together(path, runs, say)
        if config.training.calibrate:
            _calibrate(path, runs, data, say, step)
    processes.wait()
    found = load(path)
    assert isinstance(found, Ensemble)
    return found


def _put_together(path: Path, runs: Sequence[Run], say: Say) -> None:
    """Write the predictions, the metrics and the models of all folds."""
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
    saving.save_members(path / folder.MODEL, models, _card(results[0]["tasks"], len(runs), summary))


def _calibrate(path: Path, runs: Sequence[Run], data: Any, say: Say, step: Say) -> None:
    """Learn intervals and sets of the models together; each has temperatures of its own."""
    (source,) = sources_of(runs[0].config, Origin(), data).values()
    found = joined_folds([run._calibration_of_fold(source, step) for run in runs])
    if found.tasks:
        saving.save_calibration(path, found)
        say(line("calibrate", "intervals and sets, each row with the model that did not see it"))


def _fold(run: Path, config: Config, fold: int, data: Any, say: Say, step: Say) -> Run:
    path = run / folder.FOLDS / str(fold)
    say(line("fold", f"{fold} of {config.data.split.folds}"))
    state = _state(path)
    if state == "finished":
        return load(path)
    if state == "begun":
        with held(path):
            return resume_one(path, data, say=say, step=step, whole=run)
    _clear(path)
    overrides = [f"data.split.fold={fold}"]
    return train_one(run / folder.CONFIG, data, overrides, path, say=say, step=step, whole=run)


def _state(path: Path) -> Progress:
    """Return the progress of a run folder, as the first process finds it."""
    return processes_of().of_first(progress_of(path))


def _clear(path: Path) -> None:
    if processes_of().first and path.exists():
        folder.remove(path)


def _require_unfinished(path: Path) -> None:
    """Check that a folder holds a run that can be resumed."""
    folder.require_folder(path)
    progress = progress_of(path)
    if progress == "nothing":
        raise InputError(f"{path} is not a run folder: expected one that `motet train` wrote")
    if progress == "finished":
        raise InputError(
            f"the run {path} is finished; there is nothing to resume. To train longer, start "
            f"another: motet train {path / folder.CONFIG} training.epochs=N"
        )


def with_classes(prepared: Prepared) -> Config:
    """Return the config with the classes of all rows: the models of all folds have the same."""
    config = prepared.config
    tasks: dict[str, Any] = {}
    for name, task in config.tasks.items():
        options = task.options()
        if "classes" in options and options["classes"] is None and not options.get("columns"):
            target = make_target(name, task)
            judged = prepared.preprocessing.judged(name, prepared.rows.table)
            target.fit(judged, prepared.preprocessing.fitted_inputs)
            found = target.learned()["classes"]
            options["classes"] = found if isinstance(found, int) else list(found)
        tasks[name] = {"type": task.type, **options}
    return Config(**{**config.model_dump(exclude_unset=True), "tasks": tasks})


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


def _card(tasks: Iterable[str], count: int, summary: Sequence[str]) -> str:
    return "\n".join(
        [
            f"# An ensemble of {count} models for {', '.join(tasks)}",
            "",
            f"Trained with motet {__version__}, a model for each of {count} folds; each has a card",
            "of its own in members/. Their probabilities and numbers are averaged.",
            "",
            "```python",
            "import motet",
            "",
            'motet.load("model").predict("rows.csv")',
            "```",
            "",
            "## Quality",
            "",
            "Of the models alone, each on the fold that it was not trained on. The ensemble itself",
            "was not evaluated, as every row trained some of its models.",
            "",
            "```",
            *summary,
            "```",
            "",
        ]
    )
