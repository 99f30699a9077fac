"""Common configs and parts of configs, made in Python with less to type.

`table` makes a whole config from a table and the names of its targets; the others spell a member's
choice, ``{"type": name, option: value}``, as YAML would. Their options are those of the member and
are checked when a config is made of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motet.config.reading import read
from motet.config.schema import Config
from motet.options import RESERVED_TASK_NAMES
from motet.registry import AUXILIARY

if TYPE_CHECKING:
    from motet.data.inference import Guess, SplitColumn

Chosen = dict[str, Any]


def table(source: Any, targets: str | Sequence[str] | Mapping[str, Any], **sections: Any) -> Config:
    """Make the config of a table: what to predict is given, the rest is inferred or left default.

    The inputs are inferred when the config is trained: every column that is not a target.

    Args:
        source: Path, pattern or list of files, ``motet://NAME``; or a frame or mapping of arrays,
            which is then given to ``motet.train(config, data=...)`` too.
        targets: Columns to predict, or one alone, whose types of task are inferred unless one
            stands after a colon, "rooms:regression"; or ``{task: type}``, where a type is a name or
            ``{"type": name, option: value}``.
        **sections: Other parts of the config, such as ``training={"epochs": 5}``. Without
            ``data={"split": ...}``, a column that marks training and test rows is found by itself.

    Returns:
        The config.

    Raises:
        InputError: If the data cannot be read, a target is not there or cannot be predicted, or a
            section is wrong.

    Example:
        >>> config = table("motet://adult", targets=["income", "hours_per_week"])
        >>> {name: task.type for name, task in config.tasks.items()}
        {'income': 'classification', 'hours_per_week': 'regression'}
        >>> config.data.split.column
        'split'
    """
    from motet.data.inference import infer_split, infer_tasks
    from motet.data.selection import label_columns
    from motet.data.sources import read as read_rows

    rows = read_rows(source)
    data = dict(sections.pop("data", {}))
    if isinstance(targets, Mapping):
        tasks = dict(targets)
    else:
        targets = [targets] if isinstance(targets, str) else targets
        tasks = named_tasks(infer_tasks(rows, targets))
    if isinstance(source, (str, Path)):
        data["source"] = str(source)
    elif isinstance(source, (list, tuple)):
        data["source"] = [str(each) for each in source]
    config = read({"data": data, "tasks": tasks, **sections})[0]
    used: set[str] = set()
    for name, task in config.tasks.items():
        if task.type not in AUXILIARY:
            used.update(label_columns(name, task.options(), rows))
    split = infer_split(rows, exclude=used)
    if split is None or "split" in data:
        return config
    data["split"] = split_options(split)
    return read({"data": data, "tasks": tasks, **sections})[0]


def classification_task(**options: Any) -> Chosen:
    """Choose a task whose labels are classes.

    Returns:
        What a config takes for a task.

    Example:
        >>> tasks = {"churn": classification_task(weight=2.0), "spend": regression_task()}
        >>> Config(tasks=tasks).tasks["churn"].options()["weight"]
        2.0
    """
    return {"type": "classification", **options}


def regression_task(**options: Any) -> Chosen:
    """Choose a task whose labels are numbers; see `classification_task`."""
    return {"type": "regression", **options}


def multi_label_task(**options: Any) -> Chosen:
    """Choose a task of which a row has any number of labels; see `classification_task`."""
    return {"type": "multi_label", **options}


def masked_language_modelling_task(weight: float = 1.0, every: int = 10, **options: Any) -> Chosen:
    """Choose an auxiliary task that restores hidden tokens of a text.

    Args:
        weight: Weight of its loss.
        every: It trains at every so many steps that include a main task.
        **options: Further options of the task, such as ``input``; ``frequency`` replaces ``every``.

    Returns:
        What a config takes for a task.

    Example:
        >>> masked_language_modelling_task(0.5)
        {'type': 'masked_language_modelling', 'weight': 0.5, 'frequency': {'every': 10}}
    """
    frequency = options.pop("frequency", {"every": every})
    kind = "masked_language_modelling"
    return {"type": kind, "weight": weight, "frequency": frequency, **options}


def hard_sharing(**options: Any) -> Chosen:
    """Choose hard parameter sharing.

    Returns:
        What ``model.sharing`` takes.

    Example:
        >>> tasks = {"churn": classification_task()}
        >>> Config(tasks=tasks, model={"sharing": hard_sharing()}).model.sharing.type
        'hard'
    """
    return {"type": "hard", **options}


def soft_sharing(strength: float = 0.01, **options: Any) -> Chosen:
    """Choose an encoder for each task, tied by a penalty on their differences.

    Args:
        strength: Weight of the penalty.
        **options: Further options of the scheme, such as ``regularizer``; see `hard_sharing`.

    Returns:
        What ``model.sharing`` takes.
    """
    return {"type": "soft", "strength": strength, **options}


def mmoe_sharing(**options: Any) -> Chosen:
    """Choose experts for all tasks, mixed by a gate per task; see `hard_sharing`."""
    return {"type": "mmoe", **options}


# What `motet init` writes too ----------------------------------------------------------------


def named_tasks(guesses: Sequence["Guess"]) -> dict[str, Chosen]:
    """Name a task for every guess: as its column, but for dots and what reports call otherwise."""
    tasks: dict[str, Chosen] = {}
    columns = {guess.column for guess in guesses}
    for guess in guesses:
        name = guess.column.replace(".", "_")
        while name in RESERVED_TASK_NAMES or (
            name != guess.column and name in columns | set(tasks)
        ):
            name += "_"
        own = {} if name == guess.column else {"column": guess.column}
        tasks[name] = {"type": guess.type, **own, **guess.options}
    return tasks


def split_options(split: "SplitColumn") -> Chosen:
    """Spell a split by a column, without the values that are the default."""
    marks = {part: value for part, value in split.marks.items() if part != value}
    return {"column": split.column, **marks}
