"""`motet.train` and `motet.resume`: one run, or with ``data.split.folds`` one run for each fold.

::

    runs/<name>-NNN/
      config.yaml  metrics.jsonl  environment.json
      folds/{1, 2, ...}/          the run of each fold, a run folder like any other
      predictions/test.parquet    of each row by the model that did not see it
      model/                      the models of all folds, an ensemble
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from motet.config import Config, Origin
from motet.config.collecting import read_on
from motet.config.only_tasks import only_tasks
from motet.model.checks import names_of
from motet.options import known_options
from motet.problems import InputError
from motet.processes import processes_of
from motet.run import folder
from motet.run.building import check
from motet.run.ensembles import Ensemble
from motet.run.folds_together import calibrated_together, put_together
from motet.run.given_sources import sources_of
from motet.run.joining import created, held, joined
from motet.run.launching import note_run
from motet.run.layout import line
from motet.run.loading import load
from motet.run.observers import Say
from motet.run.origin_rows import fingerprint
from motet.run.prepared import Prepared, starts_of
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


@known_options
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
        calibration = None
        if config.training.calibrate:
            (source,) = sources_of(runs[0].config, Origin(), data).values()  # absolute paths
            calibration = calibrated_together(runs, source, step)
        put_together(path, runs, calibration, say)
    processes.wait()
    found = load(path)
    assert isinstance(found, Ensemble)
    return found


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
    """Return the config with the classes of all rows: the models of all folds have the same.

    Those of a task that is taken of an earlier run are known from there.
    """
    config = prepared.config
    taken = {name for start in starts_of(prepared) for name in start.tasks}
    tasks: dict[str, Any] = {}
    for name, task in config.tasks.items():
        options = task.model_dump()
        open_ = "classes" in options and options["classes"] is None and not options.get("columns")
        if open_ and name not in taken:
            target = make_target(name, task)
            judged = prepared.preprocessing.judged(name, prepared.rows.table)
            target.fit(judged, prepared.preprocessing.fitted_inputs)
            found = target.learned()["classes"]
            options["classes"] = found if isinstance(found, int) else list(found)
        tasks[name] = options
    return Config(**{**config.model_dump(exclude_unset=True), "tasks": tasks})
