"""Distillation: finished runs teach a new one what they predict for its training rows.

Teachers read the raw rows by their own preprocessing, once, before training. A task learns from the
teachers that have a task of its name; several are averaged. The loss is BAM's, with the labels'
share growing over training (Clark et al., ACL 2019, arXiv:1907.04829); see ``teacher_weight`` in
`motet.training.options`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.data.arrays import ArrayData
from motet.data.trees import take_rows
from motet.problems import InputError, owned
from motet.run.ensembles import Ensemble
from motet.run.frozen_states import inputs_of
from motet.run.layout import line
from motet.run.loading import load
from motet.run.origin_rows import seen_in_other_split
from motet.run.prepared import AnyPrepared, Prepared
from motet.run.readers import batch_size_of
from motet.run.runs import Run
from motet.tasks import Task
from motet.training.evaluation import soft_targets

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Teacher:
    """A finished run, and what it teaches."""

    run: Run
    tasks: Mapping[str, list[int] | None]
    """By task, where the student's classes are among its own; None of numbers."""


def teachers_of(prepared: AnyPrepared, tasks: Mapping[str, Task]) -> list[Teacher]:
    """Load the teachers that a config names, and check that they fit.

    Args:
        prepared: The student's rows.
        tasks: The student's enabled tasks with labels.

    Returns:
        The teachers; none if the share of what they predict is 0.

    Raises:
        InputError: If one is no finished run, has no task of the student, predicts something else,
            or was trained on rows that the student keeps for validation or testing.
    """
    training = prepared.config.training
    if not training.teachers:
        if training.teacher_weight != 1.0:
            raise InputError(
                f"found {training.teacher_weight}, but no teachers; name some, or remove it",
                option="training.teacher_weight",
            )
        return []
    if not isinstance(prepared, Prepared):
        raise InputError(
            "teachers need the rows of one source in memory; remove training.teachers, or stream "
            "and further sources",
            option="training.teachers",
        )
    split = prepared.config.data.split
    if split.folds is not None and split.fold is None:
        raise InputError(
            "a teacher has seen the test rows of other folds; remove data.split.folds or teachers",
            option="training.teachers",
        )
    with owned("training.teachers"):
        runs = [load(each) for each in training.teachers]
    for run in runs:
        if run.config.data.split.folds is not None and run.config.data.split.fold is None:
            raise InputError(
                f"the teacher {run.path} was trained in folds, so that it has seen rows which this "
                "run keeps for validation or testing; name runs with the same data.split",
                option="training.teachers",
            )
        if seen_in_other_split(prepared, run.path, run.reader.preprocessing):
            raise InputError(
                f"the teacher {run.path} was trained on these rows in another split, so that it "
                "has seen rows which this run keeps for validation or testing; use the same "
                "data.split",
                option="training.teachers",
            )
    members = [one for run in runs for one in (run.members if isinstance(run, Ensemble) else [run])]
    found = [_teacher(each, prepared, tasks) for each in members]
    return found if training.teacher_weight else []


def soft_targets_of(
    teachers: list[Teacher], prepared: AnyPrepared, step: Callable[[str], object]
) -> dict[str, Floats]:
    """Let teachers predict the training rows.

    Args:
        teachers: Of `teachers_of`.
        prepared: The student's rows.
        step: Called with a line about the work in progress.

    Returns:
        By task (N, ...), in the form of its targets.
    """
    if not teachers:
        return {}
    assert isinstance(prepared, Prepared)
    found = dict[str, list[Floats]]()
    for teacher in teachers:
        inputs = inputs_of(teacher.run, prepared.rows.table, step)
        rows = ArrayData(take_rows(inputs, prepared.rows.split.train), {})
        size = batch_size_of(inputs)
        soft = soft_targets(teacher.run.model, rows, batch_size=size, tasks=list(teacher.tasks))
        for task, places in teacher.tasks.items():
            own = soft[task].numpy()
            found.setdefault(task, []).append(
                _encoded(own, prepared, task) if places is None else own[..., places]
            )
    targets = prepared.labels("train")
    return {
        task: _as_long(np.mean(each, axis=0, dtype=np.float32), targets[task])
        for task, each in found.items()
    }


def teacher_lines(teachers: list[Teacher], tasks: Mapping[str, Task]) -> Iterator[str]:
    """Report who teaches what."""
    for teacher in teachers:
        yield line("teacher", f"{teacher.run.path} teaches {', '.join(teacher.tasks)}")
    alone = [name for name in tasks if not any(name in each.tasks for each in teachers)]
    if teachers and alone:
        yield line("note", f"without a teacher, from labels alone: {', '.join(alone)}")


def _teacher(run: Run, prepared: Prepared, tasks: Mapping[str, Task]) -> Teacher:
    where = f"the teacher {run.path}"
    own = {name: run.model.tasks[name] for name in run.model.labelled_tasks}
    shared = [name for name in tasks if name in own]
    if not shared:
        raise InputError(
            f"{where} predicts {', '.join(own)}; expected one of the tasks {', '.join(tasks)}",
            option="training.teachers",
        )
    return Teacher(run, {name: _places(tasks[name], own[name], where) for name in shared})


def _places(student: Task, teacher: Task, where: str) -> list[int] | None:
    """Return where the student's classes are among the teacher's."""
    if not student.takes_soft:
        raise InputError(
            f"task {student.name!r} of kind {student.kind!r} cannot learn from a teacher; give it "
            "another name than a task of the teacher",
            option="training.teachers",
        )
    if student.kind != teacher.kind or student.label_kind.name != teacher.label_kind.name:
        raise InputError(
            f"{where} has the task {teacher.name!r} of kind {teacher.kind!r}, expected "
            f"{student.kind!r}",
            option="training.teachers",
        )
    known, wanted = teacher.class_names, student.class_names
    if known is None or wanted is None:
        return None
    if set(known) != set(wanted):
        other = sorted(set(known) ^ set(wanted), key=str)
        raise InputError(
            f"{where} and this run have other classes in the task {student.name!r}: "
            f"{', '.join(map(str, other[:5]))} in one of them alone",
            option="training.teachers",
        )
    return [known.index(name) for name in wanted]


def _encoded(values: Floats, prepared: Prepared, task: str) -> Floats:
    """Return numbers in original units in the form of the targets."""
    target = prepared.preprocessing.target(task)
    if "scaling" not in target.learned():
        return values
    column = pa.array(list(values)) if values.ndim == 2 else pa.array(values)
    encoded: Floats = target.encode(pa.table({target.column: column}))
    return encoded


def _as_long(soft: Floats, target: NDArray[np.generic]) -> Floats:
    """Return predictions of words (N, L, C) for as many words as labels (N, L) have."""
    if soft.ndim != 3 or soft.shape[1] == target.shape[1]:
        return soft
    made = np.full((len(soft), target.shape[1], soft.shape[2]), np.nan, dtype=np.float32)
    shared = min(soft.shape[1], target.shape[1])
    made[:, :shared] = soft[:, :shared]
    return made
