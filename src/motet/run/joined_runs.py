"""`motet ensemble`: finished runs as one model folder that predicts as their mean."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from motet.figures import counted
from motet.problems import InputError
from motet.run import folder, saving
from motet.run.card import ensemble_card
from motet.run.ensembles import Ensemble
from motet.run.loading import load
from motet.run.origin_rows import read_fingerprint
from motet.run.preparing import OWN_SPACES
from motet.run.runs import Run
from motet.version import __version__
from motet.writing import writing


def ensemble(runs: Sequence[str | Path], output: str | Path) -> Ensemble:
    """Put copies of the models of several runs into one folder, which `motet.load` reads.

    Probabilities and numbers are averaged (Lakshminarayanan et al., NeurIPS 2017, arXiv:1612.01474,
    average networks that differ in their seeds alone). The runs may differ in everything but what
    they predict from which columns. Where all have the same split of the same rows, the ensemble
    has it, too, and can be evaluated on the test rows or calibrated on those of validation.

    Args:
        runs: Run folders or model folders, at least two; one may be an ensemble itself.
        output: The new folder.

    Returns:
        The ensemble.

    Raises:
        InputError: If there are fewer than two runs, tasks, classes or inputs differ, or the output
            folder exists.
    """
    paths, target = [Path(each) for each in runs], Path(output)
    if len(paths) < 2:
        raise InputError(
            f"found {counted(len(paths), 'run')}; expected at least two", option="runs"
        )
    if target.exists():
        raise InputError(f"{target} exists already; choose another folder", option="output")
    loaded = [load(path) for path in paths]
    for each in loaded[1:]:
        _check_alike(loaded[0], each)
    models = [model for path in paths for model in _models(path)]
    unfinished = target.with_name(f".{target.name}-{os.getpid()}")
    try:
        with writing(target):
            unfinished.mkdir(parents=True)
            _copy_split(paths, unfinished)
            tasks = loaded[0].model.labelled_tasks
            made = f"Made with motet {__version__} of finished runs"
            text = ensemble_card(tasks, len(models), made)
            saving.save_members(unfinished / folder.MODEL, models, text)
            unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    found = load(target)
    assert isinstance(found, Ensemble)
    return found


def _models(path: Path) -> list[Path]:
    """Return the model folders of a run, several of an ensemble."""
    inside = folder.model_folder(path)
    return saving.members(inside) or [inside]


def _copy_split(paths: Sequence[Path], target: Path) -> None:
    """Keep how rows were split, if all runs have the same split of the same rows."""
    known = [read_fingerprint(path) for path in paths]
    configs = [path / folder.CONFIG for path in paths]
    if known[0] is None or any(each != known[0] for each in known) or not configs[0].is_file():
        return
    for name in (folder.CONFIG, folder.ENVIRONMENT):
        shutil.copyfile(paths[0] / name, target / name)


def _check_alike(first: Run, other: Run) -> None:
    """Check that two runs predict the same from the same columns."""
    where = f"{first.path} and {other.path}"
    for run in (first, other):
        if run.reader.preprocessing.sources:
            raise InputError(
                f"{run.path} has several sources, and ensembles are of runs on one table",
                option="runs",
            )
    ours, theirs = first.model.labelled_tasks, other.model.labelled_tasks
    if set(ours) != set(theirs):
        raise InputError(
            f"{where} have the tasks {', '.join(ours)} and {', '.join(theirs)}; expected the same",
            option="runs",
        )
    for name in ours:
        kind = first.model.tasks[name].label_kind.name
        if kind in OWN_SPACES:
            raise InputError(
                f"task {name!r} {OWN_SPACES[kind]} in each run, so that runs cannot be combined",
                option="runs",
            )
        own, its = first.model.tasks[name], other.model.tasks[name]
        facts = [(each.kind, each.class_names, each.levels) for each in (own, its)]
        if facts[0] != facts[1]:
            kinds = " and ".join(_described(*each) for each in facts)
            raise InputError(
                f"{where} have a task {name!r} that differs: {kinds}; expected the same type and "
                "classes, in the same order",
                option="runs",
            )
    columns = [_columns(each) for each in (first, other)]
    if columns[0] != columns[1]:
        differing = sorted(columns[0] ^ columns[1])
        raise InputError(
            f"{where} read different columns: only one reads {', '.join(differing)}", option="runs"
        )


def _described(kind: str, classes: Sequence[str] | None, levels: Sequence[float]) -> str:
    named = [str(each) for each in classes or levels]
    return f"{kind} of {', '.join(named[:10])}{' ...' if named[10:] else ''}" if named else kind


def _columns(run: Run) -> set[str]:
    inputs = run.reader.preprocessing.fitted_inputs
    return {column for each in inputs.values() for column in each.columns(())}
