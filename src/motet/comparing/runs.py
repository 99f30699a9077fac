"""The runs of a comparison, as one plan that grows: searches add runs when their round is done.

Every run is an ordinary one, in ``runs/`` of the comparison's folder. Whatever is chosen here is
chosen by validation records. Called again, it continues where it stopped, and chooses the same.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from motet.comparing.methods import Method, Overrides, Part, Unit
from motet.comparing.progress import Progress
from motet.comparing.reading import validation_of
from motet.config import Config, read
from motet.planning import PlannedRun, plan
from motet.planning.halving import Rung, rungs
from motet.registry import BALANCERS, SCHEDULERS
from motet.run.preparing import read_rows


@dataclass(frozen=True)
class Base:
    """What all runs of a comparison start from.

    Args:
        file: The config, every default spelled out.
        config: The same.
        stretch: For some tasks, the epochs that a model of them needs for as many steps, as a
            multiple of the config's; where sources differ in size.
        shortest: The fewest epochs that the config takes, as its tasks may begin late.
    """

    file: Path
    config: Config
    stretch: Mapping[str, float] = field(default_factory=dict)
    shortest: int = 1

    def epochs(self, method: Method, part: Part) -> int:
        """Return the epochs of a model."""
        longer = 1.0 if part is None else min(self.stretch.get(task, 1.0) for task in part)
        return max(1, round(self.config.training.epoch_count * longer * method.share))

    def overrides(self, method: Method, part: Part, epochs: int) -> Iterator[str]:
        """Yield what a model of a method changes in the config, without candidates."""
        training = self.config.training
        yield from method.overrides
        yield from self._without_priorities(method)
        if part is not None and training.monitor in {*self.config.tasks} - {*part}:
            yield "training.monitor=mean"
        for task in part or ():
            yield f"tasks.{task}.enabled=true"
        if epochs != training.epoch_count:
            yield f"training.epochs={epochs}"
            patience = training.early_stopping and training.early_stopping.patience
            if isinstance(patience, int):
                share = epochs / training.epoch_count
                yield f"training.early_stopping.patience={max(1, round(patience * share))}"

    def _without_priorities(self, method: Method) -> Iterator[str]:
        """Yield what removes priorities of tasks that only the config's own balancer reads."""
        changed, _ = read(self.config, [*method.overrides, *method.candidates[0]])
        if "priorities" in SCHEDULERS[changed.scheduling.type].needs or any(
            BALANCERS[stage.type].reads_priorities for stage in changed.stages
        ):
            return
        for task, member in self.config.tasks.items():
            if member.options().get("priority", "normal") != "normal":
                yield f"tasks.{task}.priority=normal"


@dataclass
class Search:
    """The choice of one candidate of a model, round by round.

    Args:
        method: The method.
        part: The tasks of the model.
        unit: Whose validation rows decide.
        epochs: Epochs of the final model.
        shortest: The fewest epochs that the config takes.
    """

    method: Method
    part: Part
    unit: Unit
    epochs: int
    shortest: InitVar[int]
    left: list[int] = field(init=False)
    """Candidates that are still in, by number."""
    _rounds: list[Rung] = field(init=False)

    def __post_init__(self, shortest: int) -> None:
        self._rounds = rungs(len(self.method.candidates), self.epochs, shortest)
        self.left = list(range(len(self.method.candidates)))

    @property
    def round(self) -> Rung | None:
        """The round to train now; None if the choice is made."""
        return self._rounds[0] if self._rounds else None

    def advance(self, values: Mapping[int, float]) -> None:
        """End a round with the monitored values of candidates; equal ones stay in order."""
        self._rounds.pop(0)
        kept = self._rounds[0].count if self._rounds else 1
        self.left = sorted(values, key=lambda each: -values[each])[:kept]


class Runs:
    """The runs of a comparison.

    Args:
        path: The folder of the comparison.
        base: What they start from.
        units: The repetitions.
        data: Rows from Python, if there are any.
        progress: Shows how far it is.
        **options: Of `motet.planning.Plan.carry_out`.
    """

    def __init__(
        self,
        path: Path,
        base: Base,
        units: Sequence[Unit],
        data: Any,
        progress: Progress,
        **options: Any,
    ) -> None:
        self.path, self.base, self.units = path, base, units
        self.failed: dict[str, str] = {}
        """Why runs failed, by name."""
        self.chosen: dict[tuple[str, Part, Unit], int] = {}
        """The number of the candidate of a model in a repetition, where there are several."""
        self._data, self._progress, self._options = data, progress, options
        self._planned: dict[str, PlannedRun] = {}
        self._ended: set[str] = set()
        self._searches: dict[str, list[str]] = {}

    def train(self, methods: Sequence[Method]) -> None:
        """Train methods in every repetition, those trained before aside.

        Raises:
            KeyboardInterrupt: After Ctrl-C, once the runs in progress have saved their state.
        """
        searches = []
        for method in methods:
            self._searches[method.name] = []
            for part in method.parts:
                epochs = self.base.epochs(method, part)
                searches += [
                    Search(method, part, unit, epochs, self.base.shortest)
                    for unit in self.searched_in
                ]
        while True:
            for search in searches:
                self._add(search)
            self._carry_out()
            if not any(search.round for search in searches):
                return
            for search in searches:
                if search.round is not None:
                    self._advance(search, search.round)

    def finals(self, method: Method, unit: Unit) -> list[Path]:
        """Return the run folders of a method's final models, in the order of its parts."""
        return [self._path(self._final(method, part, unit)) for part in method.parts]

    def test_rows(self, unit: Unit) -> pa.Table:
        """Read the raw test rows of a repetition."""
        rows = read_rows(self.base.file, data=self._data, overrides=[unit.override])
        return rows.table.take(pa.array(rows.split.test))

    def why_failed(self, method: Method) -> str:
        """Return why a method has no result, if it has none."""
        for unit in self.units:
            for part in method.parts:
                if (method.name, part, unit) not in self.chosen:
                    names = (name for name in self._searches[method.name] if name in self.failed)
                    return "all candidates failed, " + self._why(next(names))
                name = self._final(method, part, unit)
                if name in self.failed:
                    return self._why(name)
        return ""

    def candidates(self, method: Method) -> list[Path]:
        """Return the run folders of a method's candidates."""
        return [self._path(each) for each in self._searches[method.name] if each not in self.failed]

    @property
    def searched_in(self) -> Sequence[Unit]:
        """Where candidates are compared: in every fold, as the next ones test on its rows."""
        return self.units if self.units[0].kind == "fold" else self.units[:1]

    def deciding(self, unit: Unit) -> Sequence[Unit]:
        """Return the repetitions whose runs may decide what is tested in one of them.

        All seeds have the same test rows; other folds are trained on those of a fold.
        """
        return [unit] if unit.kind == "fold" else self.units

    def _add(self, search: Search) -> None:
        """Plan the round of a search, or once it is over the final models."""
        if search.round is not None:
            for candidate in search.left:
                self._plan(search, candidate, search.unit, search.round)
            return
        for unit in [search.unit] if search.unit.kind == "fold" else self.units:
            for candidate in search.left:  # one, or none if all failed
                self.chosen[search.method.name, search.part, unit] = candidate
                self._plan(search, candidate, unit, None)

    def _plan(self, search: Search, candidate: int, unit: Unit, round_: Rung | None) -> None:
        method, part = search.method, search.part
        epochs = search.epochs if round_ is None else round_.epochs
        overrides: Overrides = (
            *self.base.overrides(method, part, epochs),
            *method.candidates[candidate],
            unit.override,
            *method.further.get(unit, ()),
        )
        name = run_name(method, part, unit, candidate, None if round_ is None else epochs)
        if round_ is not None:
            overrides = (*overrides, "data.evaluate_test=false")
            self._searches[method.name].append(name)
        self._planned[name] = PlannedRun(self.base.file, name, overrides, part)
        self._progress.expect(name, method.name, epochs)

    def _carry_out(self) -> None:
        left = [run for name, run in self._planned.items() if name not in self._ended]
        if not left:
            return
        made = plan(left, self._data, output=self.path, partial=True)
        progress = self._progress
        for outcome in made.carry_out(say=progress.say, ended=progress.end, **self._options):
            progress.done(outcome.name)
            self._ended.add(outcome.name)
            if outcome.status == "failed":
                self.failed[outcome.name] = outcome.error

    def _advance(self, search: Search, round_: Rung) -> None:
        """End the round of a search; candidates that failed are out."""
        method, part, unit = search.method, search.part, search.unit
        values = {}
        for candidate in search.left:
            name = run_name(method, part, unit, candidate, round_.epochs)
            if name not in self.failed:
                values[candidate] = validation_of(self._path(name)).monitored
        search.advance(values)

    def _why(self, name: str) -> str:
        return f"{name}: {self.failed[name]}"

    def _final(self, method: Method, part: Part, unit: Unit) -> str:
        return run_name(method, part, unit, self.chosen[method.name, part, unit])

    def _path(self, name: str) -> Path:
        return self.path / "runs" / name


def part_name(method: Method, part: Part) -> str:
    """Return the name of a model of a method; empty if it is one of all tasks."""
    if part is None:
        return ""
    number = list(method.parts).index(part) + 1
    return f"{number}.{part[0] if len(part) == 1 else 'group'}"


def run_name(
    method: Method, part: Part, unit: Unit, candidate: int, epochs: int | None = None
) -> str:
    """Return the name of a run: of a final model, or with epochs of a round of a search."""
    of_search = [f"candidate-{candidate + 1}"] if len(method.candidates) > 1 else []
    of_search += [] if epochs is None else [f"epochs-{epochs}"]
    model = re.sub(r"[^A-Za-z0-9_.]+", "_", part_name(method, part))[:60]
    return "-".join(filter(None, [method.name, model, *of_search, unit.name]))
