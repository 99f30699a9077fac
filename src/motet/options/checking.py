"""Validation of calls from Python by the annotations that validate configs too."""

import functools
import inspect
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, get_args, get_origin

from pydantic import ConfigDict, ValidationError, validate_call
from typing_extensions import Unpack, is_typeddict

from motet.names import Registry
from motet.options.choosing import check_choice, within
from motet.options.explaining import explain
from motet.options.reading import read_options
from motet.options.types import Chosen, only_with
from motet.problems import InputError, option_hint, shown

P = ParamSpec("P")
R = TypeVar("R")

_CONFIG = ConfigDict(arbitrary_types_allowed=True, extra="forbid")  # of an unpacked TypedDict too


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Validate the arguments of a public function or constructor by their annotations.

    Returns:
        The same function. It raises one `InputError` with all problems, including options that have
        no effect with the others (`OnlyWith`), mistakes in members that an option chooses
        (`Chosen`), and names itself in errors about an option that the
        function itself raises.
    """
    owner = function.__qualname__.removesuffix(".__init__")

    @functools.cache
    def signature() -> inspect.Signature:
        return inspect.signature(function)

    @functools.cache
    def choices() -> dict[str, Chosen]:
        marks = {name: Chosen.of(p.annotation) for name, p in signature().parameters.items()}
        return {name: mark for name, mark in marks.items() if mark is not None}

    @functools.cache
    def validated() -> Callable[P, R]:
        return validate_call(config=_CONFIG)(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            _refuse_unread(signature(), kwargs)
            for name, marker in choices().items():
                if isinstance(kwargs.get(name), (str, Mapping)):
                    with within(name):
                        check_choice(kwargs[name], marker)
            return validated()(*args, **kwargs)
        except ValidationError as error:
            raise _complaint(owner, signature(), error, _fit_of(function)) from None
        except InputError as error:
            if error.option is not None:
                error.owner = error.owner or owner
            raise

    return wrapper


def known_options(function: Callable[P, R]) -> Callable[P, R]:
    """Name the near ones of options that a function does not have; values are not validated."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        require_options(function, kwargs)
        return function(*args, **kwargs)

    return wrapper


def require_options(function: Callable[..., Any], given: Iterable[str]) -> None:
    """Refuse names that are not arguments of a function or class, before it is called.

    Raises:
        InputError: If there is one.
    """
    known = list(_arguments(inspect.signature(function)))
    for name in given:
        if name not in known:
            owner = function.__qualname__.removesuffix(".__init__")
            raise InputError(f"no option {name!r}; {option_hint(name, known)}", owner=owner)


def _arguments(signature: inspect.Signature) -> dict[str, Any]:
    """Return the annotation of each argument, those of an unpacked `TypedDict` among them."""
    parameters = signature.parameters.values()
    forms = {
        p.name: p.annotation for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self"
    }
    for parameter in parameters:
        if get_origin(parameter.annotation) is Unpack:
            (options,) = get_args(parameter.annotation)
            forms |= options.__annotations__
    return forms


def _refuse_unread(signature: inspect.Signature, given: Mapping[str, Any]) -> None:
    parameters = signature.parameters
    for name in given.keys() & parameters.keys():
        marker = only_with(parameters[name].annotation)
        if marker is None or given[name] is None:
            continue
        chosen = given.get(marker.option, parameters[marker.option].default)
        if chosen not in marker.values:
            raise InputError(marker.complaint(name, chosen), option=name)


def _fit_of(function: Callable[..., Any]) -> frozenset[str]:
    """Return what the method ``fit`` of the class of a constructor takes."""
    owner = function.__globals__.get(function.__qualname__.removesuffix(".__init__"))
    fit = getattr(owner, "fit", None)
    return frozenset() if fit is None else frozenset(inspect.signature(fit).parameters)


def _complaint(
    owner: str, signature: inspect.Signature, error: ValidationError, of_fit: Container[str]
) -> InputError:
    parameters, forms = list(signature.parameters.values()), _arguments(signature)
    known = list(forms)
    found: dict[str, InputError] = {}  # the first about each option; more are branches of a union
    for each in error.errors():
        first, *rest = each["loc"] or ("",)
        if each["type"] == "unexpected_positional_argument":  # its place may be after all arguments
            message = f"found {shown(each['input'])} by position; give options by name"
            found[str(first)] = InputError(message)
            continue
        first = parameters[first].name if isinstance(first, int) else str(first)
        where = ".".join([first, *(str(part) for part in rest if str(part).isidentifier())])
        if each["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            near = option_hint(where.rpartition(".")[2], _keys(forms[first]) if rest else known)
            near = f"give it to fit: fit(..., {where}=...)" if where in of_fit else near
            found[where] = InputError(f"no option {where!r}; {near}")
        elif each["type"].startswith("missing"):
            found[where] = InputError("missing, but required", option=where)
        else:
            found.setdefault(first, InputError(explain(dict(each)), option=where))
    problems = list(found.values())
    if len(problems) == 1:
        return InputError(problems[0].message, option=problems[0].option, owner=owner)
    return InputError("; ".join(map(str, problems)), owner=owner)


def _keys(form: Any) -> list[str]:
    """List the keys of the mappings that an annotation allows."""
    if is_typeddict(form):
        return list(form.__annotations__)
    return [key for inner in get_args(form) for key in _keys(inner)]


def create(registry: Registry, name: str, *arguments: Any, **options: Any) -> Any:
    """Build the member ``name`` with its options.

    Returns:
        What the member's class or function returns.

    Raises:
        InputError: If the name or an option is unknown or an option has a wrong value.
    """
    member = registry[name]
    signature = inspect.signature(member)
    parameters = list(signature.parameters.values())
    takes_any = any(
        p.kind is p.VAR_KEYWORD and get_origin(p.annotation) is not Unpack for p in parameters
    )
    if not takes_any:
        options_of = [option.name for option in read_options(registry, name)]
        known = dict.fromkeys([*(p.name for p in parameters[len(arguments) :]), *options_of])
        for option in options:
            if option not in known:
                near = option_hint(option, known)
                raise InputError(f"{registry.kind} {name!r} has no option {option!r}; {near}")
    try:
        return member(*arguments, **options)
    except TypeError as error:
        try:
            signature.bind(*arguments, **options)
        except TypeError as mismatch:
            count = len(arguments)
            raise InputError(
                f"{registry.kind} {name!r}: {mismatch}; expected a constructor with "
                f"{count} argument{'s' * (count != 1)} by position and defaults for its options"
            ) from error
        raise
