"""What loggers have in common: which numbers of a record they log, under which names."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from motet.extras import imported
from motet.training.observers import Observed, Observer
from motet.training.records import EpochRecord, EvaluationRecord, Record, StepRecord

RUN = "run.txt"
"""The file with what the tracker calls the training."""
_SINGLE = ("learning_rate", "gradient_norm", "penalty", "score", "monitored")


class Logger(Observer):
    """Logs the numbers of every record: ``train/TASK/loss``, ``validation/TASK/accuracy``, ...

    Mean losses of epochs are ``train/TASK/mean_loss``; cosines of gradients ``train/cosine/A/B``.

    Args:
        folder: Where files go.
        settings: What else describes the training, such as a config; nested mappings are joined by
            dots.
        name: What the tracker calls it; the folder's name if left out.
        close: Whether logging ends with `motet.Trainer.fit`.

    Raises:
        InputError: If the tracker's package is not installed.
    """

    package: ClassVar[str]
    """The package that it needs."""

    def __init__(
        self,
        folder: str | Path,
        *,
        settings: Mapping[str, Any] | None = None,
        name: str | None = None,
        close: bool = True,
    ) -> None:
        self.folder, self.settings = Path(folder), dict(flat(settings or {}))
        self.name, self._closes = name or self.folder.absolute().name, close
        self._is_open = False
        imported(self.package, f"{type(self).__name__} needs")

    @abstractmethod
    def begin(self, step: int) -> None:
        """Open the log; one of a training that resumes continues after ``step`` steps.

        Raises:
            InputError: If the tracker cannot be used as it is set up.
        """

    @abstractmethod
    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Log some numbers, by name."""

    @abstractmethod
    def end(self) -> None:
        """Close the log."""

    def known_run(self, step: int) -> str | None:
        """Return what the tracker called the training that resumes; None of a new one."""
        file = self.folder / RUN
        return file.read_text(encoding="utf-8") if step and file.is_file() else None

    def remember_run(self, run: str) -> None:
        """Keep what the tracker calls the training, for `known_run`."""
        (self.folder / RUN).write_text(run, encoding="utf-8")

    def write(self, record: Record) -> None:
        """Log the numbers of a record."""
        self.log(dict(numbers_of(record)), record.as_dict()["step"])

    def close(self) -> None:
        """Close the log, if it is open."""
        if self._is_open:
            self._is_open = False
            self.end()

    def on_begin(self, trainer: Observed) -> None:
        if not self._is_open:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.begin(trainer.step)
            self._is_open = True

    def on_step(self, trainer: Observed, record: StepRecord) -> None:
        self.write(record)

    def on_epoch(self, trainer: Observed, record: EpochRecord) -> None:
        self.write(record)

    def on_evaluation(self, trainer: Observed, record: EvaluationRecord) -> None:
        self.write(record)

    def on_end(self, trainer: Observed) -> None:
        if self._closes:
            self.close()


def numbers_of(record: Record) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a record, each with its name."""
    found = record.as_dict()
    split, epoch = found["split"], isinstance(record, EpochRecord)
    for task, values in found["tasks"].items():
        for name, value in values.items():
            if not epoch:
                yield f"{split}/{task}/{name}", float(value)
            elif name == "loss":
                yield f"{split}/{task}/mean_loss", float(value)
    for name in _SINGLE:
        if found.get(name) is not None and not (epoch and name == "learning_rate"):
            yield f"{split}/{name}", float(found[name])
    for name, value in (found.get("fusion") or {}).items():
        yield f"{split}/fusion/{name}", float(value)
    tasks = found.get("compared") or list(found["tasks"])
    for row, cosines in enumerate(found.get("cosines") or ()):
        for column in range(row):
            if cosines[column] is not None:
                yield f"{split}/cosine/{tasks[column]}/{tasks[row]}", float(cosines[column])


def flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested settings as pairs, with keys joined by dots."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
