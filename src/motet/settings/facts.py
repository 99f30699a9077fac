"""What rules know of the data, and what they return."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple

from motet.registry import AUXILIARY


@dataclass(frozen=True)
class InputFacts:
    """What rules know of one input."""

    kind: str
    """Its type, such as "number" or "text"."""
    distinct_words: int = 0
    """Number of different words, in lower case, of the training rows or a sample of them."""
    words: int = 0
    """Number of words of all training rows, estimated from the same rows."""
    labelled_words: bool = False
    """Whether a task labels its words."""


@dataclass(frozen=True)
class Facts:
    """What rules know of the data.

    Args:
        rows: Training rows; of several sources, those of the largest.
        validation_rows: Validation rows of all sources.
        inputs: The inputs, by name.
        tasks: The type of each enabled task, by name.
        span_tags: How many tags a task has, of each task whose tags spell spans.
        sources: Training rows of each of several sources, by name.
    """

    rows: int
    validation_rows: int = 0
    inputs: Mapping[str, InputFacts] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)
    span_tags: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)

    @property
    def kinds(self) -> frozenset[str]:
        """The types of inputs."""
        return frozenset(each.kind for each in self.inputs.values())


class Setting(NamedTuple):
    """What a rule chose."""

    value: Any
    reason: str
    """Why, in words that follow a colon."""


@dataclass(frozen=True)
class Case:
    """What a rule decides on.

    Args:
        facts: The data.
        config: The config as plain values, with what earlier rules chose.
        value: What the key has: ``auto``, or the default where it was left out.
        name: The input or task that the key belongs to; empty elsewhere.
    """

    facts: Facts
    config: Mapping[str, Any]
    value: Any
    name: str = ""

    def input(self) -> InputFacts:
        """Return the facts about the input that the key belongs to."""
        return self.facts.inputs[self.name]

    def rows(self) -> int:
        """Return the training rows of the largest source, among those without an own batch size."""
        own = self._sizes()
        others = [rows for name, rows in self.facts.sources.items() if name not in own]
        return max(others, default=self.facts.rows)

    def steps(self) -> int:
        """Return the optimizer steps of an epoch; about, where a step combines several draws."""
        size: int = self.config["training"]["batch_size"]
        own = self._sizes()
        sources = self.facts.sources or {"": self.facts.rows}
        batches = max(ceil(rows / own.get(name, size)) for name, rows in sources.items())
        count = sum(kind not in AUXILIARY for kind in self.facts.tasks.values()) or 1
        scheduling = self.config.get("scheduling") or {}
        if scheduling.get("combine") == "cycle":
            return ceil(batches / count)
        if scheduling.get("type") == "task_balanced":  # each task has a share of a batch to itself
            return ceil(self.facts.rows / max(size // count, 1))
        return batches

    def _sizes(self) -> dict[str, int]:
        """Return the batch sizes of sources that have their own."""
        found: dict[str, int] = {}
        for task in (self.config.get("tasks") or {}).values():
            size, named = task.get("batch_size"), task.get("source")
            if size is not None:
                found |= dict.fromkeys([named] if isinstance(named, str) else named or (), size)
        return found

    def encoders(self) -> frozenset[str]:
        """Return the types of the encoders that the inputs use."""
        found = set()
        for options in (self.config.get("inputs") or {}).values():
            own = options.get("encoder") or self.config["model"]["encoder"]
            found.add(own if isinstance(own, str) else own["type"])
        return frozenset(found)
