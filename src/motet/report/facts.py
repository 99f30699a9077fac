"""What a report is made from: plain values, NumPy arrays and the records of ``metrics.jsonl``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.tags import TagSet

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Record = Mapping[str, Any]


@dataclass(frozen=True)
class ClassRows:
    """Rows with one of several classes each."""

    names: Sequence[str]
    """The classes, in order."""
    truth: Integers
    """Places of the true classes, (N,)."""
    predicted: Integers
    """Places of the predicted ones, (N,)."""
    probabilities: Floats | None
    """(N, C)."""
    rows: Integers
    """Their numbers in the source, (N,)."""
    source: str = ""


@dataclass(frozen=True)
class NumberRows:
    """Rows with a number each."""

    truth: Floats
    """(N,), in the unit of the labels."""
    predicted: Floats
    rows: Integers
    source: str = ""
    title: str = ""
    """Which output, of a task with several."""
    quantiles: Mapping[str, Floats] = field(default_factory=dict)
    """Predicted quantiles by level, of a task that has some."""


@dataclass(frozen=True)
class TagRows:
    """Rows with any number of labels each."""

    names: Sequence[str]
    truth: Floats
    """0 or 1, NaN where unknown, (N, C)."""
    predicted: Floats
    """0 or 1, (N, C)."""
    probabilities: Floats | None
    """(N, C)."""
    rows: Integers
    source: str = ""


@dataclass(frozen=True)
class ListRows:
    """Rows with a tag for each word."""

    tags: TagSet
    truth: Integers
    """Places of the true tags, -100 where there is none, (N, L)."""
    predicted: Integers
    """Places of the predicted ones, -100 where there is none, (N, L)."""
    rows: Integers
    source: str = ""


@dataclass(frozen=True)
class RankedRows:
    """Rows that are put in order inside their lists."""

    truth: Floats
    """Relevance, (N,)."""
    predicted: Floats
    """Scores, (N,)."""
    lists: Sequence[str]
    """The list of each row."""
    rows: Integers
    source: str = ""


@dataclass(frozen=True)
class TextRows:
    """Rows with a text each."""

    truth: Sequence[str]
    predicted: Sequence[str]
    rows: Integers
    source: str = ""


TaskRows = ClassRows | NumberRows | TagRows | ListRows | RankedRows | TextRows


@dataclass(frozen=True)
class TaskFacts:
    """One task of a run."""

    name: str
    type: str
    """As in the config."""
    main: bool = True
    summary: str = ""
    """What its labels are, in a word or two."""
    test: Sequence[TaskRows] = ()
    """Labelled test rows; of a task with several outputs, one entry for each."""
    note: str = ""
    """Why there are no such rows, if there are none."""


@dataclass(frozen=True)
class RunFacts:
    """One run."""

    name: str
    path: str
    tasks: Mapping[str, TaskFacts]
    """Those with labels that were trained, by name."""
    steps: Sequence[Record] = ()
    """Records of steps."""
    epochs: Sequence[Record] = ()
    """Records of epochs, on training rows."""
    evaluations: Sequence[Record] = ()
    """Records of evaluations on validation rows."""
    test: Record | None = None
    """The record of the test."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The content of ``data.json``."""
    earlier: Mapping[str, Any] = field(default_factory=dict)
    """The content of ``from_run.json``."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
    """As YAML."""
    card: str = ""
    """The model card, if the run is finished."""
    sharing: str = ""
    """Name of the sharing scheme."""
    balancing: str = ""
    """Names of the balancers, stage by stage."""
    inputs: Mapping[tuple[str, int], Mapping[str, str]] = field(default_factory=dict)
    """By source and row, the inputs of rows that the report shows."""
    notes: Sequence[str] = ()
    """What could not be read, and why."""

    @property
    def scores(self) -> dict[str, float | None]:
        """The score of each task: on test rows, else the best evaluation on validation rows."""
        found = (self.outcome or {}).get("scores") or {}
        return {task: found.get(task) for task in self.tasks}

    @property
    def outcome(self) -> Record | None:
        """The record that results are taken from: the test, else the best evaluation."""
        if self.test is not None:
            return self.test
        found = [r for r in self.evaluations if r.get("best")] or self.evaluations
        return found[-1] if found else None
