"""Reading a config from YAML, a mapping or Python, with every problem reported at once.

A problem names ``file:line:column  key: found, expected, did you mean``. What is valid beside the
problems is kept in `ConfigError.partial`, so that the data it names can be checked in the same go.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, Tag, ValidationError
from typing_extensions import is_typeddict

from motet.config.members import MemberOf
from motet.config.schema import Config, current
from motet.config.stages import wrong_end
from motet.config.yaml_positions import Document, Position, parse, parse_value
from motet.options import RESERVED_TASK_NAMES
from motet.problems import InputError, explain, hint, shown
from motet.registry import KINDS

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """Where a config came from, to say in which file and line a problem stands."""

    file: Path | None = None
    document: Document = field(default_factory=lambda: Document(None, {}, {}, []))
    overrides: Mapping[Key, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Folder that relative paths in the config start from."""
        return self.file.parent if self.file else Path.cwd()

    def problem(self, key: Key, message: str, *, at_key: bool = False) -> "Problem":
        """Say what is wrong at a key, and where that key was given."""
        given = self._override(key)
        if given:
            return Problem(key, message, f"override {given!r}", None)
        name = str(self.file) if self.file else "config"
        return Problem(key, message, name, self._position(key, at_key))

    def _override(self, key: Key) -> str:
        """Find the override that gave a key, or made it by giving a part of it."""
        for path, text in self.overrides.items():
            if key[: len(path)] == path:
                return text
        if not key or key in self.document.values:
            return ""
        inside = [text for path, text in self.overrides.items() if path[: len(key)] == key]
        return inside[-1] if inside else ""

    def _position(self, key: Key, at_key: bool) -> Position | None:
        keys, values = self.document.keys, self.document.values
        for end in range(len(key), -1, -1):
            at = key[:end]
            own, inside = keys.get(at), values.get(at)
            if end < len(key) or at_key or (own and inside and inside.line > own.line):
                inside = own or inside  # a missing part, or a block that starts below its key
            if inside:
                return inside
        return None


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a config."""

    key: Key
    message: str
    place: str
    position: Position | None

    def __str__(self) -> str:
        where = ":".join([self.place, *map(str, self.position or ())])
        key = ".".join(map(str, self.key)) or "config"
        return f"{where}  {key if key.isprintable() else repr(key)}: {self.message}"


class ConfigError(InputError):
    """A config cannot be used; ``problems`` holds all that is wrong with it."""

    def __init__(
        self,
        problems: Iterable[Problem],
        partial: Config | None = None,
        origin: Origin | None = None,
    ) -> None:
        last = Position(1 << 30, 0)
        self.problems = sorted(problems, key=lambda problem: problem.position or last)
        self.partial = partial
        self.origin = origin or Origin()
        super().__init__("\n".join(map(str, self.problems)))


def read(
    source: str | Path | Mapping[str, Any] | Config, overrides: Sequence[str] = ()
) -> tuple[Config, Origin]:
    """Read and validate a config.

    Args:
        source: Path of a YAML file, a mapping, or a `Config`.
        overrides: Changes such as ``"training.epochs=3"``, applied in order; or one alone.

    Returns:
        The config and where it came from.

    Raises:
        ConfigError: If anything is wrong; it names every problem.
        InputError: If the source is none of these, or an override is not ``key=value``.
    """
    if isinstance(source, Config):
        document, file = Document(source.model_dump(exclude_unset=True), {}, {}, []), None
    elif isinstance(source, Mapping):
        document, file = Document(deepcopy(dict(source)), {}, {}, []), None
    elif isinstance(source, (str, PathLike)):
        file = Path(source)
        document = _parsed(file)
    else:
        raise InputError(
            f"found {shown(source)} for a config, expected the path of a YAML file, a mapping or a "
            "motet.Config"
        )
    origin = Origin(file, document, {})
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        message = f"found {shown(data)}, expected a mapping with `data` and `tasks`"
        raise ConfigError([origin.problem((), message)], origin=origin)
    overrides = [overrides] if isinstance(overrides, str) else overrides
    origin = Origin(file, document, _override(data, overrides))
    problems = [
        Problem(key, "is given twice; keep one", str(file), position)
        for key, position in document.doubled
        if not any(key[: len(outer)] == outer != key for outer, _ in document.doubled)
    ]
    config, found = _validated(data, origin)
    problems += found
    if config is not None:
        problems += _cross_checked(config, origin)
    if problems or config is None:
        raise ConfigError(problems, config, origin)
    return config, origin


def _parsed(file: Path) -> Document:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = [path.name for path in file.parent.glob("*.y*ml")] if file.parent.is_dir() else []
        message = f"there is no file {str(file)!r}; {hint(file.name, near)}"
    except (IsADirectoryError, PermissionError) as error:
        message = f"{str(file)!r} cannot be read: {error.strerror}; expected a YAML file"
    except UnicodeDecodeError:
        message = f"{str(file)!r} is not UTF-8 text; expected a YAML file, saved as UTF-8"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else None
        message = (
            f"not valid YAML: {error.problem}; check indentation (by spaces), quotes, brackets"
        )
        raise ConfigError([Problem((), message, str(file), position)]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        message = f"not valid YAML: {reason}; expected plain text"
        raise ConfigError([Problem((), message, str(file), None)]) from None
    raise InputError(message)


def _override(data: dict[str, Any], overrides: Sequence[str]) -> dict[Key, str]:
    """Apply ``key=value`` texts to ``data`` in place."""
    places: dict[Key, str] = {}
    for text in overrides:
        name, equals, value = text.partition("=")
        if not equals or not all(name.split(".")):
            raise InputError(f"found the override {text!r}, expected key=value")
        key = tuple(name.split("."))
        here = data
        for part in key[:-1]:
            inner = here.get(part)
            if isinstance(inner, str):
                inner = {"type": inner}
            here[part] = inner if isinstance(inner, dict) else {}
            here = here[part]
        try:
            here[key[-1]] = parse_value(value)
        except yaml.YAMLError:
            raise InputError(f"the value in the override {text!r} is not valid YAML") from None
        places[key] = text
    return places


def _validated(data: dict[str, Any], origin: Origin) -> tuple[Config | None, list[Problem]]:
    """Validate; on problems also try to build the config without the parts that are wrong."""
    try:
        return current().model_validate(data), []
    except ValidationError as error:
        found, problems = error.errors(), translated(error, data, origin)
    kept = deepcopy(data)
    for each in found:
        _prune(kept, _path(each, data))
    try:
        return current().model_validate(kept), problems
    except ValidationError:
        return None, problems


def translated(error: ValidationError, data: Any, origin: Origin) -> list[Problem]:
    """Say what pydantic found in ``data`` in the user's words."""
    return _merged([_problem(dict(each), data, origin) for each in error.errors()])


def _merged(problems: Sequence[Problem]) -> list[Problem]:
    """Say once what all branches of a union say about a place; only what is deepest inside."""
    outer = {problem.key[:end] for problem in problems for end in range(len(problem.key))}
    merged: dict[tuple[Key, str], Problem] = {}
    for problem in problems:
        found, expected, fits = problem.message.partition(", expected ")
        same = merged.get((problem.key, found))
        if problem.key in outer:
            continue
        if same is not None and expected:
            problem = replace(same, message=f"{same.message} or {fits}")
        merged[problem.key, found] = problem
    return list(merged.values())


def _path(error: Mapping[str, Any], data: Any) -> Key:
    """Keep of pydantic's location what the user wrote: no names of members or union branches."""
    loc = error["loc"]
    path: list[str | int] = []
    here: Any = data
    for index, part in enumerate(loc):
        if isinstance(here, Mapping) and part in here:
            here = here[part]
        elif isinstance(here, (list, tuple)) and isinstance(part, int):
            here = here[part] if part < len(here) else None
        elif index < len(loc) - 1 or error["type"] not in ("missing", "extra_forbidden"):
            continue
        path.append(part)
    return tuple(path)


def _prune(data: Any, path: Key) -> None:
    """Remove the innermost key on the way that a mapping has."""
    for depth, part in enumerate(path, 1):
        if not (isinstance(data, dict) and part in data):
            return
        if depth == len(path) or not isinstance(data[part], dict):
            del data[part]
            return
        data = data[part]


def _problem(error: dict[str, Any], data: Any, origin: Origin) -> Problem:
    loc = error["loc"]
    path = _path(error, data)
    kind = error["type"]
    if kind == "invalid_key" or loc[-1:] == ("[key]",):
        return _unquoted(error["input"], path, origin)
    if kind == "too_short" and path in (("tasks",), ("inputs",)):
        return origin.problem(path, f"found no {path[0][:-1]}, expected at least one")
    if kind == "extra_forbidden":
        known = _keys_at(loc[:-1])
        return origin.problem(path, f"unknown key; {_elsewhere(str(loc[-1]), known)}", at_key=True)
    if kind == "missing":
        return origin.problem(path, "missing, but required", at_key=True)
    if kind == "union_tag_invalid":
        registry = KINDS[_kind_at(loc)]
        name = error["ctx"]["tag"]
        message = f"found {name!r}, expected {registry.one}; {hint(str(name), registry)}"
        given_short = isinstance(error["input"], str) or not origin.document.values.get(
            (*path, "type")
        )
        return origin.problem(path if given_short else (*path, "type"), message)
    if kind == "union_tag_not_found":
        registry = KINDS[_kind_at(loc)]
        found = shown(error["input"])
        if isinstance(error["input"], Mapping):
            found += " without `type`"
        return origin.problem(path, f"found {found}, expected {{type: {' | '.join(registry)}}}")
    if kind == "string_pattern_mismatch" and path[-1:] == ("device",):
        expected = "auto, cpu, cuda, cuda:N or mps"
        return origin.problem(path, f"found {shown(error['input'])}, expected {expected}")
    return origin.problem(path, explain(error))


def _unquoted(found: object, path: Key, origin: Origin) -> Problem:
    spelt = shown(found)
    outer = path[:-1] if path[-1:] == (found,) else path
    message = f"found the key {spelt}, expected a text; quote the key: {spelt!r}"
    return origin.problem((*outer, spelt), message, at_key=True)


def _elsewhere(name: str, known: Sequence[str]) -> str:
    """Hint at a near key here, else at the section that has the key, else list what is known."""
    if not get_close_matches(name, known, n=1):
        for section in ("data", "model", "training"):
            model = Config.model_fields[section].annotation
            if (
                isinstance(model, type)
                and issubclass(model, BaseModel)
                and name in model.model_fields
            ):
                return f"did you mean {section}.{name}?"
    return hint(name, known)


def _annotation_at(loc: tuple[str | int, ...]) -> Any:
    """Follow pydantic's location through the schema to the model, or annotation, found there."""
    here: Any = Config
    for part in loc:
        member = next((m for m in getattr(here, "metadata", ()) if isinstance(m, MemberOf)), None)
        if member is not None and part in KINDS[member.kind]:
            here = member.form(str(part))
            continue
        model = _model_in(here)
        # without a model it is a choice of forms, or holds several members: tasks, inputs, stages
        here = (
            model.model_fields.get(str(part))
            if model
            else _tagged(here, part) or _member_field(here)
        )
        if here is None:
            return None
    return here


def _model_in(here: Any) -> type[BaseModel] | None:
    annotation = getattr(here, "annotation", here)
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


@dataclass(frozen=True)
class _Entry:
    """The type of some values in a field, with the shape of a pydantic field."""

    metadata: tuple[Any, ...]
    annotation: Any = None


def _tagged(here: Any, tag: str | int) -> _Entry | None:
    for branch in get_args(getattr(here, "annotation", here)):
        metadata = getattr(branch, "__metadata__", ())
        tags: list[Any] = [marker.tag for marker in metadata if isinstance(marker, Tag)]
        if tag in (tags or [getattr(branch, "__name__", None)]):
            return _Entry(metadata, branch)
    return None


def _member_field(here: Any) -> _Entry | None:
    todo = [getattr(here, "annotation", here)]
    while todo:
        annotation = todo.pop()
        metadata = getattr(annotation, "__metadata__", ())
        if any(isinstance(marker, MemberOf) for marker in metadata):
            return _Entry(metadata)
        todo += get_args(annotation)
    return None


def _keys_at(loc: tuple[str | int, ...]) -> list[str]:
    here = _annotation_at(loc)
    model = _model_in(here)
    if model:
        return list(model.model_fields)
    mappings = filter(is_typeddict, _innermost(getattr(here, "annotation", here)))
    return [key for mapping in mappings for key in mapping.__annotations__]


def _innermost(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _innermost(inner)


def _kind_at(loc: tuple[str | int, ...]) -> str:
    metadata = getattr(_annotation_at(loc), "metadata", ())
    return next(marker.kind for marker in metadata if isinstance(marker, MemberOf))


def _cross_checked(config: Config, origin: Origin) -> list[Problem]:
    """Find what is wrong between keys that are valid alone."""
    problems = []
    columns = {task.options().get("column") or name: name for name, task in config.tasks.items()}
    for name, chosen in (config.inputs or {}).items():
        column = chosen.options().get("column") or name
        if column in columns:
            message = f"the column {column!r} is the target of task {columns[column]!r}; remove it"
            problems.append(origin.problem(("inputs", name), message, at_key=True))
    if len(columns) < len(config.tasks):
        for name, task in config.tasks.items():
            column = task.options().get("column") or name
            if columns[column] != name:
                message = (
                    f"tasks {name!r} and {columns[column]!r} both have the column {column!r}; "
                    "give one of them another, or remove it"
                )
                problems.append(origin.problem(("tasks", name), message, at_key=True))
    if config.data.split.column in columns:
        message = f"{config.data.split.column!r} is the target of a task, expected another column"
        problems.append(origin.problem(("data", "split", "column"), message))
    for name in RESERVED_TASK_NAMES:
        if name in config.tasks:
            message = (
                f"{name!r} has a meaning of its own in reports or options; give the task another "
                f"name, and column: {config.tasks[name].options().get('column') or name}"
            )
            problems.append(origin.problem(("tasks", name), message, at_key=True))
    for name, task in config.tasks.items():
        if "." in name:
            message = (
                f"found the name {name!r}, expected one without a dot; give the task another name, "
                f"and column: {task.options().get('column') or name}"
            )
            problems.append(origin.problem(("tasks", name), message, at_key=True))
    monitored = ("mean", "worst", "loss", *config.tasks)
    if config.training.monitor not in monitored:
        message = f"found {config.training.monitor!r}; {hint(config.training.monitor, monitored)}"
        problems.append(origin.problem(("training", "monitor"), message))
    ends = [getattr(stage, "until", None) for stage in config.stages]
    if isinstance(config.balancing, tuple) and (wrong := wrong_end(ends)) is not None:
        place, message = wrong
        problems.append(origin.problem(("balancing", place, "until"), message))
    elif len(ends) > 1 and (last := ends[-2]) is not None and last >= config.training.epochs:
        message = (
            f"found {last}, expected an epoch before {config.training.epochs}, where training "
            "ends: the next stage would never act"
        )
        problems.append(origin.problem(("balancing", len(ends) - 2, "until"), message))
    for name, task in config.tasks.items():
        weight = task.options().get("weight")
        if isinstance(weight, Mapping) and weight["epochs"][0] >= config.training.epochs:
            message = (
                f"found {list(weight['epochs'])}, expected a first epoch before "
                f"{config.training.epochs}, where training ends: the weight would never change"
            )
            problems.append(origin.problem(("tasks", name, "weight", "epochs"), message))
    if not any(task.options().get("enabled", True) for task in config.tasks.values()):
        problems.append(origin.problem(("tasks",), "no task is enabled; enable one", at_key=True))
    return problems
