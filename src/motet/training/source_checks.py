"""What does not fit several sources, or needs them."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from motet.data.batches import Data
from motet.data.loaders import LoaderData
from motet.data.several import Sources
from motet.model import MultiTaskModel
from motet.problems import InputError, hint
from motet.scheduling import Scheduler
from motet.tasks import Auxiliary
from motet.training.grouping import grouping


def check_one_table(model: MultiTaskModel) -> None:
    """Reject options of tasks that only several sources give a meaning.

    Raises:
        InputError: If a task has one; its rows are those of all tasks.
    """
    for task in model.tasks:
        for option, value in (("source", task.sources), ("batch_size", task.batch_size)):
            if value:
                raise InputError(
                    f"found {value if option == 'batch_size' else ', '.join(task.sources)}, and "
                    "one table, whose rows are those of all tasks; remove it, or give several "
                    "sources: data.sources in a config, motet.data.Sources in Python",
                    option=option,
                    owner=f"task {task.name!r}",
                )


def check_sources(
    named: Mapping[str, Collection[str]],
    model: MultiTaskModel,
    lacking: Callable[[str], Mapping[str, Any]],
) -> dict[str, int]:
    """Check that sources fit the tasks and the model.

    Args:
        named: For each source, the tasks with targets in it.
        model: The model.
        lacking: Returns None under the name of each input that a source lacks.

    Returns:
        Rows per batch, of sources for which tasks give them.

    Raises:
        InputError: If a source has targets of no task, a task names other sources than its own,
            tasks of one source give different batch sizes, a task that compares rows has several
            sources, or the model has BatchNorm.
    """
    if len(named) > 1:
        refuse_batch_norm(model)
    for source, tasks in named.items():
        if not tasks and not model.auxiliary_tasks:
            raise InputError(
                f"found targets of no task; expected some of {', '.join(model.tasks.names)}, or an "
                "auxiliary task that its rows serve",
                owner=f"source {source!r}",
            )
    for task in grouping(model.tasks):
        own = [source for source, tasks in named.items() if task.name in tasks]
        if len(own) > 1:
            raise InputError(
                f"found labels in {', '.join(own)}; expected one source, as it compares rows of a "
                "group, and numbers of groups may mean others in each source",
                owner=f"task {task.name!r}",
            )
    sizes: dict[str, int] = {}
    owners: dict[str, str] = {}
    for each in model.tasks:
        if isinstance(each, Auxiliary):
            check_auxiliary(each, list(named), lacking)
    for task in model.tasks:
        own = [source for source, tasks in named.items() if task.name in tasks]
        if task.name in model.active_tasks:  # the sources of others may be left out
            _check_named(task.name, task.sources, own, list(named))
        for source in own if task.batch_size else ():
            assert task.batch_size is not None
            first = owners.setdefault(source, task.name)
            if sizes.setdefault(source, task.batch_size) != task.batch_size:
                raise InputError(
                    f"found {task.batch_size}, but {sizes[source]} for {first!r}, whose labels are "
                    f"in the same source {source!r}; expected one batch size for the rows of a "
                    "source",
                    option="batch_size",
                    owner=f"task {task.name!r}",
                )
    return sizes


def check_auxiliary(
    task: Auxiliary, sources: list[str], lacking: Callable[[str], Mapping[str, Any]]
) -> None:
    """Check that an auxiliary task finds what it reads in its sources; see `check_sources`.

    Raises:
        InputError: If one that it names lacks it, or all do.
    """
    without = [name for name in task.sources or sources if not task.applies(lacking(name))]
    if without and (task.sources or len(without) == len(sources)):
        raise InputError(
            f"found {', '.join(without)}, without the input that it reads; name a source that has "
            "it",
            option="source",
            owner=f"task {task.name!r}",
        )


def _check_named(task: str, given: Collection[str], own: list[str], known: list[str]) -> None:
    for source in given:
        if source not in known:
            raise InputError(
                f"no source is named {source!r}; {hint(source, known)}",
                option="source",
                owner=f"task {task!r}",
            )
    others = [source for source in own if given and source not in given]
    if others:
        raise InputError(
            f"found {', '.join(given)}, but {', '.join(others)} has targets of it, too; remove "
            "those, or name the source",
            option="source",
            owner=f"task {task!r}",
        )


def refuse_batch_norm(
    model: nn.Module, cause: str = "several sources", each: str = "source"
) -> None:
    """Reject layers that compute statistics of a batch, where batches differ by source or task.

    Trained on batches of one source each, they would normalise by that source, and in evaluation by
    averages of all; on joined batches, the loss of one task would depend on the rows of another.

    Args:
        model: The model.
        cause: What makes batches differ, for the message.
        each: What each batch is of.

    Raises:
        InputError: If there is one that is not frozen as in evaluation.
    """
    mode = model.training
    model.train()
    found = [n for n, m in model.named_modules() if isinstance(m, _BatchNorm) and m.training]
    model.train(mode)
    if found:
        raise InputError(
            f"found BatchNorm ({found[0]}) and {cause}: in training it would normalise the rows of "
            f"each {each} by their own statistics, and in evaluation by a mixture; use "
            "LayerNorm or GroupNorm, or freeze it with its averages: "
            "model.freeze(name, evaluation=True)"
        )


def check_batches(scheduler: Scheduler, model: nn.Module) -> None:
    """Reject BatchNorm where a step has a batch for each task or draw; see `refuse_batch_norm`."""
    if scheduler.combine is not None:
        refuse_batch_norm(model, f"combine: {scheduler.combine}", "draw")
    if "own_rows" in scheduler.needs:
        refuse_batch_norm(model, type(scheduler).__name__, "task")


def refuse_divided(data: Data, what: str) -> None:
    """Reject loaders that give each of several processes other batches.

    Raises:
        InputError: If there is one.
    """
    parts = data.parts.values() if isinstance(data, Sources) else [data]
    if any(isinstance(each, LoaderData) and each.divided for each in parts):
        raise InputError(
            f"{what}: found a DistributedSampler, which gives each process other batches; expected "
            "the same batches on each, of which it computes its share; use the DataLoader without "
            "it, with the batch size of all processes"
        )
