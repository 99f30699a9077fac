"""Exports of a run: the model as a file, how rows become its inputs, and a check on real rows."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from torch import Tensor

from motet.config import Config, Origin
from motet.data.empty import WORDS
from motet.data.row_names import RowName
from motet.data.tensors import first_leaf
from motet.export.checking import Difference, compared, units_of
from motet.export.description import (
    described_inputs,
    described_outputs,
    described_preprocessing,
)
from motet.export.formats import Format, format_of, writing_quietly
from motet.export.graph import Graph, require_exportable, traced
from motet.export.layout import flat, leaves, template_of
from motet.problems import InputError
from motet.run import folder
from motet.run.given_rows import GivenRows
from motet.run.given_sources import sources_of
from motet.run.readers import Reader
from motet.version import __version__
from motet.writing import replacing

ROWS = 1_000
"""Rows that an exported model is compared on, at most."""
_BATCH = 64
FOLDER = "export"


class Export(NamedTuple):
    """What an export wrote."""

    path: Path
    """The model."""
    files: tuple[Path, ...]
    """All files, that of the model first."""
    rows: int
    """Number of rows on which it was compared with the run."""
    differences: Mapping[str, Difference]
    """For each output, how far it was apart."""


class Origins(NamedTuple):
    """What an export needs of a finished run."""

    path: Path
    config: Config
    reader: Reader


@dataclass(frozen=True)
class _Rows:
    """Rows of one source as the model takes them."""

    source: str
    template: dict[str, Any]
    batches: list[dict[str, Tensor]]
    count: int


def export(
    run: Origins,
    tasks: list[str],
    format: str,
    path: str | Path | None = None,
    rows: Any = None,
) -> Export:
    """Write the model of a run as a file; see `Run.export`.

    Returns:
        The files, and how far the predictions are apart.
    """
    chosen = format_of(format)
    model = run.reader.model
    require_exportable(model, tasks)
    path = _path(run, chosen, path)
    read = _read(run, tasks, rows)
    inputs = leaves(read.template)
    graph = Graph(model, tasks, read.template)
    program = traced(graph, read.batches[0])
    outputs = list(graph(read.batches[0]))
    with ExitStack() as files:  # left in reverse order, so that the model appears last
        temporary = files.enter_context(replacing(path))
        writing_quietly(chosen, program, temporary, inputs, outputs)
        alone = {name: each[:1] for name, each in read.batches[0].items()}
        units = {task: units_of(model.tasks[task]) for task in tasks}
        differences = compared(graph, chosen.open(temporary), [*read.batches, alone], units)
        beside = _beside(run, path, read, differences, tasks)
        for file, text in beside.items():
            files.enter_context(replacing(path.with_name(file))).write_text(text, encoding="utf-8")
    written = (path, *(path.with_name(file) for file in beside))
    return Export(path, written, read.count, differences)


def _path(run: Origins, chosen: Format, path: str | Path | None) -> Path:
    if path is not None:
        found = folder.check_output(path, (chosen.suffix,))
        folder.check_output(f"{found}.json", (".json",))
        return found
    folder.require_folder(run.path)
    folder.refuse_links(run.path)
    return run.path / FOLDER / f"model{chosen.suffix}"


def _beside(
    run: Origins,
    path: Path,
    read: _Rows,
    differences: Mapping[str, Difference],
    tasks: list[str],
) -> dict[str, str]:
    """Return the text of each file beside the model."""
    preprocessing = run.reader.preprocessing
    inputs = preprocessing.fitted_inputs
    if read.source:
        own = preprocessing.sources[read.source]["inputs"]
        inputs = {name: each for name, each in inputs.items() if name in own}
    learned, files = described_preprocessing(inputs, path.name)
    read_columns = {name for each in inputs.values() for name in each.columns(())}
    content = {
        "motet": __version__,
        "model": path.name,
        "compared_rows": read.count,
        "inputs": described_inputs(leaves(read.template), preprocessing.shapes()),
        "outputs": described_outputs([run.reader.model.tasks[name] for name in tasks], differences),
        "preprocessing": learned,
        "empty": list(WORDS),
        "texts": [name for name in preprocessing.strings if name in read_columns],
    }
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    return {f"{path.name}.json": text, **files}


def _read(run: Origins, tasks: list[str], rows: Any) -> _Rows:
    """Read rows to trace and compare with."""
    part, name_row = _given(run, tasks, rows)
    if not len(part):
        raise InputError("the data have no rows to compare the exported model with; give some")
    served = run.reader.served(part, tasks)
    source, *others = dict.fromkeys(served.values())
    if others:
        apart = [",".join(t for t in tasks if served[t] == each) for each in (source, *others)]
        raise InputError(
            "the tasks read the inputs of several sources, and an exported model has those of one; "
            f"export them apart: tasks={' or tasks='.join(apart)}"
        )
    given, _ = run.reader.inputs(name_row, run.reader.view(part, source), source)
    data = run.reader.data(given, {}).to("cpu")
    trees = [batch.inputs for _, batch in data.once(_BATCH)]
    template = template_of(given, trees[0])
    count = sum(len(first_leaf(tree)) for tree in trees)
    return _Rows(source, template, [flat(template, tree) for tree in trees], count)


def _given(run: Origins, tasks: list[str], rows: Any) -> tuple[pa.Table, RowName]:
    """Return the first rows that were given, or of the run's own data."""
    strings = run.reader.preprocessing.strings
    if rows is not None:
        part = next(iter(GivenRows.of(rows, strings, ROWS)), None)
    else:
        try:
            sources = sources_of(run.config, Origin(), None)
            known = run.reader.preprocessing.sources
            fitting = [s for s in sources if not s or set(tasks) <= {*known[s]["tasks"]}]
            part = next(
                iter(GivenRows.of(sources[(fitting or [*sources])[0]], strings, ROWS)), None
            )
        except (InputError, OSError) as error:
            raise InputError(
                f"the exported model is compared with the run on rows of its data, which cannot be "
                f"read: {error}; give some: --rows FILE, or rows= in Python"
            ) from None
    if part is None:
        return pa.table({}), lambda row: f"row {row}"
    return part.table, part.name_row
