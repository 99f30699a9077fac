"""The model card: ``model/README.md``."""

from collections.abc import Iterable, Iterator, Sequence

from motet.data.selection import listed
from motet.model import MultiTaskModel
from motet.run.lines import data_lines, model_lines, report_lines
from motet.run.prepared import AnyPrepared
from motet.run.shortened import MANY
from motet.training import Report, Trainer
from motet.version import __version__

_USE = (
    "```python",
    "import motet",
    "",
    'motet.load("model").predict("rows.csv")',
    "```",
)


def card(
    prepared: AnyPrepared, model: MultiTaskModel, trainer: Trainer, report: Report | None
) -> str:
    """Describe the model: what it predicts from what, how it was trained, how good it is."""
    return "\n".join(_lines(prepared, model, trainer, report)) + "\n"


def ensemble_card(tasks: Iterable[str], count: int, made: str, quality: Sequence[str] = ()) -> str:
    """Describe several models that predict together.

    Args:
        tasks: What they predict.
        count: How many they are.
        made: How they were made, to begin a sentence with.
        quality: Lines on how good they are, if it is known.

    Returns:
        Markdown.
    """
    lines = [
        f"# An ensemble of {count} models for {', '.join(tasks)}",
        "",
        f"{made}; each has a card of its own",
        "in members/. Their probabilities and numbers are averaged.",
        "",
        *_USE,
        "",
    ]
    if quality:
        lines += ["## Quality", "", *quality, ""]
    return "\n".join(lines)


def _lines(
    prepared: AnyPrepared, model: MultiTaskModel, trainer: Trainer, report: Report | None
) -> Iterator[str]:
    config = prepared.config
    yield f"# A model for {_listed(model.labelled_tasks)}"
    yield ""
    yield f"Trained with motet {__version__}: {config.model.sharing.type} sharing,"
    balancers = ", then ".join(stage.type for stage in config.stages)
    yield f"{balancers} balancing, {trainer.step:,} steps of {trainer.batch_size} rows."
    yield ""
    yield "```"
    yield from model_lines(prepared)
    yield "```"
    yield ""
    yield "## Use"
    yield ""
    yield from _USE
    yield ""
    yield "## Data"
    yield ""
    yield "```"
    yield from data_lines(prepared)
    yield "```"
    yield ""
    yield "## Quality"
    yield ""
    if report is None and any(part.counts["test"] for part in prepared.used.values()):
        yield "The test rows were not evaluated (data.evaluate_test: false), so the quality on new"
        yield "rows is unknown."
    elif report is None:
        yield "There was no test set, so the quality on new rows is unknown."
    else:
        yield "On the test set, which was used for nothing else:"
        yield ""
        yield "```"
        yield from report_lines(model, report)
        yield "```"


def _listed(tasks: Sequence[str]) -> str:
    return ", ".join(tasks) if len(tasks) <= MANY else f"{len(tasks)} tasks: {listed(tasks)}"
