"""Reports on run folders: collects the facts, and writes the page.

Everything comes from the folder, so a report can be written long after the run, and of one that is
not finished; only inputs of rows that are most wrong come from the data, where they can be read.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from motet import config as configs
from motet.config import Config
from motet.data.preprocessing import Preprocessing
from motet.options import label_kind_of
from motet.problems import MALFORMED, InputError, reason
from motet.registry import AUXILIARY
from motet.report.facts import RunFacts, TaskFacts
from motet.report.page import comparison_page, folds_page, run_page, runs_page
from motet.report.results import rows_to_read
from motet.run import folder
from motet.run.sealed import read_sealed
from motet.run.source_rows import SourceRows
from motet.run.tested_rows import tested_rows
from motet.training.history import read_records

REPORT = "report.html"
RESULTS = "results.json"
"""Of a comparison."""
_CARD = "README.md"
_PREPROCESSING = "preprocessing.json"


def write_report(
    paths: Sequence[str | Path], output: str | Path | None = None, *, data: Any = None
) -> Path:
    """Write a report on one run, several runs side by side, or a comparison.

    Args:
        paths: Run folders, or the folder of a comparison.
        output: The HTML file, which must not exist; ``report.html`` in the folder of a single run,
            in place of an earlier one, if left out.
        data: The rows that a single run was made from, if it got them from Python; inputs of rows
            are then shown.

    Returns:
        Path of the file.

    Raises:
        InputError: If a folder is no run, or the file cannot be written.
    """
    folders = [Path(path) for path in paths]
    if output is None:
        if len(folders) > 1:
            raise InputError(
                "a report on several runs belongs to none of their folders; name a file, "
                "--output report.html (path= in Python)"
            )
        path = folders[0] / REPORT
    else:
        path = folder.check_output(output, (".html",))
    folder.write_text(path, _page(folders, data))
    return path


def _page(folders: Sequence[Path], data: Any) -> str:
    for each in folders:
        folder.require_folder(each)
    if any((each / RESULTS).is_file() for each in folders):
        if len(folders) > 1:
            raise InputError("found a comparison among several folders; report on it alone")
        return comparison_page(folders[0].resolve().name, _read_json(folders[0] / RESULTS))
    if len(folders) == 1:
        folds = [e for e in folder.folds_of(folders[0]) if (e / folder.CONFIG).is_file()]
        if not folds:
            return run_page(run_facts(folders[0], data=data))
        whole = run_facts(folders[0], data=data)
        facts = [run_facts(fold, rows=False) for fold in folds]
        return folds_page(whole, [replace(each, name=f"fold {each.name}") for each in facts])
    return runs_page(_distinct([run_facts(each, rows=False) for each in folders]))


def _distinct(runs: Sequence[RunFacts]) -> list[RunFacts]:
    """Name runs by their paths where names of folders are the same."""
    names = [run.name for run in runs]
    return [replace(r, name=r.path) if names.count(r.name) > 1 else r for r in runs]


def run_facts(path: Path, *, rows: bool = True, data: Any = None) -> RunFacts:
    """Collect what a run folder holds.

    Args:
        path: The run folder.
        rows: Whether to read predictions of the test rows.
        data: As for `write_report`.

    Returns:
        The facts.

    Raises:
        InputError: If it is no run folder, or a file in it is damaged.
    """
    folder.require_folder(path)
    if not (path / folder.CONFIG).is_file():
        raise InputError(
            f"{path} is not a run folder: expected one that `motet train` wrote, with "
            f"{folder.CONFIG} and {folder.METRICS}"
        )
    config = configs.read(path / folder.CONFIG)[0]
    records = read_records(path / folder.METRICS)
    data_json, earlier = path / folder.DATA, path / folder.EARLIER
    facts = RunFacts(
        name=path.resolve().name,
        path=str(path),
        tasks=_tasks(config),
        steps=[r for r in records if r["event"] == "step" and r["split"] == "train"],
        epochs=[r for r in records if r["event"] == "epoch" and r["split"] == "train"],
        evaluations=[r for r in records if r["split"] == "validation"],
        test=next((r for r in records if r["event"] == "test"), None),
        data=_read_json(data_json) if data_json.is_file() else {},
        earlier=_read_json(earlier) if earlier.is_file() else {},
        environment=read_sealed(path / folder.ENVIRONMENT),
        config=(path / folder.CONFIG).read_text(encoding="utf-8"),
        card=_text(path / folder.MODEL / _CARD),
        sharing=config.model.sharing.type,
        balancing=", then ".join(stage.type for stage in config.stages),
    )
    return _with_rows(facts, path, config, data) if rows else facts


def _with_rows(facts: RunFacts, path: Path, config: Config, data: Any) -> RunFacts:
    """Return facts with the test rows, and the inputs of those that are most wrong."""
    predictions = path / folder.TEST_PREDICTIONS
    learned = path / folder.MODEL / _PREPROCESSING
    if folds := folder.folds_of(path):  # all of them have the same classes
        learned = folds[0] / folder.MODEL / _PREPROCESSING
    if not (predictions.is_file() and learned.is_file()):
        return facts
    preprocessing = Preprocessing.from_json(learned.read_text(encoding="utf-8"))
    source = SourceRows(config, data)
    tasks = tested_rows(predictions, facts.tasks, config, preprocessing, source)
    facts = replace(facts, tasks=tasks)
    inputs = source.inputs(rows_to_read(facts), preprocessing)
    return replace(facts, inputs=inputs, notes=source.notes)


def _tasks(config: Config) -> dict[str, TaskFacts]:
    trained = {
        name: task
        for name, task in config.tasks.items()
        if task.type not in AUXILIARY and task.options().get("enabled") is not False
    }
    main = [name for name, task in trained.items() if task.options().get("main")] or list(trained)
    return {
        name: TaskFacts(name, task.type, name in main, label_kind_of(task.type))
        for name, task in trained.items()
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except MALFORMED as error:
        raise InputError(f"{path} is not what motet writes: {reason(error)}") from None
    return dict(content)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
