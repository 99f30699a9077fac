"""What another program needs to feed an exported model and to read its outputs, as JSON."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from motet.data.inputs.base import Input
from motet.data.inputs.shapes import InputShapes
from motet.data.inputs.text import Text
from motet.export.checking import Difference
from motet.export.graph import PROBABILITY
from motet.export.layout import Leaf
from motet.registry import INPUTS
from motet.tasks import Task

_UNITS = {
    "class": "place in classes",
    "ordinal": "place in classes",
    "indicators": "1 for each of classes that the row has, else 0",
    "tags": "place in classes of each word, -100 after the last word",
    "word_numbers": "number of each word in the unit of the labels, NaN after the last word",
    "pixel_classes": "place in classes of each pixel",
    "pixel_numbers": "number of each pixel in the unit of the labels",
    "relevance": "score, higher first",
    "identity": "embedding",
}
_NUMBER = "in the unit of the labels"


def described_inputs(leaves: Sequence[Leaf], shapes: InputShapes) -> list[dict[str, Any]]:
    """Describe the inputs: names, types, axes, and what the columns of a table are.

    Args:
        leaves: The inputs.
        shapes: Shapes of the inputs of the run.

    Returns:
        One entry per input.
    """
    categories = [name for name, each in shapes.columns.items() for _ in each.categories]
    columns = {"numbers": list(shapes.table.names), "categories": categories}
    found = []
    for leaf in leaves:
        entry: dict[str, Any] = {
            "name": leaf.name,
            "type": str(leaf.dtype).removeprefix("torch."),
            "shape": list(leaf.axes),
        }
        if leaf.fill is not None:
            entry["padding"] = leaf.fill
        if leaf.name in columns:
            entry["columns"] = columns[leaf.name]
        found.append(entry)
    return found


def described_outputs(
    tasks: Sequence[Task], differences: Mapping[str, Difference]
) -> list[dict[str, Any]]:
    """Describe the outputs: what they mean, their classes, and how exact they are.

    Args:
        tasks: The tasks.
        differences: How far each output is from that of the run.

    Returns:
        One entry per output.
    """
    found = []
    for task in tasks:
        for name in (task.name, f"{task.name}{PROBABILITY}"):
            if name not in differences:
                continue
            each = differences[name]
            value = _UNITS.get(task.label_kind.name, _NUMBER)
            entry: dict[str, Any] = {
                "name": name,
                "task": task.name,
                "kind": task.kind,
                "value": value if name == task.name else "probability of each of classes",
            }
            if task.class_names:
                entry["classes"] = list(task.class_names)
            if task.levels:
                entry["quantiles"] = list(task.levels)
            entry["difference"] = each.differing if each.whole else each.largest
            found.append(entry)
    return found


def described_preprocessing(
    inputs: Mapping[str, Input], stem: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Describe how rows become inputs.

    Args:
        inputs: The fitted inputs by name.
        stem: What the names of files of tokenizers begin with.

    Returns:
        What each input learned, by name, and the files of tokenizers that it names.
    """
    learned, files = {}, {}
    for name, each in inputs.items():
        state = dict(each.state())
        if isinstance(each, Text) and each.tokenizer is not None:
            own = re.sub(r"\W", "_", name)  # a name may have a slash
            while (file := f"{stem}-{own}-tokenizer.json") in files:
                own += "_"
            files[file] = each.tokenizer.to_json()
            state |= {"tokenizer": file, "added_to_ids": each.tokenizer.shift}
        learned[name] = {"type": INPUTS.name_of(type(each)), **state}
    return learned, files
