"""The methods that a comparison trains: what each changes in the config, and its candidates.

A method is one model of all tasks, or several models of some tasks each, as single-task models are.
Where it has candidates, such as learning rates, one is chosen on validation rows, for each model.
Methods that need finished runs of others are in `motet.comparing.following`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from motet.comparing.candidates import task_weights
from motet.config import Config, ConfigError, read
from motet.figures import counted
from motet.problems import InputError, shown
from motet.registry import KINDS

OWN = "config"
SINGLE = "single"
EQUAL_COMPUTE = "single_equal_compute"
SCALARISATION = "scalarisation"
GRID = (1.0, 1 / 3, 3.0)
"""Learning rates of the scalarisation, as multiples of the config's."""

Overrides = tuple[str, ...]
Member = str | Mapping[str, Any]
"""A member's name, or its ``type`` with options."""
Part = tuple[str, ...] | None
"""The tasks of a model; None for all."""


@dataclass(frozen=True)
class Unit:
    """One repetition of every method: a seed or a fold."""

    kind: str
    """"seed" or "fold"."""
    number: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.number}"

    @property
    def override(self) -> str:
        key = "training.seed" if self.kind == "seed" else "data.split.fold"
        return f"{key}={self.number}"


@dataclass(frozen=True)
class Method:
    """One way to train the tasks.

    Args:
        name: Its name in results and run folders.
        what: What it is, in words.
        overrides: What it changes in the config.
        models: The tasks of each of its models; None for one model of all tasks.
        candidates: Further overrides, of which one is chosen on validation rows.
        share: Steps of its models, as a multiple of those of the config's model.
        source: The method whose finished runs determine ``further``, if there is one.
        tasks: The tasks that it is about then.
        further: By repetition, what else it changes in the config.
    """

    name: str
    what: str
    overrides: Overrides = ()
    models: tuple[tuple[str, ...], ...] | None = None
    candidates: tuple[Overrides, ...] = ((),)
    share: float = 1.0
    source: "Method | None" = None
    tasks: tuple[str, ...] = ()
    further: Mapping[Unit, Overrides] = field(default_factory=dict)

    @property
    def parts(self) -> Sequence[Part]:
        """The tasks of each model; None stands for all."""
        return [None] if self.models is None else self.models


def single_task(config: Config, tasks: Sequence[str], share: float = 1.0) -> Method:
    """Return one model for each task: the config's encoder and head, with nothing to share.

    Args:
        config: The config, every default spelled out.
        tasks: The tasks.
        share: Steps of each model, as a multiple of those of the config's model.
    """
    alone = ["balancing=equal", "scheduling=all"]
    if config.model.sharing.type != "hard":
        alone.append("model.sharing=hard")
    name = SINGLE if share == 1 else EQUAL_COMPUTE
    steps = "as many steps" if share == 1 else f"{share:.2f} x the steps, together the compute"
    what = f"one model for each task, {steps} as of the config's model"
    return Method(name, what, tuple(alone), tuple((task,) for task in tasks), share=share)


def own_model(config: Config) -> Method:
    """Return the config's own model."""
    stages = ", then ".join(stage.type for stage in config.stages)
    return Method(OWN, f"the model of the config: sharing {config.model.sharing.type}, {stages}")


def with_members(kind: str, given: Iterable[Member]) -> list[Method]:
    """Return the config's model with other balancers or sharing schemes.

    Args:
        kind: "balancer" or "sharing".
        given: Names, or mappings with a ``type``.

    Raises:
        InputError: If a name is unknown.
    """
    option, key = ("balancers", "balancing") if kind == "balancer" else (kind, "model.sharing")
    found: list[Method] = []
    if isinstance(given, (str, Mapping)):
        raise InputError(f"found {shown(given)}; expected a list, [{shown(given)}]", option=option)
    for member in given:
        name = member.get("type") if isinstance(member, Mapping) else member
        if not isinstance(name, str):
            raise InputError(
                f"found {shown(member)}; expected a name, or a mapping with a type", option=option
            )
        try:
            KINDS[kind].known(name)
        except InputError as error:
            raise InputError(error.message, option=option) from None
        value = json.dumps(dict(member)) if isinstance(member, Mapping) else name
        what = f"the config's model with {key.split('.')[-1]} {value}"
        same = sum(each.name.rpartition("-")[0] == name or each.name == name for each in found)
        found.append(Method(f"{name}-{same + 1}" if same else name, what, (f"{key}={value}",)))
    return found


def scalarisation(
    tasks: Sequence[str], compared: Sequence[str], rates: Sequence[float], count: int, seed: int
) -> Method:
    """Return the weighted sum of the losses, whose weights and learning rate are chosen.

    Specialised balancers must beat it (Kurin et al., NeurIPS 2022, arXiv:2201.04122; Xin et al.,
    NeurIPS 2022, arXiv:2209.11379).

    Args:
        tasks: All tasks that have a loss; those that are not compared keep weight 1.
        compared: The tasks whose weights vary.
        rates: The learning rates.
        count: Number of candidates, weights times learning rates.
        seed: Seed of the weights.
    """
    several: list[Overrides] = [(learning_rate(rate),) for rate in rates] or [()]
    weights = task_weights(compared, -(-count // len(several)), seed)
    balancing = [
        json.dumps({"type": "manual", "weights": dict.fromkeys(tasks, 1.0) | each})
        for each in weights
    ]
    found = [(f"balancing={each}", *rate) for each in balancing for rate in several][:count]
    what = (
        "a weighted sum of the losses: the best on validation rows of "
        f"{counted(len(found), 'candidate')}, {len(weights)} weights and "
        f"{counted(len(several), 'learning rate')}"
    )
    return Method(SCALARISATION, what, candidates=tuple(found))


def tuned(method: Method, rates: Sequence[float]) -> Method:
    """Return a method whose learning rate is chosen on validation rows."""
    return replace(method, candidates=tuple((learning_rate(rate),) for rate in rates))


def unlike(methods: Sequence[Method], config: Config) -> list[Method]:
    """Leave out methods that change nothing in a config, such as its own balancer.

    Returns:
        The others.

    Raises:
        InputError: If a method does not fit the config.
    """
    found = []
    for method in methods:
        try:
            changed = read(config, method.overrides)[0] != config
        except (ConfigError, InputError) as error:
            raise InputError(f"method {method.name!r}: {error}") from None
        if changed:
            found.append(method)
    return found


def learning_rate(value: float) -> str:
    """Return the override of a learning rate, with three digits."""
    return f"training.optimizer.learning_rate={float(f'{value:.3g}')!r}"
