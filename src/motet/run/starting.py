"""Runs that start from an earlier run: what its inputs, model and labels fix in the new config.

Weights mean something only with the vocabularies, scales and classes that they were trained with,
so these are taken over, and what the config leaves out is as in the earlier run. What it gives and
is different there is refused. `motet.run.starting_weights` then loads the weights.
"""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from motet import config as configs
from motet.config import Config
from motet.config.places import with_absolute, without_paths
from motet.config.schema import current
from motet.data.inputs.image import Image
from motet.data.preprocessing import Preprocessing
from motet.data.selection import listed
from motet.options import read_options
from motet.problems import InputError, hint, shown
from motet.registry import TASKS
from motet.run import folder
from motet.run.sealed import read_sealed
from motet.run.starts import ENCODER, INPUTS, Start
from motet.writing import writing

_OF_EACH_RUN = frozenset(
    {
        *("weight", "main", "priority", "enabled", "learning_rate", "batch_size", "source", "rows"),
        *("row_weight", "weighted_metrics", "evaluate_every", "metrics", "from_run"),
    }
)
"""Options of a task that are not taken over: how it is trained and evaluated, and on which rows."""
_OF_TRAINING = frozenset(
    {
        *("loss", "class_weights", "label_smoothing", "gamma", "delta", "censored", "pos_weight"),
        *("threshold", "mean_over", "form", "weighting", "margin", "distance", "dropout", "beams"),
        *("length_penalty", "length_form", "frequency", "balanced", "share", "window", "scored"),
        *("views", "temperature"),
    }
)
"""Options of a task that are taken over where they are left out, and may be other ones here."""
_MODEL = ("encoder", "fusion", "sharing")

Plain = dict[str, Any]


@dataclass
class _Asked:
    """What a config asks of one earlier run."""

    parts: list[str] = field(default_factory=list)
    everything: bool = False
    """Whether all that both runs have is asked for."""


def started(
    config: Config, origin: Path, kept: Path | None = None
) -> tuple[Config, tuple[Start, ...]]:
    """Find the earlier runs that a config names, and take over what they fix.

    Args:
        config: The config, as it was read.
        origin: Where its relative paths start from.
        kept: The folder of a run that began before, which has copies of the earlier runs.

    Returns:
        The config, in which inputs, model and tasks are those of the earlier runs as far as they
        are taken; and the earlier runs.

    Raises:
        InputError: If one cannot be used, or differs from what the config gives.
    """
    config = _absolute(config, origin)
    starts: list[Start] = []
    given: Plain = config.model_dump(exclude_unset=True)
    own: Plain = without_paths(config).model_dump(exclude_unset=True)
    for number, (path, asked) in enumerate(_asked(config).items(), 1):  # as `copied` numbers them
        run = _loaded(path, kept and kept / folder.FROM_RUN / str(number))
        start = _chosen(path, asked, run, config)
        given = _merged(given, own, start)
        starts.append(start)
    if not starts:
        return config, ()
    _refuse_overlap(starts)
    return current().model_validate(given), tuple(starts)


def _absolute(config: Config, origin: Path) -> Config:
    """Return a config with absolute paths, if it starts from a run; they are compared."""
    return with_absolute(config, origin) if _asked(config) else config


def _asked(config: Config) -> dict[str, _Asked]:
    """Return what is asked of each earlier run, by its path."""
    found: dict[str, _Asked] = {}
    if config.from_run is not None:
        whole = found.setdefault(config.from_run.path, _Asked())
        whole.parts += config.from_run.parts or ()
        whole.everything = config.from_run.parts is None
    sections = ((INPUTS, config.inputs or {}), ("", config.tasks))
    for before, members in sections:
        for name, member in members.items():
            if member.from_run is not None:
                found.setdefault(member.from_run, _Asked()).parts.append(before + name)
    return found


def _loaded(path: str, kept: Path | None) -> Any:
    """Load an earlier run, or its copy in the folder of the run that starts from it."""
    from motet.run.ensembles import Ensemble  # they need torch
    from motet.run.loading import load

    place = kept if kept is not None and kept.is_dir() else Path(path)
    if (place / folder.CONFIG).is_file() and not (place / folder.MODEL).is_dir():
        raise InputError(
            f"the run {place} has no trained model, as it is not finished; finish it first: "
            f"motet resume {place}"
        )
    found = load(place)
    if isinstance(found, Ensemble):
        raise InputError(
            f"the run {place} has {len(found.members)} models; name one of them, such as "
            f"{found.members[0].path}"
        )
    return found


def _chosen(path: str, asked: _Asked, run: Any, config: Config) -> Start:
    """Return what is taken of a run.

    Raises:
        InputError: If a part is unknown, or not there.
    """
    trained = [name for name in run.model.tasks.names if name in _trained(run)]
    own = list(run.reader.preprocessing.shapes().own)
    known = [ENCODER, *(INPUTS + name for name in own), *trained]
    for part in asked.parts:
        if part not in known:
            raise InputError(_unknown(part, path, run, known))
    tasks = [name for name in trained if name in asked.parts or asked.everything]
    tasks = [name for name in tasks if name in config.tasks or name in asked.parts]
    for name in tasks:
        if name not in config.tasks:
            raise InputError(f"parts: this run has no task {name!r}; {hint(name, config.tasks)}")
        old, new = run.config.tasks[name].type, config.tasks[name].type
        if old != new:
            raise InputError(
                f"task {name!r} is {new} here and {old} in {path}, so its head cannot be taken; "
                f"give it another name, or parts: [{ENCODER}] to take the encoder alone"
            )
    whole = asked.everything or bool(tasks) or ENCODER in asked.parts
    inputs = list(run.config.inputs or {})
    if not whole:
        inputs = [name for name in inputs if INPUTS + name in asked.parts]
    return Start(path, run, whole, tuple(inputs), tuple(tasks))


def _trained(run: Any) -> Collection[str]:
    """Return the tasks of a run whose heads were trained."""
    return [
        name
        for name, task in run.config.tasks.items()
        if task.options().get("enabled") is not False
    ]


def _unknown(part: str, path: str, run: Any, known: Sequence[str]) -> str:
    name = part.removeprefix(INPUTS)
    if part != name and name in (run.config.inputs or {}):
        return (
            f"found {part!r}, which the encoder of the table reads with other inputs; expected "
            f"{ENCODER}, which is taken as a whole"
        )
    if part in run.config.tasks:
        return f"found {part!r}, which is disabled in {path}, so its head was not trained"
    return f"found {part!r}, which {path} does not have; {hint(part, known)}"


def _refuse_overlap(starts: Sequence[Start]) -> None:
    """Refuse two runs for one thing."""
    whole = [each for each in starts if each.whole]
    if len(whole) > 1:
        raise InputError(
            f"found the encoders of {whole[0].path} and {whole[1].path}; heads are taken with the "
            "encoder that they read, so expected one run for all of them"
        )
    for start in starts:
        other = next((each for each in starts if each is not start and each.inputs), None)
        if start.whole and other is not None:
            raise InputError(
                f"found {start.path} for all inputs, and {other.path} for {listed(other.inputs)}; "
                f"remove one of them, or name the inputs of each: parts: [{INPUTS}NAME]"
            )


def copied(starts: Sequence[Start], path: Path) -> None:
    """Copy the models of earlier runs into the folder of a run, which can then do without them."""
    for number, start in enumerate(starts, 1):
        with writing(path / folder.FROM_RUN):
            to = path / folder.FROM_RUN / str(number)
            shutil.copytree(folder.model_folder(start.run.path), to, dirs_exist_ok=True)


# What the earlier run fixes -----------------------------------------------------------------------


def _merged(given: Plain, own: Plain, start: Start) -> Plain:
    """Return what a config gives, completed by what is taken.

    Args:
        given: What it gives.
        own: The same without paths.
        start: The earlier run.

    Raises:
        InputError: If it gives something else; all differences are listed.
    """
    old = without_paths(start.run.config)
    wrong = [*_different_inputs(own, old, start), *_different_tasks(own, start)]
    if start.whole:
        model = own.get("model", {})
        for key in _MODEL:
            wrong += _differences(f"model.{key}", model.get(key), getattr(old.model, key))
    if wrong:
        raise InputError(
            f"{start.path} cannot be taken, as it differs: {'; '.join(wrong)}. Leave out what is "
            "to be as there, or take other parts"
        )
    made = dict(given)
    made["inputs"] = _inputs(given.get("inputs"), start)
    if start.whole:
        earlier = start.run.config.model.model_dump()
        made["model"] = {key: earlier[key] for key in _MODEL}
    made["tasks"] = {
        name: _task(task, start.run.config.tasks[name].model_dump())
        if name in start.tasks
        else task
        for name, task in given["tasks"].items()
    }
    return made


def _different_inputs(own: Plain, old: Config, start: Start) -> Iterator[str]:
    """Yield differences between given inputs and those that are taken."""
    inputs, earlier = own.get("inputs"), old.inputs or {}
    if inputs is None:
        if not start.whole:
            yield f"inputs: found none; expected them by name, {listed(start.inputs)} among them"
        return
    lacking = [name for name in start.inputs if name not in inputs]
    more = [name for name in inputs if name not in earlier] if start.whole else []
    if lacking:
        yield f"inputs: {listed(lacking)} of it are missing here"
    if more:
        yield f"inputs: {listed(more)} are not among its inputs"
    for name in start.inputs:
        if name in inputs:
            yield from _differences(f"inputs.{name}", inputs[name], _input(start.run, name))


def _different_tasks(own: Plain, start: Start) -> Iterator[str]:
    """Yield differences in labels and heads, between given tasks and those that are taken."""
    for name in start.tasks:
        given, earlier = own["tasks"][name], start.run.config.tasks[name].options()
        learned = start.run.reader.preprocessing.target(name).learned()
        for option, value in given.items() if isinstance(given, Mapping) else ():
            known = (earlier.get(option), learned.get(option))
            if option in _OF_EACH_RUN | _OF_TRAINING | {"type"} or _listed(value) in known:
                continue
            expected = known[1] if known[0] is None else known[0]
            yield from _differences(f"tasks.{name}.{option}", value, expected)


def _differences(key: str, given: Any, earlier: Any) -> Iterator[str]:
    """Yield where given options are not those of an earlier run."""
    if hasattr(earlier, "model_dump"):
        earlier = earlier.model_dump()
    if isinstance(earlier, Mapping):
        if isinstance(given, str):
            given = {"type": given}
        for name, value in given.items() if isinstance(given, Mapping) else ():
            if name != "from_run":
                yield from _differences(f"{key}.{name}", value, earlier.get(name))
    elif given is not None and _listed(given) != _listed(earlier):
        yield f"{key}: found {shown(_listed(given))}, expected {shown(_listed(earlier))}"


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _inputs(given: Plain | None, start: Start) -> Plain:
    """Return inputs with all options of those that are taken, these in the order of their run."""
    own, taken = given or {}, Plain()
    for name in start.inputs:
        here, there = own.get(name, {}), _input(start.run, name)
        own_paths = dict(here) if isinstance(here, Mapping) else {}  # all else is equal
        taken[name] = {**there, **own_paths}
        if "encoder" in there:
            taken[name]["encoder"] = there["encoder"]
    if start.whole:
        return taken
    return {name: taken.get(name, each) for name, each in own.items()}


def _input(run: Any, name: str) -> Plain:
    """Return the options of an input; those of its encoder fit its weights, without other files."""
    found: Plain = run.config.inputs[name].model_dump()
    if "encoder" in found:
        file = folder.model_folder(run.path) / "config.json"
        config = configs.read(read_sealed(file)["config"])[0]
        found["encoder"] = (config.inputs or {})[name].options()["encoder"]
    return found


def _task(given: Any, earlier: Plain) -> Plain:
    """Return the options of a task, those that it leaves out as in an earlier run."""
    own = {"type": given} if isinstance(given, str) else dict(given)
    made = {**{k: v for k, v in earlier.items() if k not in _OF_EACH_RUN}, **own}
    for option in read_options(TASKS, earlier["type"]):
        tied = option.only_with
        if tied is not None and option.name not in own and made[tied.option] not in tied.values:
            made.pop(option.name, None)  # of a loss, say, that is another one here
    return made


# What was learned ---------------------------------------------------------------------------------


def with_learned(made: Preprocessing, starts: Sequence[Start]) -> Preprocessing:
    """Return preprocessing in which what is taken of earlier runs has learned everything.

    Args:
        made: Preprocessing that has learned nothing yet.
        starts: The earlier runs.
    """
    if not starts:
        return made
    inputs = dict(made.fitted_inputs)
    targets = {name: made.target(name) for name in made.tasks}
    fitted = []
    for start in starts:
        learned = Preprocessing.from_json(start.run.reader.preprocessing.to_json())
        for name in start.inputs:
            new, old = inputs[name], learned.fitted_inputs[name]
            if isinstance(new, Image) and isinstance(old, Image):
                old.root = new.root
            inputs[name] = old
            fitted.append(("inputs", name))
        for name in start.tasks:
            targets[name] = learned.target(name)
            fitted.append(("tasks", name))
    return made.replaced(inputs, targets, fitted)
