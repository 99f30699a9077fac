"""What a member may be told: its keyword-only arguments, read without importing it.

A member's typed keyword-only arguments are its config schema, written once. Built-in members are
torch modules, so their signatures and docstrings are read from source; those that users registered
are imported anyway. `checked` holds direct calls from Python to the same annotations.
"""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    StrictBool,
    Tag,
    TypeAdapter,
    ValidationError,
    validate_call,
)
from pydantic_core import PydanticKnownError, core_schema
from typing_extensions import TypedDict, Unpack

from motet.problems import InputError, explain, hint
from motet.registry import KINDS, Registry

__all__ = [
    "RESERVED_TASK_NAMES",
    "Annotated",
    "Any",
    "Callable",
    "Chosen",
    "Epochs",
    "Every",
    "FolderPath",
    "Fraction",
    "Literal",
    "Mapping",
    "Named",
    "NonNegativeFloat",
    "NonNegativeInt",
    "OnlyWith",
    "Option",
    "Place",
    "PositiveFloat",
    "PositiveInt",
    "PositiveShare",
    "Real",
    "Sequence",
    "Share",
    "StrictBool",
    "TaskOptions",
    "TwoOrMore",
    "Unpack",
    "WeightSchedule",
    "checked",
    "common_options",
    "create",
    "read_options",
    "summary",
]


def _whole(value: Any) -> Any:
    return _refused(value, "int_type")


def _real(value: Any) -> Any:
    return _refused(value, "float_type")


def _refused(value: Any, kind: Literal["int_type", "float_type"]) -> Any:
    """Refuse what pydantic would turn into a number; NumPy's numbers, and 3 for 3.0, go through."""
    of_numpy = getattr(getattr(value, "dtype", None), "kind", None)
    if isinstance(value, (bool, str, bytes)) or of_numpy == "b":
        raise PydanticKnownError(kind)
    return value


PositiveInt = Annotated[int, Field(gt=0), BeforeValidator(_whole)]
TwoOrMore = Annotated[int, Field(ge=2), BeforeValidator(_whole)]
NonNegativeInt = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Real = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_real)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_real)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_real)]
Fraction = Annotated[float, Field(ge=0, lt=1), BeforeValidator(_real)]
"""A share of something: 0 <= x < 1."""
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_real)]
"""A share of something, all of it included: 0 <= x <= 1."""
PositiveShare = Annotated[float, Field(gt=0, le=1), BeforeValidator(_real)]
"""A share that is not nothing: 0 < x <= 1."""
FolderPath = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, Path) else v)]
"""The path of a folder."""


@dataclass(frozen=True)
class Named:
    """Marks a text that names a member of ``kind``: one of ``names`` or one a user registered."""

    kind: str
    names: tuple[str, ...]

    def fitting(self) -> tuple[str, ...]:
        """List the names that can be used now."""
        registry = KINDS[self.kind]
        own = (name for name in registry if not isinstance(registry.place(name), str))
        return (*self.names, *own)

    def check(self, name: str) -> str:
        """Return ``name``, or raise with the nearest one that fits."""
        if name not in self.fitting():
            why = "does not fit here" if name in KINDS[self.kind] else "is not known"
            near = KINDS[self.kind].hint(name, self.fitting())
            raise ValueError(f"the {self.kind} {name!r} {why}; {near}")
        return name

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.fitting())}


@dataclass(frozen=True)
class Chosen:
    """Marks a mapping ``{type: name, option: value, ...}`` that chooses a member of ``kind``."""

    kind: str
    default: str | None = None


@dataclass(frozen=True)
class Place:
    """Marks a text that is the path of a file or folder, relative to the config file."""

    names: tuple[str, ...] = ()
    """Values that are none."""
    saved: str | None = None
    """What stands for a path in a model folder, which holds none."""


@dataclass(frozen=True)
class OnlyWith:
    """Marks an option, None when not given, that only some values of another option read."""

    option: str
    values: tuple[Any, ...]

    def complaint(self, name: str, chosen: object) -> str:
        """Say that ``name`` would be ignored and what to do."""
        fitting = " or ".join(map(str, self.values))
        return (
            f"{name} is read only with {self.option}: {fitting}, found {self.option}: {chosen}; "
            f"remove {name} or set {self.option}: {fitting}"
        )

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Check inside a config, where options validated before are at hand."""

        def check(value: Any, info: core_schema.ValidationInfo) -> Any:
            chosen = (info.data or {}).get(self.option, self.values[0])
            if value is not None and chosen not in self.values:
                raise ValueError(self.complaint(str(info.field_name), chosen))
            return value

        return core_schema.with_info_after_validator_function(check, handler(source))


def _in_order(schedule: Any) -> Any:
    first, last = schedule["epochs"]
    if not first < last:
        raise ValueError(f"found [{first}, {last}], expected a first epoch and a later one")
    return schedule


Schedule = TypedDict(
    "Schedule",
    {
        "from": Annotated[PositiveFloat, Field(description="Weight up to the first epoch.")],
        "to": Annotated[PositiveFloat, Field(description="Weight from the last epoch on.")],
        "epochs": Annotated[
            tuple[PositiveInt, PositiveInt],
            Field(description="First and last epoch of the change, counted from 1."),
        ],
    },
)
Schedule.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]  # pydantic's own hook
WeightSchedule = Annotated[Schedule, AfterValidator(_in_order)]
"""``{from: weight, to: weight, epochs: [first, last]}``: a weight that changes evenly."""
Weight = Annotated[
    Annotated[PositiveFloat, Tag("one number")] | Annotated[WeightSchedule, Tag("from - to")],
    Discriminator(lambda value: "from - to" if isinstance(value, Mapping) else "one number"),
]
"""A weight, or how it changes."""


class Epochs(TypedDict):
    """A number of epochs, where a bare number counts steps."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    epochs: Annotated[PositiveInt, Field(description="How many epochs.")]


Every = Literal["epoch"] | PositiveInt | Epochs
"""How often: every epoch, every so many steps, or every so many epochs."""


class TaskOptions(TypedDict, total=False):
    """Options that every kind of task has.

    Args:
        column: Column that holds the labels; the task's name if left out.
        weight: How much the task counts; what that means depends on the balancer. A mapping such as
            ``{from: 1.0, to: 0.2, epochs: [1, 10]}`` changes it evenly from the first of the epochs
            to the last.
        main: Whether the task is one of those that the monitored score averages. If no task is
            marked, all are.
        enabled: Whether the task is trained and predicted from the start.
        learning_rate: Learning rate of the task's own parameters; the optimizer's if left out.
        evaluate_every: The task is looked at in every such evaluation during training, counted from
            the first; in between, its last score counts for the monitored value.
        metrics: Names of the metrics to report; the first is the one that scores. Those that suit
            the type of task if none is named.
        head: Head that turns the representation into the raw output.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    column: str | None
    weight: Weight
    main: bool
    enabled: bool
    learning_rate: PositiveFloat | None
    evaluate_every: PositiveInt
    metrics: Sequence[Annotated[str, Named("metric", tuple(KINDS["metric"]))] | Callable[..., Any]]
    head: Annotated[Mapping[str, Any], Chosen("head", default="mlp")] | Callable[..., Any]


RESERVED_TASK_NAMES = ("score", "loss", "mean", "worst", "encoder", "pretrained")
"""Names with a meaning of their own: in reports, as monitored values, as parts to freeze."""

TASK_DEFAULTS: dict[str, Any] = {
    "column": None,
    "weight": 1.0,
    "main": False,
    "enabled": True,
    "learning_rate": None,
    "evaluate_every": 1,
    "metrics": (),
    "head": {"type": "mlp"},
}

REQUIRED = object()


@dataclass(frozen=True)
class Option:
    """One option of a member, as a config may give it."""

    name: str
    annotation: Any
    default: Any
    description: str

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is REQUIRED

    @property
    def only_with(self) -> OnlyWith | None:
        """The marker that ties this option to a value of another."""
        return _only_with(self.annotation)


def read_options(registry: Registry, name: str) -> tuple[Option, ...]:
    """Read the options of a member that a config can express, in the order of its signature.

    Returns:
        The options, without those that only Python can give (callables, modules).

    Raises:
        InputError: If the name is unknown.
    """
    place = registry.place(name)
    own = _from_source(place) if isinstance(place, str) else _from_object(place)
    return (*own, *common_options(registry))


_COMMON = {"sharing": "motet.sharing:create"}
"""Functions whose options go with every member of a kind, because they act around it."""


def common_options(registry: Registry) -> tuple[Option, ...]:
    """Read the options that every member of a kind has without declaring them."""
    return _from_source(_COMMON[registry.kind]) if registry.kind in _COMMON else ()


def summary(registry: Registry, name: str) -> str:
    """Return the first line of a member's docstring."""
    place = registry.place(name)
    text = ast.get_docstring(_definition(place)) if isinstance(place, str) else place.__doc__
    return (text or "").strip().partition("\n")[0]


def create(registry: Registry, name: str, *arguments: Any, **options: Any) -> Any:
    """Build the member ``name`` with its options.

    Returns:
        What the member's class or function returns.

    Raises:
        InputError: If the name or an option is unknown or an option has a wrong value.
    """
    member = registry[name]
    parameters = list(inspect.signature(member).parameters.values())
    takes_any = any(
        p.kind is p.VAR_KEYWORD and get_origin(p.annotation) is not Unpack for p in parameters
    )
    if not takes_any:
        options_of = [option.name for option in read_options(registry, name)]
        known = dict.fromkeys([*(p.name for p in parameters[len(arguments) :]), *options_of])
        for option in options:
            if option not in known:
                raise InputError(
                    f"{registry.kind} {name!r} has no option {option!r}; {hint(option, known)}"
                )
    return member(*arguments, **options)


P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Hold the arguments of a public function or constructor to their annotations.

    Returns:
        The same function; it raises `InputError` with all that is wrong in one message, also for an
        option that the others leave without effect (`OnlyWith`).
    """
    signature = inspect.signature(function)
    owner = function.__qualname__.removesuffix(".__init__")

    @functools.cache
    def validated() -> Callable[P, R]:
        return validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        _refuse_unread(owner, signature, kwargs)
        try:
            return validated()(*args, **kwargs)
        except ValidationError as error:
            raise InputError(_complaints(owner, signature, error)) from None

    return wrapper


class Unasked(int):
    """A default number, told apart from the same number when a caller gives it.

    It stands in a signature, as defaults are not validated and so reach the function as they are.

    >>> isinstance(Unasked(5), Unasked), isinstance(5, Unasked), Unasked(5)
    (True, False, 5)
    """


def _refuse_unread(owner: str, signature: inspect.Signature, given: Mapping[str, Any]) -> None:
    parameters = signature.parameters
    for name in given.keys() & parameters.keys():
        marker = _only_with(parameters[name].annotation)
        if marker is None or given[name] is None:
            continue
        chosen = given.get(marker.option, parameters[marker.option].default)
        if chosen not in marker.values:
            raise InputError(f"{owner}: {marker.complaint(name, chosen)}")


def _complaints(owner: str, signature: inspect.Signature, error: ValidationError) -> str:
    parameters = list(signature.parameters.values())
    known = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self"]
    if any(get_origin(p.annotation) is Unpack for p in parameters):
        known += TaskOptions.__annotations__
    lines: dict[str, str] = {}  # the first complaint about each place; more are branches of a union
    for each in error.errors():
        first, *rest = each["loc"] or ("",)
        first = parameters[first].name if isinstance(first, int) else first
        where = ".".join([str(first), *(str(part) for part in rest if str(part).isidentifier())])
        if each["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            lines[where] = f"no option {where!r}; {hint(where, known)}"
        elif each["type"] == "unexpected_positional_argument":
            lines[where] = f"found {each['input']!r} by position; give options by name"
        elif each["type"].startswith("missing"):
            lines[where] = f"{where} is missing, but required"
        else:
            lines.setdefault(str(first), f"{where}: {explain(dict(each))}")
    return f"{owner}: " + "; ".join(lines.values())


def _only_with(annotation: Any) -> OnlyWith | None:
    markers = getattr(annotation, "__metadata__", ())
    return next((marker for marker in markers if isinstance(marker, OnlyWith)), None)


# From source ---------------------------------------------------------------------------------


@functools.cache
def _module(name: str) -> ast.Module:
    path = Path(__file__).parent.joinpath(*name.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _definition(place: str) -> ast.ClassDef | ast.FunctionDef:
    module, _, name = place.partition(":")
    for node in _module(module).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return node
    raise AssertionError(f"the registry points to {place}, which does not exist")


@functools.cache
def _from_source(place: str) -> tuple[Option, ...]:
    node = _definition(place)
    function: ast.FunctionDef | None = node if isinstance(node, ast.FunctionDef) else None
    if isinstance(node, ast.ClassDef):
        methods = (n for n in node.body if isinstance(n, ast.FunctionDef))
        function = next((n for n in methods if n.name == "__init__"), None)
    if function is None:
        return ()
    texts = _described(ast.get_docstring(node) or "")
    options = []
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        annotation = _evaluated(argument.annotation) if argument.annotation else Any
        value = ast.literal_eval(default) if default is not None else REQUIRED
        if annotation is not None:
            options.append(Option(argument.arg, annotation, value, texts.get(argument.arg, "")))
    if function.args.kwarg and function.args.kwarg.annotation:
        extra = ast.unparse(function.args.kwarg.annotation)
        options += _of_tasks() if extra == "Unpack[TaskOptions]" else []
    return tuple(options)


def _evaluated(node: ast.expr) -> Any:
    """Evaluate an annotation without the branches of a union that a config cannot express."""
    branches = []
    for branch in _branches(node):
        try:
            value = eval(ast.unparse(branch), globals())  # our own source, names of this module
        except NameError:
            continue
        branches.append(NoneType if value is None else value)
    return _expressible(branches)


def _branches(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp):
        yield from _branches(node.left)
        yield from _branches(node.right)
    else:
        yield node


def _described(docstring: str) -> dict[str, str]:
    """Read the ``Args`` section of a docstring in Google style."""
    _, _, section = docstring.partition("Args:\n")
    texts: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(section.partition("\n\n")[0]).splitlines():
        if line and not line.startswith(" "):
            head, colon, text = line.partition(":")
            if not colon or " " in head:
                break
            name, texts[head] = head, text.strip()
        elif line.strip() and name:
            texts[name] += " " + line.strip()
        elif not line.strip() and name:
            break
    return texts


# From objects --------------------------------------------------------------------------------


@functools.cache
def _from_object(member: Any) -> tuple[Option, ...]:
    texts = _described(inspect.getdoc(member) or "")
    options = []
    for parameter in inspect.signature(member, eval_str=True).parameters.values():
        if get_origin(parameter.annotation) is Unpack:
            options += _of_tasks()
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        given = parameter.annotation
        annotation = Any if given is parameter.empty else _expressible([given])
        default = REQUIRED if parameter.default is parameter.empty else parameter.default
        if annotation is not None:
            text = texts.get(parameter.name, "")
            options.append(Option(parameter.name, annotation, default, text))
    return tuple(options)


@functools.cache
def _of_tasks() -> list[Option]:
    texts = _described(inspect.getdoc(TaskOptions) or "")
    return [
        Option(name, _expressible([annotation]), TASK_DEFAULTS[name], texts[name])
        for name, annotation in TaskOptions.__annotations__.items()
    ]


def _expressible(branches: Sequence[Any]) -> Any:
    """Join the branches of a union that YAML can hold, sequences as tuples; None if none can."""
    kept = []
    for branch in branches:
        if get_origin(branch) in (Union, UnionType):
            branch = _expressible(get_args(branch))
        elif get_origin(branch) is Sequence:
            inner = _expressible(get_args(branch))
            branch = None if inner is None else tuple[inner, ...]  # type: ignore[valid-type]  # built at run time
        if branch is not None and _fits_yaml(branch):
            kept.append(branch)
    return Union[tuple(kept)] if set(kept) - {NoneType} else None  # noqa: UP007  # at run time


def _fits_yaml(branch: Any) -> bool:
    try:
        TypeAdapter(branch).json_schema()
    except Exception:  # pydantic has no one error for "this type has no JSON form"
        return False
    return True
