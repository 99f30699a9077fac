"""Which monitored scores rest on few validation labels, so that chance may choose the epoch."""

from collections.abc import Iterator

from motet.figures import counted
from motet.run.label_counts import LabelCounts, count_labels
from motet.run.prepared import AnyPrepared
from motet.tasks.scores import fit_trivial
from motet.training import Trainer
from motet.training.monitor import monitored_tasks, without_value

FEW = 10
"""Labels below which a score is called noisy: among 10 positives, the standard error of an AUROC is
about 0.1."""


def few_label_notes(prepared: AnyPrepared, trainer: Trainer) -> Iterator[str]:
    """Name the tasks that the monitored value rests on and that have few validation labels."""
    names = _averaged(prepared, trainer)
    for counts in (each for part in prepared.parts.values() for each in count_labels(part)):
        few = _few(counts) if counts.task in names else ""
        if few:
            yield f"{counts.task}: {few}; its score is noisy, and {_effect(trainer, names)}"


def _averaged(prepared: AnyPrepared, trainer: Trainer) -> set[str]:
    """Return the tasks that the monitored value depends on and that have a value to average."""
    monitor, model = trainer.monitor, trainer.model
    names = monitored_tasks(monitor, model, prepared.targets)
    tasks = [model.tasks[name] for name in names]
    trivial = fit_trivial(tasks, prepared.known_labels("train", tasks))
    labels = prepared.known_labels("validation", tasks)
    return names - set(without_value(monitor, tasks, labels, trainer.metrics, trivial))


def _effect(trainer: Trainer, names: set[str]) -> str:
    if trainer.monitor in names:
        return "it alone chooses the best epoch"
    what = {"worst": "worst score", "loss": "loss"}.get(trainer.monitor, "mean score")
    count = counted(len(names), "task")
    return f"the {what} of {count}, which chooses the best epoch, depends on it"


def _few(counts: LabelCounts) -> str:
    """Describe what the validation rows have too few of; empty if they have enough."""
    rows = counts.rows["validation"]
    if 0 < rows < FEW:
        return f"{counted(rows, 'labelled row')} in validation"
    by_class = {name: of["validation"] for name, of in counts.classes.items()}
    if not (counts.every_class_scores and by_class):
        return ""
    rarest = min(by_class, key=by_class.__getitem__)
    count = by_class[rarest]
    return f"{counted(count, 'row')} of {rarest!r} in validation" if 0 < count < FEW else ""
