"""Problems between keys of a config that are valid alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from motet.config.members import Member
from motet.config.named_sources import Found, of_one_table, sources_of, wrong_sources
from motet.config.origin import Origin, Problem
from motet.config.places import misspelt
from motet.config.schema import Config
from motet.config.stages import wrong_end
from motet.config.streaming import wrong_stream
from motet.options import MONITORED, RESERVED_TASK_NAMES, declares
from motet.options.mappings import epochs_between, fixed_shape, too_many_groups, too_rare_groups
from motet.other_names import VALUES
from motet.problems import hint
from motet.registry import AUXILIARY, SHARING
from motet.task_order import OrderError, task_order

_MONITORED = {other: (name,) for other, name in VALUES["monitor"].items()}


def _reads(options: Mapping[str, Any]) -> Sequence[str]:
    """Return the tasks that one reads."""
    return options.get("product") or tuple(options.get("reads") or ())


def _trained(options: Mapping[str, Any]) -> Sequence[str]:
    """Return the tasks whose heads the loss of one trains."""
    reads = options.get("reads") or ()
    own = reads.items() if isinstance(reads, Mapping) else ()
    whole = {"what": "output", "detach": False}
    read = (name for name, each in own if {"what": "output", **each} == whole)
    return [*(options.get("product") or ()), *read]


Labelled = Mapping[str, Member]
"""The tasks that have labels in the data, by name."""


def cross_checked(config: Config, origin: Origin) -> list[Problem]:
    """Find problems between keys that are valid alone."""
    given = {name: task for name, task in config.tasks.items() if task.type not in AUXILIARY}
    labelled = {name: task for name, task in given.items() if not task.options().get("latent")}
    return [
        *(origin.problem(key, message, at_key=True) for key, message in _sources(config)),
        *_label_columns(config, labelled, origin),
        *_names(config, origin),
        *_monitored(config, labelled, origin),
        *checked_epochs(config, origin),
        *_read_tasks(config, origin),
        *_task_options(config, origin),
        *_streamed(config, origin),
        *_regrouped(config, origin),
        *(origin.problem(key, message) for key, message in misspelt(config, origin.folder)),
    ]


def _label_columns(config: Config, labelled: Labelled, origin: Origin) -> Iterator[Problem]:
    """Find columns of labels that something else uses."""
    one = {name: column for name, task in labelled.items() if (column := _column(name, task))}
    columns = {column: name for name, column in one.items()}
    several = len(config.data.sources or ()) > 1
    for name, chosen in ({} if several else config.inputs or {}).items():
        column = _column(name, chosen)
        if column in columns:
            message = f"the column {column!r} is the target of task {columns[column]!r}; remove it"
            yield origin.problem(("inputs", name), message, at_key=True)
    if len(columns) < len(one):
        owners: dict[tuple[str, str], str] = {}
        for name, column in one.items():
            for source in sources_of(labelled[name]) or ("",):
                if (first := owners.setdefault((source, column), name)) != name:
                    message = (
                        f"tasks {name!r} and {first!r} both have the column {column!r}; "
                        "give one of them another, or remove it"
                    )
                    yield origin.problem(("tasks", name), message, at_key=True)
                    break
    for option in ("column", "group"):
        column = getattr(config.data.split, option)
        if column in columns:
            message = f"{column!r} is the target of a task, expected another column"
            yield origin.problem(("data", "split", option), message)


def _column(name: str, member: Member) -> str | None:
    """Return the column that an input or a task reads; None if it reads several."""
    options = member.options()
    return None if options.get("columns") is not None else options.get("column") or name


def _names(config: Config, origin: Origin) -> Iterator[Problem]:
    """Find names that no task can have."""
    for name in RESERVED_TASK_NAMES:
        if name in config.tasks:
            message = (
                f"{name!r} has a meaning of its own in reports or options; give the task another "
                f"name, and column: {config.tasks[name].options().get('column') or name}"
            )
            yield origin.problem(("tasks", name), message, at_key=True)
    for name, task in config.tasks.items():
        if "." in name:
            message = (
                f"found the name {name!r}, expected one without a dot; give the task another name, "
                f"and column: {task.options().get('column') or name}"
            )
            yield origin.problem(("tasks", name), message, at_key=True)


def _monitored(config: Config, labelled: Labelled, origin: Origin) -> Iterator[Problem]:
    """Find an unknown monitored value."""
    monitored = (*MONITORED, *labelled)
    if config.training.monitor not in monitored:
        near = hint(config.training.monitor, monitored, _MONITORED)
        message = f"found {config.training.monitor!r}; {near}"
        yield origin.problem(("training", "monitor"), message)


def checked_epochs(config: Config, origin: Origin) -> list[Problem]:
    """Find epochs that training does not reach; none before the number of epochs is chosen."""
    if config.training.epochs == "auto":
        return []
    return [*_stages(config, origin), *_epochs(config, origin)]


def _stages(config: Config, origin: Origin) -> Iterator[Problem]:
    """Find stages of balancing that end where they cannot."""
    ends = [getattr(stage, "until", None) for stage in config.stages]
    if isinstance(config.balancing, tuple) and (wrong := wrong_end(ends)) is not None:
        place, message = wrong
        yield origin.problem(("balancing", place, "until"), message)
    elif len(ends) > 1 and (last := ends[-2]) is not None and last >= config.training.epochs:
        message = (
            f"found {last}, expected an epoch before {config.training.epochs}, where training "
            "ends: the next stage would never act"
        )
        yield origin.problem(("balancing", len(ends) - 2, "until"), message)


def _epochs(config: Config, origin: Origin) -> Iterator[Problem]:
    """Find epochs of tasks and their groups that training does not reach."""
    groups, epochs = config.model.sharing.options().get("groups"), config.training.epochs
    every = epochs_between(groups) if isinstance(groups, Mapping) else 0
    if isinstance(epochs, int) and every >= epochs:
        message = too_rare_groups(every, epochs)
        yield origin.problem(("model", "sharing", "groups", "every"), message)
    for name, task in config.tasks.items():
        weight = task.options().get("weight")
        if isinstance(weight, Mapping) and weight["epochs"][0] >= config.training.epochs:
            message = (
                f"found {list(weight['epochs'])}, expected a first epoch before "
                f"{config.training.epochs}, where training ends: the weight would never change"
            )
            yield origin.problem(("tasks", name, "weight", "epochs"), message)
        enabled = task.options().get("enabled")
        if isinstance(enabled, Mapping) and enabled["from"] > config.training.epochs:
            message = (
                f"found {enabled['from']}, expected at most {config.training.epochs}, where "
                "training ends; give an earlier epoch, or more epochs"
            )
            yield origin.problem(("tasks", name, "enabled", "from"), message)


def _read_tasks(config: Config, origin: Origin) -> Iterator[Problem]:
    """Find tasks that read each other in a circle, and latent ones that nothing trains."""
    try:
        task_order({name: _reads(task.options()) for name, task in config.tasks.items()})
    except OrderError as error:
        option = "product" if config.tasks[error.task].options().get("product") else "reads"
        yield origin.problem(("tasks", error.task, option), error.message)
    trained = {each for task in config.tasks.values() for each in _trained(task.options())}
    for name, task in config.tasks.items():
        if task.options().get("latent") and name not in trained:
            message = (
                "found true, but no task trains it; name it in the product of another, or in its "
                f"reads with the gradient: {{{name}: {{detach: false}}}}"
            )
            yield origin.problem(("tasks", name, "latent"), message)


def _task_options(config: Config, origin: Origin) -> Iterator[Problem]:
    """Find options of tasks that need others, and a config without an enabled task."""
    for name, task in config.tasks.items():
        options = task.options()
        if options.get("weighted_metrics") and options.get("row_weight") is None:
            message = "found true without row_weight; name the column of the weights, or remove it"
            yield origin.problem(("tasks", name, "weighted_metrics"), message)
    if not any(task.options().get("enabled", True) for task in config.tasks.values()):
        yield origin.problem(("tasks",), "no task is enabled; enable one", at_key=True)


def _streamed(config: Config, origin: Origin) -> Iterator[Problem]:
    """Find what does not fit rows that are streamed."""
    if config.data.streaming is not None:
        data, sources = config.data, len(config.data.sources or ())
        for key, message in wrong_stream(data.split, config.tasks, sources, config.training):
            yield origin.problem(key, message)


def _regrouped(config: Config, origin: Origin) -> Iterator[Problem]:
    """Find groups that change while training, of a sharing scheme whose shape they decide."""
    chosen = config.model.sharing
    groups = chosen.options().get("groups")
    if isinstance(groups, Mapping) and not declares(SHARING, chosen.type, "groups"):
        yield origin.problem(("model", "sharing", "groups"), fixed_shape(chosen.type))
    elif isinstance(groups, Mapping) and groups["number"] >= len(config.tasks):
        message = too_many_groups(groups["number"], len(config.tasks))
        yield origin.problem(("model", "sharing", "groups", "number"), message)


def _sources(config: Config) -> Iterator[Found]:
    """Find what does not fit the sources; without any, data from Python may be of several."""
    auxiliary = frozenset(name for name, task in config.tasks.items() if task.type in AUXILIARY)
    sources = config.data.sources or {}
    if len(sources) > 1:
        yield from wrong_sources(sources, config.tasks, config.inputs, auxiliary)
    elif sources or config.data.source is not None:
        yield from of_one_table(config.tasks)
