"""The columns that a run reads, each with the kind of JSON value that it takes."""

from collections.abc import Iterator
from dataclasses import dataclass

from motet.data.inputs.base import Input
from motet.data.inputs.category import Category
from motet.data.inputs.image import Image
from motet.data.inputs.number import Number
from motet.data.inputs.sequence import FrameSequence
from motet.data.inputs.set import Set
from motet.data.inputs.text import Text
from motet.data.inputs.time import Time
from motet.data.inputs.vector import Vector
from motet.data.preprocessing import Preprocessing
from motet.serving import kinds
from motet.serving.image_kinds import OfFiles, OfPixels
from motet.serving.kinds import Kind

_LISTED = 1000
"""Values of a category that the schema lists."""


@dataclass(frozen=True)
class Column:
    """A column of a row."""

    name: str
    inputs: tuple[str, ...]
    """The inputs that read it."""
    kind: Kind
    values: tuple[str, ...] = ()
    """Known values of a category, if they are few."""

    @property
    def input(self) -> str:
        """The inputs that read it, for messages."""
        return ", ".join(self.inputs)


def columns_of(preprocessing: Preprocessing) -> dict[str, Column]:
    """Return the columns that the inputs of a run read, by name.

    Args:
        preprocessing: That of the run; of several sources, also the names that these have for a
            column.
    """
    readers: dict[str, dict[str, Input]] = {}
    for name, each in preprocessing.fitted_inputs.items():
        renamed = [
            source["columns"][name]
            for source in preprocessing.sources.values()
            if name in source["columns"]
        ]
        for column in (*each.columns(()), *renamed):
            readers.setdefault(column, {})[name] = each
    texts = preprocessing.strings
    return {name: _column(name, inputs, name not in texts) for name, inputs in readers.items()}


def columns_of_sources(preprocessing: Preprocessing) -> dict[str, list[str]]:
    """Return the columns that rows like those of each source have, by its name."""

    def names(source: str) -> Iterator[str]:
        chosen = preprocessing.sources[source]
        for name in chosen["inputs"]:
            first, *others = preprocessing.fitted_inputs[name].columns(())
            yield from (chosen["columns"].get(name, first), *others)

    return {source: list(dict.fromkeys(names(source))) for source in preprocessing.sources}


def _column(name: str, inputs: dict[str, Input], dates: bool) -> Column:
    found = [_kind(each, dates) for each in inputs.values()]
    images = [each for each in found if isinstance(each, OfFiles | OfPixels)]
    different = {type(each): each for each in found}
    if images:  # alone, as others would take the path of an image
        kind: Kind = images[0]
    elif len(different) > 1:
        kind = kinds.OfSeveral(list(different.values()), dates=dates)
    else:
        kind = found[0]
    values = next(filter(None, map(_values, inputs.values())), ())
    return Column(name, tuple(inputs), kind, values)


def _kind(given: Input, dates: bool) -> Kind:
    match given:
        case Number():
            return kinds.OfNumbers()
        case Category():
            return kinds.OfCategories(dates=dates)
        case Text():
            return kinds.OfWords() if given.state()["words"] else kinds.OfTexts(dates=dates)
        case Set():
            return kinds.OfSets()
        case Time():
            return kinds.OfTimes()
        case Vector():
            state = given.state()
            if not state["lists"]:
                return kinds.OfNumbers()
            return kinds.OfVectors(len(state.get("scaled") or state["mean"]))
        case FrameSequence():
            return kinds.OfFrames(len(given.state()["mean"]))
        case Image():
            return OfPixels() if given.state()["floats"] else OfFiles()
        case _:
            return kinds.OfAnything(dates=dates)


def _values(given: Input) -> tuple[str, ...]:
    values = given.state()["values"] if isinstance(given, Category) else ()
    return tuple(values) if len(values) <= _LISTED else ()
