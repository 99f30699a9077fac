"""`motet.train`: from a config to a run folder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow.parquet as pq
import yaml

from motet.config import Config
from motet.data.batches import ArrayData
from motet.run import folder, saving
from motet.run.building import build_trainer
from motet.run.card import card
from motet.run.lines import data_lines, epoch_line, report_lines
from motet.run.preparing import Prepared, prepare
from motet.run.runs import Run, with_truth
from motet.training import Report, Trainer

Say = Callable[[str], object]


def train(
    config: str | Path | Mapping[str, Any] | Config,
    data: Any = None,
    overrides: Sequence[str] = (),
    output: str | Path | None = None,
    *,
    say: Say | None = None,
    step: Say | None = None,
) -> Run:
    """Train a model as a config says, and leave a run folder.

    Everything that can be wrong with the config, the data and the output is checked before anything
    is written.

    Args:
        config: A YAML file, a mapping, or a `motet.Config`.
        data: Rows in place of ``data.source``: a frame, an Arrow table, a mapping of arrays.
        overrides: Changes such as ``"training.epochs=3"``.
        output: The run folder itself; ``runs/<config name>-NNN`` if left out.
        say: Called with each line of progress, for example ``print``.
        step: Called with a line about the step in progress, more often.

    Returns:
        The run, with the weights of the best epoch.

    Raises:
        ConfigError: If the config or the data cannot be used; every problem is named.
        InputError: If the output folder cannot be used.
        TrainingError: If losses stay non-finite.
    """
    say, step = say or _silent, step or _silent
    prepared = prepare(config, data=data, overrides=overrides)
    progress = _Progress(prepared, say, step)
    trainer = build_trainer(
        prepared.config, prepared.rows.origin, prepared.preprocessing, progress.record
    )
    progress.trainer = trainer
    origin = prepared.rows.origin.file
    path = folder.create(output, origin.stem if origin else "run")
    progress.write_to(path)
    for line in data_lines(prepared):
        say(line)
    _write_beginning(path, prepared)
    trainer.fit(
        _part(prepared, "train"),
        _part(prepared, "validation"),
        epochs=prepared.config.training.epochs,
    )
    return _finish(path, prepared, trainer, progress)


def _finish(path: Path, prepared: Prepared, trainer: Trainer, progress: "_Progress") -> Run:
    model = trainer.model.eval()
    run = Run(path, prepared.config, prepared.preprocessing, model, trainer.trivial)
    progress.say(f"{'best':<10} epoch {trainer.history.best_epoch}, its weights are kept")
    if trainer.history.skipped_steps:
        progress.say(f"{'note':<10} {trainer.history.skipped_steps} steps were not finite, skipped")
    report = _test(path, run, prepared, progress) if len(prepared.rows.split.test) else None
    text = card(prepared, model, trainer, report)
    saving.save(
        path / folder.MODEL, prepared.config, prepared.preprocessing, model, trainer.trivial, text
    )
    return run


def _test(path: Path, run: Run, prepared: Prepared, progress: "_Progress") -> Report:
    """Judge the model on the test part, once, and keep its predictions."""
    rows = prepared.rows.split.test
    inputs = {kind: values[rows] for kind, values in prepared.inputs.items()}
    started = perf_counter()
    report = run.evaluate_arrays(
        inputs, {task: values[rows] for task, values in prepared.targets.items()}
    )
    progress.test(report, perf_counter() - started)
    progress.say(f"{'test':<10} {len(rows):,} rows, seen by nothing before")
    for line in report_lines(run.model, report):
        progress.say(line)
    predictions = with_truth(
        run.predict_arrays(inputs),
        prepared.part("test"),
        prepared.preprocessing,
        run.model.active_tasks,
    )
    with folder.replacing(path / folder.TEST_PREDICTIONS) as file:
        pq.write_table(predictions, file)
    return report


def _part(prepared: Prepared, name: str) -> ArrayData:
    rows = getattr(prepared.rows.split, name)
    return ArrayData(
        {kind: values[rows] for kind, values in prepared.inputs.items()},
        {task: values[rows] for task, values in prepared.targets.items()},
    )


def _write_beginning(path: Path, prepared: Prepared) -> None:
    resolved = prepared.config.model_dump(mode="json")
    source = prepared.config.data.source
    if source is not None and "://" not in source:
        resolved["data"]["source"] = str((prepared.rows.origin.folder / source).resolve())
    text = yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)
    folder.write_text(path / folder.CONFIG, text)
    folder.write_json(path / folder.ENVIRONMENT, folder.environment())


class _Progress:
    """Writes records to ``metrics.jsonl`` and says in words what they hold."""

    trainer: Trainer

    def __init__(self, prepared: Prepared, say: Say, step: Say) -> None:
        self.epochs = prepared.config.training.epochs
        self.say, self.step = say, step
        self._best = float("-inf")

    def write_to(self, path: Path) -> None:
        self._file = folder.JsonLines(path / folder.METRICS)

    def record(self, record: dict[str, Any]) -> None:
        self._file.write(record)
        if record["event"] == "step":
            losses = "  ".join(f"{t} loss {v['loss']:.4f}" for t, v in record["tasks"].items())
            self.step(f"epoch {record['epoch']}/{self.epochs}  step {record['step']}  {losses}")
        elif record["split"] == "validation":
            best = record["monitored"] > self._best
            self._best = max(self._best, record["monitored"])
            self.say(epoch_line(record, self.epochs, self.trainer.model, best))

    def test(self, report: Report, seconds: float) -> None:
        self._file.write(
            {
                "event": "test",
                "step": self.trainer.step,
                "epoch": self.trainer.history.best_epoch,
                "split": "test",
                "seconds": seconds,
                "tasks": {task: report[task] for task in report.scores},
                "score": report["score"],
            }
        )


def _silent(line: str) -> None:
    pass
