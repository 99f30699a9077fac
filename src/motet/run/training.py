"""One run: from a config to a run folder, in one attempt or several."""

import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml

from motet.config import Config
from motet.config.collecting import read_on
from motet.config.streaming import wrong_stream
from motet.data.sources import absolute
from motet.live import listening
from motet.problems import InputError
from motet.processes import ProcessLost, processes_of
from motet.run import folder, saving
from motet.run.building import build_trainer, train_statistics
from motet.run.calibrating import calibrated, calibration_lines, require_calibrated
from motet.run.card import card
from motet.run.changes import change_lines, read_changes, start_lines, write_changes
from motet.run.checkpoints import Checkpoints, what_is_kept
from motet.run.data_facts import data_facts
from motet.run.earlier_tasks import before_and_after
from motet.run.frozen_states import with_frozen_states
from motet.run.joining import check_alike, created
from motet.run.launching import resume_command
from motet.run.layout import line, wrapped
from motet.run.lines import data_lines, report_lines, training_lines
from motet.run.loggers import check_loggers, loggers_of
from motet.run.observers import ProgressLines, RunFiles, Say, StopAtInterrupt
from motet.run.origin_rows import stored
from motet.run.peak_memory import begin_measuring, peak_memory
from motet.run.prepared import AnyPrepared, starts_of
from motet.run.preparing import prepare
from motet.run.process_lines import processes_used
from motet.run.readers import batch_size_of
from motet.run.runs import Run
from motet.run.sealed import read_sealed, write_sealed
from motet.run.split_data import rows_of, write_test_predictions
from motet.run.starting import copied
from motet.run.task_analysis import write_analysis
from motet.run.teachers import soft_targets_of, teacher_lines, teachers_of
from motet.training import History, OutOfMemory, Report, TestRecord, Trainer, TrainingError
from motet.training.display import LiveProgress
from motet.training.evaluation import evaluate
from motet.training.memory import explaining_memory
from motet.writing import WriteError, replacing


def train_one(
    config: str | Path | Mapping[str, Any] | Config,
    data: Any,
    overrides: Sequence[str],
    output: str | Path | None,
    *,
    say: Say,
    step: Say,
    made: Callable[[Path], object] = Path,
    whole: Path | None = None,
) -> Run:
    """Train one model; see `motet.train`.

    Args:
        config: As for `motet.train`.
        data: As for `motet.train`.
        overrides: As for `motet.train`.
        output: As for `motet.train`.
        say: As for `motet.train`.
        step: As for `motet.train`.
        made: Called with the run folder before training.
        whole: The run that this one is a fold of, which is what can be resumed.

    Returns:
        The run, with the weights of the best epoch.

    Raises:
        InputError: If the model or the output folder cannot be used.
        TrainingError: If losses stay non-finite.
    """
    collector, read = read_on(config, overrides)
    origin = collector.origin.file
    name = origin.stem if origin else "run"
    if read.data.streaming is not None:
        with created(output, name) as path:
            made(path)
            return _train_stream(config, data, overrides, path, say, step)
    with explaining_memory("the preparation of the data", partial(_on_disk, read)), listening(step):
        prepared = prepare(config, data=data, overrides=overrides)
    attempt = _Attempt(prepared, say, step, whole)
    with created(output, name) as path:
        made(path)
        return attempt.begin(path)


def _train_stream(
    config: str | Path | Mapping[str, Any] | Config,
    data: Any,
    overrides: Sequence[str],
    path: Path,
    say: Say,
    step: Say,
) -> Run:
    """Train on rows that are encoded in the run folder, which is there first."""
    step("reading all rows and encoding them")
    processes = processes_of()
    try:
        with stopping_when_full(path, lambda: False):
            prepared = prepare(config, data=data, overrides=overrides, cache=path / folder.CACHE)
        attempt = _Attempt(prepared, say, step)
    except BaseException:
        if processes.first:
            folder.remove(path)
        raise
    return attempt.begin(path)


def resume_one(path: Path, data: Any, *, say: Say, step: Say, whole: Path | None = None) -> Run:
    """Continue one run that was interrupted; see `motet.resume` and `train_one`.

    Returns:
        The finished run.
    """
    with stopping_when_full(whole or path, lambda: True):
        prepared = prepare(path / folder.CONFIG, data=data, cache=path / folder.CACHE, settled=True)
    attempt = _Attempt(prepared, say, step, whole)
    attempt.use(path)
    attempt.load_checkpoint()
    return attempt.carry_out()


class _Attempt:
    """One attempt at a run: what `train` and `resume` have in common."""

    def __init__(
        self, prepared: AnyPrepared, say: Say, step: Say, whole: Path | None = None
    ) -> None:
        self.prepared, self.say, self.step, self._whole = prepared, say, step, whole
        self.trainer, self.processes = build_trainer(prepared), processes_of()
        check_alike(prepared, self.processes)
        labelled = self.trainer.model.labelled_tasks
        self._taught = {name: self.trainer.model.tasks[name] for name in labelled}
        check_loggers(prepared.config)
        if prepared.config.training.calibrate:
            require_calibrated(list(self._taught.values()), option="training.calibrate")
        self._teachers = teachers_of(prepared, self._taught)

    def use(self, path: Path) -> None:
        """Write to this folder from now on."""
        self.path = path
        self._metrics = folder.JsonLines(path / folder.METRICS)
        self._checkpoints = Checkpoints(path, self.prepared)
        training = self.prepared.config.training
        self._loggers = loggers_of(self.prepared.config, path) if self.processes.first else []
        self.trainer.observers += [
            RunFiles(self._metrics, self._checkpoints, every=training.checkpoint_every is not None),
            ProgressLines(self.say, training.epoch_count),
            LiveProgress(self.step, training.epoch_count),
            StopAtInterrupt(),
            *self._loggers,
        ]

    def begin(self, path: Path) -> Run:
        """Write what the run is into a new folder, and carry it out."""
        self.use(path)
        try:
            return self._begin()
        except (TrainingError, InputError):
            self.remove_if_of_no_use()
            raise

    def _begin(self) -> Run:
        prepared = self.prepared
        if self.processes.first:
            with self._stopping_when_full():
                copied(starts_of(prepared), self.path)
                write_config(self.path, prepared.config, prepared.origin.folder)
                content = folder.environment() | processes_used() | stored(prepared)
                write_sealed(self.path / folder.ENVIRONMENT, content)
                folder.write_json(self.path / folder.DATA, folder.finite(data_facts(prepared)))
        for each in (*data_lines(prepared), *training_lines(prepared, self.trainer)):
            self.say(each)
        for each in (
            *teacher_lines(self._teachers, self._taught),
            *start_lines(_plain(prepared)),
        ):
            self.say(each)
        return self.carry_out()

    def load_checkpoint(self) -> None:
        """Restore everything from the last good checkpoint."""
        note = self._checkpoints.load(self.trainer)
        if note:
            self.say(line("note", note))
        records = History.read(self.path / folder.METRICS).records if self.processes.first else []
        self.trainer.history = History(self.processes.of_first(records))
        self.say(line("resume", f"from step {self.trainer.step}"))

    def carry_out(self) -> Run:
        """Train, evaluate and save; after an interrupt, report how to continue."""
        try:
            with self._stopping_when_full():
                return self._carry_out()
        except KeyboardInterrupt:
            step = self.trainer.step
            self.say(line("stopped", f"at step {step}; continue with: {self._command()}"))
            raise
        except OutOfMemory as error:
            more = _on_disk(self.prepared.config)
            if self._is_resumable():
                more.append(
                    f"{what_is_kept(self.path)}; with more memory, continue with: {self._command()}"
                )
            raise OutOfMemory("; ".join([str(error), *more])) from None
        except ProcessLost as error:
            raise ProcessLost(
                f"{error}; {what_is_kept(self.path)}; continue with: {self._command()}"
            ) from error
        finally:
            for logger in self._loggers:
                logger.close()

    def _command(self) -> str:
        return resume_command(self._whole or self.path)

    def _stopping_when_full(self) -> AbstractContextManager[None]:
        if self._whole is not None:
            return stopping_when_full(self._whole, lambda: True)
        return stopping_when_full(self.path, self._is_resumable)

    def remove_if_of_no_use(self) -> None:
        """Remove the folder of this attempt if it holds no checkpoint."""
        if self.processes.first and not self._is_resumable():
            folder.remove(self.path)
            self.say(line("removed", f"{self.path}, as there is no checkpoint yet"))

    def _is_resumable(self) -> bool:
        return not self._checkpoints.is_empty()

    def _carry_out(self) -> Run:
        prepared, trainer = self.prepared, self.trainer
        measured = begin_measuring(trainer.device)
        with self.processes.first_before_others():  # which read what the first one cached
            inputs = {
                source: with_frozen_states(part, trainer, self.say, self.step)
                for source, part in prepared.used.items()
            }
            soft = soft_targets_of(self._teachers, prepared, self.step)
        with warnings.catch_warnings():  # a run may have stopped when only its end was missing
            warnings.filterwarnings("ignore", r"fit\(epochs=\d+\) trains nothing")
            trainer.fit(
                rows_of(prepared, inputs, "train", soft),
                rows_of(prepared, inputs, "validation"),
                epochs=prepared.config.training.epoch_count,
            )
        model = trainer.model.eval()
        run = Run(
            self.path,
            prepared.config,
            prepared.preprocessing,
            model,
            trainer.trivial,
            trainer.kept,
        )
        for each in _fitted_lines(trainer):
            self.say(each)
        if self.processes.first and any(each.whole for each in starts_of(prepared)):
            before, after = before_and_after(prepared, trainer, inputs)
            write_changes(self.path, _plain(prepared), self._taught, before, after)
            for each in change_lines(read_changes(self.path)):
                self.say(each)
        if prepared.config.training.calibrate:
            self._calibrate(run, inputs)
        tested = any(part.counts["test"] for part in prepared.used.values())
        report = self._test(run, inputs) if tested and prepared.config.data.evaluate_test else None
        for each in [] if report else _constants(trainer.history):
            self.say(line("note", each))
        if self.processes.first:
            if measured:
                self._record_memory()
            write_analysis(self.path, trainer.statistics(), trainer.history)
            saving.save(
                self.path / folder.MODEL,
                prepared.config,
                prepared.preprocessing,
                model,
                trainer.trivial,
                train_statistics(prepared, model.tasks),
                card(prepared, model, trainer, report),
                trainer.kept,
                run.calibration,
            )
        self.processes.wait()
        options = prepared.config.data.streaming
        if self.processes.first and options is not None and options.cache == "remove":
            shutil.rmtree(self.path / folder.CACHE)
        return run

    def _record_memory(self) -> None:
        """Add the peak of memory to ``environment.json``, in bytes."""
        path = self.path / folder.ENVIRONMENT
        with suppress(InputError):  # a damaged file is reported when it is read
            peak = peak_memory(self.trainer.device)
            write_sealed(path, read_sealed(path) | {"peak_memory": peak})

    def _calibrate(self, run: Run, inputs: Mapping[str, Any]) -> None:
        """Learn temperatures and scores from held-out rows that did not train the model."""
        size, device = min(map(batch_size_of, inputs.values())), self.trainer.device
        rows, own = rows_of(self.prepared, inputs, "validation").to(device), None
        if any(part.counts.get("calibration") for part in self.prepared.used.values()):
            own = rows_of(self.prepared, inputs, "calibration").to(device)
        source = "validation" if own is None else "calibration"
        with explaining_memory("the calibration", list):
            found = calibrated(run.model, rows, own, batch_size=size, source=source)
        run.use_calibration(self.processes.of_first(found))
        for each in calibration_lines(found, list(self._taught.values())):
            self.say(each)

    def _test(self, run: Run, inputs: Mapping[str, Any]) -> Report:
        """Evaluate the model on the test rows, once, and save its predictions."""
        started = perf_counter()
        report = evaluate(
            run.model,
            rows_of(self.prepared, inputs, "test").to(self.trainer.device),
            batch_size=min(map(batch_size_of, inputs.values())),
            trivial=self.trainer.trivial,
            processes=self.processes,
        )
        record = TestRecord(
            step=self.trainer.step,
            epoch=self.trainer.history.best_epoch or self.trainer.progress.epoch,
            seconds=perf_counter() - started,
            tasks=report.tasks,
            fusion=report.fusion or None,
            score=report["score"],
            scores=report.scores or None,
            trivial=report.trivial or None,
        )
        if not self.processes.first:
            return report
        self._metrics.write(record.as_dict())
        for logger in self._loggers:
            logger.write(record)
        count = sum(part.counts["test"] for part in self.prepared.used.values())
        self.say(line("test", f"{count:,} rows, used for nothing before"))
        for each in report_lines(run.model, report):
            self.say(each)
        with replacing(self.path / folder.TEST_PREDICTIONS) as file:
            write_test_predictions(file, run, self.prepared, inputs)
        return report


def _plain(prepared: AnyPrepared) -> list[dict[str, Any]]:
    """Return what the folder of a run keeps of the runs that it starts from."""
    return [each.plain for each in starts_of(prepared)]


def _on_disk(config: Config) -> list[str]:
    """Return the key that keeps the rows out of memory, if it fits the config."""
    data = config.data
    if data.streaming is not None or data.source is None:
        return []
    if any(wrong_stream(data.split, config.tasks, 1, config.training)):
        return []
    return ["data.stream: true (the rows stay on disk)"]


def _fitted_lines(trainer: Trainer) -> Iterator[str]:
    """Report which weights are kept, why training ended early, and which steps were skipped."""
    best, progress = trainer.history.best_epoch, trainer.progress
    kept = f"epoch {best}, its weights are kept" if best else "not evaluated; last weights kept"
    yield line("best", kept)
    if trainer.cut_short:
        yield line("note", trainer.cut_short)
    of_tasks = [f"{task} of evaluation {number}" for task, number in progress.kept_for.items()]
    yield from wrapped("each task", of_tasks)
    if progress.skipped:
        yield line("note", f"{progress.skipped} skipped steps that were not finite")
    if progress.overflowed:
        yield line(
            "note",
            f"{progress.overflowed} skipped steps in which float16 overflowed; each halved the "
            "loss scale",
        )


def _constants(history: History) -> list[str]:
    """Return notes on tasks that predict a constant on the validation rows, in the best epoch."""
    best = [record for record in history.records if record.get("best")]
    notes = best[-1].get("notes", {}) if best else {}
    return [f"{key}: {note}" for key, note in notes.items() if key.endswith(".prediction")]


@contextmanager
def stopping_when_full(path: Path, is_resumable: Callable[[], bool]) -> Iterator[None]:
    """Report a file that cannot be written, as on a full disk, and how to continue.

    Args:
        path: The run folder.
        is_resumable: Whether the run can continue from what is in the folder.

    Raises:
        TrainingError: In place of a `WriteError`.
    """
    try:
        yield
    except WriteError as error:
        then = f"continue with: {resume_command(path)}" if is_resumable() else "start again"
        raise TrainingError(f"{error}; make room for it, then {then}") from error


def write_config(path: Path, config: Config, origin: Path) -> None:
    """Write ``config.yaml`` of a run folder; see `config_text`."""
    folder.write_text(path / folder.CONFIG, config_text(config, origin))


def config_text(config: Config, origin: Path, *, given: bool = False) -> str:
    """Return a config as YAML, with sources that are absolute.

    Args:
        config: The config.
        origin: Where its relative paths start from.
        given: Whether to leave out what was not given, instead of spelling out every default.
    """
    resolved = config.model_dump(mode="json", exclude_unset=given)
    data = resolved.get("data", {})
    for chosen in (data, *(data.get("sources") or {}).values()):
        if chosen.get("type", "files") == "files" and chosen.get("source") is not None:
            chosen["source"] = absolute(chosen["source"], origin)
    text: str = yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)
    return text


def silent(line: str) -> None:
    """Ignore a line of progress."""
