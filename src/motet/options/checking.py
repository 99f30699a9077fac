"""Holds calls from Python to the annotations that a config is held to."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, get_args, get_origin

from pydantic import ConfigDict, ValidationError, validate_call
from typing_extensions import Unpack

from motet.options.reading import read_options
from motet.options.types import only_with
from motet.problems import InputError, explain, hint
from motet.registry import Registry

P = ParamSpec("P")
R = TypeVar("R")

_CONFIG = ConfigDict(arbitrary_types_allowed=True, extra="forbid")  # of an unpacked TypedDict too


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
        return validate_call(config=_CONFIG)(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        _refuse_unread(owner, signature, kwargs)
        try:
            return validated()(*args, **kwargs)
        except ValidationError as error:
            raise InputError(_complaints(owner, signature, error)) from None

    return wrapper


def _refuse_unread(owner: str, signature: inspect.Signature, given: Mapping[str, Any]) -> None:
    parameters = signature.parameters
    for name in given.keys() & parameters.keys():
        marker = only_with(parameters[name].annotation)
        if marker is None or given[name] is None:
            continue
        chosen = given.get(marker.option, parameters[marker.option].default)
        if chosen not in marker.values:
            raise InputError(f"{owner}: {marker.complaint(name, chosen)}")


def _complaints(owner: str, signature: inspect.Signature, error: ValidationError) -> str:
    parameters = list(signature.parameters.values())
    known = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self"]
    for parameter in parameters:
        if get_origin(parameter.annotation) is Unpack:
            (options,) = get_args(parameter.annotation)
            known += options.__annotations__
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
