"""What a comparison was asked, and what was settled before it began: ``comparison.json``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from motet.comparing.estimating import Cost
from motet.comparing.following import distilled, grouped
from motet.comparing.methods import (
    EQUAL_COMPUTE,
    GRID,
    OWN,
    SINGLE,
    Member,
    Method,
    Unit,
    own_model,
    scalarisation,
    single_task,
    tuned,
    unlike,
    with_members,
)
from motet.comparing.runs import Base
from motet.comparing.summary import TaskMetric
from motet.config import Config, read
from motet.problems import MALFORMED, InputError, reason, shown
from motet.run import folder
from motet.version import __version__

FILE = "comparison.json"
CONFIG = "config.yaml"


@dataclass(frozen=True)
class Question:
    """What was asked; the arguments of `motet.compare`."""

    config: str
    """The config as YAML, without what it leaves to the data."""
    balancers: Sequence[Member] = ()
    sharing: Sequence[Member] = ()
    seeds: int | None = None
    single_task: bool = True
    candidates: int = 27
    learning_rates: Sequence[float] | None = None
    minutes: float | None = None
    distil: bool = False
    groups: bool = False

    def check(self) -> None:
        """Check numbers.

        Raises:
            InputError: If one does not fit.
        """
        for option, least in {"seeds": 1, "candidates": 0}.items():
            value = getattr(self, option)
            if value is not None and (not isinstance(value, int) or value < least):
                raise InputError(f"found {value!r}; expected a number >= {least}", option=option)
        if self.minutes is not None and not _is_positive(self.minutes):
            raise InputError(f"found {self.minutes!r}; expected a number > 0", option="minutes")
        if self.distil and not self.single_task:
            raise InputError(
                "found no single-task models, which are the teachers"
                + (" and what a suggestion is tested against" if self.groups else "")
                + "; leave single_task=False (--no-single) out",
                option="suggest" if self.groups else "distil",
            )
        rates = [] if self.learning_rates is None else self.learning_rates
        if not (isinstance(rates, Sequence) and all(_is_positive(rate) for rate in rates)):
            raise InputError(
                f"found {shown(rates)}; expected a list of numbers > 0", option="learning_rates"
            )

    def other_than(self, known: Mapping[str, Any]) -> list[str]:
        """Return the arguments that another question had otherwise."""
        own = json.loads(json.dumps(asdict(self)))
        return [name for name, value in own.items() if known.get(name) != value]


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and value > 0


@dataclass(frozen=True)
class Settled:
    """What was settled before the first run, so that a comparison that continues is the same."""

    tasks: Mapping[str, TaskMetric]
    """The tasks that are compared, and by which metric."""
    losses: Sequence[str]
    """All tasks that have a loss."""
    unit: str
    repeats: int
    candidates: int
    share: float
    """Steps of single-task models with equal total compute, as a multiple of the config's."""
    stretch: Mapping[str, float]
    shortest: int
    """The fewest epochs that the config takes."""
    taught: Sequence[str]
    """Tasks that can learn from a teacher."""
    grouped: Sequence[str]
    """Tasks among which affinity suggests groups; none where it cannot."""
    costs: Mapping[str, Cost]
    """Estimated costs of a run of each method."""
    notes: Sequence[str] = field(default_factory=tuple)

    def units(self, config: Config) -> list[Unit]:
        """Return the repetitions."""
        first = 1 if self.unit == "fold" else config.training.seed
        return [Unit(self.unit, first + number) for number in range(self.repeats)]


def methods_of(question: Question, config: Config, settled: Settled) -> list[Method]:
    """Return the methods of a comparison, the baseline first.

    Args:
        question: What was asked.
        config: The config, every default spelled out.
        settled: What was settled.

    Raises:
        InputError: If a name is unknown or two methods have one.
    """
    tasks, rates = list(settled.tasks), question.learning_rates
    found: list[Method] = []
    if question.single_task:
        found.append(single_task(config, tasks))
        if _shorter(settled, config):
            found.append(single_task(config, tasks, settled.share))
    found.append(own_model(config))
    others = with_members("balancer", question.balancers)
    found += unlike([*others, *with_members("sharing", question.sharing)], config)
    if rates:
        found = [tuned(method, rates) for method in found]
    if settled.candidates:
        base = config.training.optimizer.options().get("learning_rate")
        grid = rates or ([] if base is None else [base * factor for factor in GRID])
        seed = config.training.seed
        found.append(scalarisation(settled.losses, tasks, grid, settled.candidates, seed))
    by_name = {method.name: method for method in found}
    following = []
    if question.distil and settled.taught:
        following.append(distilled(by_name[SINGLE], settled.taught))
    if question.groups and settled.grouped:
        following.append(grouped(by_name[OWN], config, settled.grouped))
    found += [tuned(method, rates) for method in following] if rates else following
    names = [method.name for method in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two methods are named {name!r}; leave one out")
    return found


def _shorter(settled: Settled, config: Config) -> bool:
    """Whether equal compute gives other epochs than equal steps."""
    return round(config.training.epoch_count * settled.share) != config.training.epoch_count


def baseline_of(methods: Sequence[Method]) -> tuple[str, str | None]:
    """Return the names of the baseline, and of single-task models with equal compute, if any."""
    names = [method.name for method in methods]
    equal = EQUAL_COMPUTE if EQUAL_COMPUTE in names else None
    return (SINGLE if SINGLE in names else OWN), equal


def write(path: Path, question: Question, settled: Settled) -> None:
    """Write ``comparison.json``."""
    content = {"motet": __version__, "asked": asdict(question), "settled": asdict(settled)}
    folder.write_json(path / FILE, content)


def read_settled(path: Path, question: Question) -> tuple[Base, Settled]:
    """Read what was settled, for a comparison that continues.

    Returns:
        What runs start from, and what was settled.

    Raises:
        InputError: If the folder has another comparison.
    """
    file = path / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        other = question.other_than(content["asked"])
        given = content["settled"]
        settled = Settled(
            **{
                **given,
                "tasks": {task: TaskMetric(**each) for task, each in given["tasks"].items()},
                "costs": {name: Cost(**each) for name, each in given["costs"].items()},
            }
        )
    except MALFORMED as error:
        raise InputError(
            f"{file} is not what motet writes: {reason(error)}; name another folder"
        ) from None
    if other:
        raise InputError(
            f"{path} holds another comparison, with other {', '.join(other)}; name another folder, "
            "or ask for the same to continue it",
            option="output",
        )
    config = read(path / CONFIG)[0]
    return Base(path / CONFIG, config, settled.stretch, settled.shortest), settled
