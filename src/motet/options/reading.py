"""The options of members, read from their signatures.

Built-in members are torch modules, so their signatures and docstrings are read from source; those
that users registered are imported anyway.
"""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import TypeAdapter
from typing_extensions import Unpack, is_typeddict

from motet.names import Registry
from motet.options import types
from motet.options.types import (
    Chosen,
    Default,
    InConfig,
    OnlyWith,
    Sequence,
    defaults_of,
    only_with,
)
from motet.registry import ENCODERS, TASKS

REQUIRED = object()


@dataclass(frozen=True)
class Option:
    """One option of a member, as a config may give it."""

    name: str
    annotation: Any
    default: Any
    description: str
    elsewhere: InConfig | None = None
    """Its key in a config, if that is not its name."""

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is REQUIRED

    @property
    def only_with(self) -> OnlyWith | None:
        """The marker that ties this option to a value of another."""
        return only_with(self.annotation)

    @property
    def chosen(self) -> Chosen | None:
        """The marker of an option that chooses a member."""
        return Chosen.of(self.annotation)


def read_options(registry: Registry, name: str) -> tuple[Option, ...]:
    """Read the options of a member that a config can express, in the order of its signature.

    Returns:
        The options, without those that only Python can give (callables, modules).

    Raises:
        InputError: If the name is unknown.
    """
    own = _own_options(registry, name)
    declared = {option.name for option in own}
    return (*own, *(each for each in common_options(registry) if each.name not in declared))


def declares(registry: Registry, name: str, option: str) -> bool:
    """Return whether a member has an option itself, such as one that others have in common.

    Raises:
        InputError: If the name is unknown.
    """
    return any(each.name == option for each in _own_options(registry, name))


def _own_options(registry: Registry, name: str) -> tuple[Option, ...]:
    place = registry.place(name)
    return _from_source(place) if isinstance(place, str) else from_object(place)


_COMMON = {"sharing": "motet.sharing:create", "scheduler": "motet.scheduling:create"}
"""Functions whose options go with every member of a kind, because they act around it."""


def common_options(registry: Registry) -> tuple[Option, ...]:
    """Read the options that every member of a kind has without declaring them."""
    return _from_source(_COMMON[registry.kind]) if registry.kind in _COMMON else ()


def summary(registry: Registry, name: str) -> str:
    """Return the first line of a member's docstring, or the package that would be imported."""
    package = registry.package(name)
    if package is not None:
        return f"of the package {package}"
    place = registry.place(name)
    text = ast.get_docstring(_definition(place)) if isinstance(place, str) else place.__doc__
    return (text or "").strip().partition("\n")[0]


def label_kind_of(task_type: str) -> str:
    """Return the name of the label kind of a type of task.

    Raises:
        InputError: If the type is unknown.

    Example:
        >>> label_kind_of("classification")
        'class'
    """
    place = TASKS.place(task_type)
    if isinstance(place, str):
        return str(_class_attribute(_definition(place), "labels"))
    return str(place.label_kind.name)


def asked_by(encoder: str) -> tuple[str, ...]:
    """Return what the encoder of a text asks for beside tokens, its ``asks``.

    Raises:
        InputError: If no encoder has the name.

    Example:
        >>> asked_by("bag"), asked_by("mlp")
        (('grams',), ())
    """
    return tuple(_encoder_attribute(encoder, "asks") or ())


def reads_tokens(encoder: str) -> bool:
    """Return whether the encoder of a text reads its tokens.

    Raises:
        InputError: If no encoder has the name.

    Example:
        >>> reads_tokens("bag"), reads_tokens("bag+lstm")
        (False, True)
    """
    return _encoder_attribute(encoder, "reads_tokens") is not False


def _encoder_attribute(encoder: str, name: str) -> Any:
    place = ENCODERS.place(encoder)
    if isinstance(place, str):
        return _class_attribute(_definition(place), name)
    return getattr(place, name, None)


# From source ---------------------------------------------------------------------------------


@functools.cache
def _module(name: str) -> ast.Module:
    path = Path(__file__).parents[1].joinpath(*name.split(".")[1:])
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
    extra = function.args.kwarg.annotation if function.args.kwarg else None
    if isinstance(extra, ast.Subscript) and ast.unparse(extra.value) == "Unpack":
        shared = read_typed_dict(_place_of(ast.unparse(extra.slice), place.partition(":")[0]))
        options += _of_member(shared, texts, _class_attribute(node, _OWN_DEFAULTS) or {})
    return tuple(options)


def _place_of(name: str, module: str) -> str:
    """Follow the imports of a module to the place where a class is defined."""
    for node in _module(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return f"{module}:{name}"
        if isinstance(node, ast.ImportFrom) and any(each.name == name for each in node.names):
            assert node.module is not None
            return _place_of(name, node.module)
    raise AssertionError(f"{module} neither defines nor imports {name}")


def _class_attribute(node: ast.AST, name: str) -> Any:
    """Read an attribute that a class defines as a literal; None if it does not."""
    for each in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(each, ast.AnnAssign) and ast.unparse(each.target) == name:
            assert each.value is not None
            return ast.literal_eval(each.value)
        if isinstance(each, ast.Assign) and [*map(ast.unparse, each.targets)] == [name]:
            return ast.literal_eval(each.value)
    return None


_OWN_DEFAULTS = "option_defaults"


def _of_member(
    shared: Sequence[Option], texts: Mapping[str, str], defaults: Mapping[str, Any]
) -> list[Option]:
    """Return shared options with a member's own descriptions and defaults."""
    return [
        replace(
            option,
            default=defaults.get(option.name, option.default),
            description=texts.get(option.name, option.description),
        )
        for option in shared
        if option.annotation is not None
    ]


@functools.cache
def read_typed_dict(place: str) -> tuple[Option, ...]:
    """Read options that are defined as the keys of a TypedDict, each with a `Default`.

    Args:
        place: "module:name"; the module is not imported.

    Returns:
        The options, those of its bases first, each described by the docstring below its key. What a
        config cannot express has no annotation.
    """
    definition, module = _definition(place), place.partition(":")[0]
    assert isinstance(definition, ast.ClassDef)
    bases = [ast.unparse(base) for base in definition.bases]
    options: list[Option] = []
    for base in bases:
        options += () if base == "TypedDict" else read_typed_dict(_place_of(base, module))
    for node, below in pairwise(definition.body):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        assert isinstance(node.annotation, ast.Subscript)  # Annotated[type, Default(...), ...]
        assert isinstance(node.annotation.slice, ast.Tuple)
        assert isinstance(below, ast.Expr)
        type_, *marks = node.annotation.slice.elts
        made = {type(mark): mark for mark in (eval(ast.unparse(m), vars(types)) for m in marks)}
        text = " ".join(ast.literal_eval(below.value).split())
        annotation, default = _evaluated(type_), made[Default].value
        options.append(Option(node.target.id, annotation, default, text, made.get(InConfig)))
    return tuple(options)


def _evaluated(node: ast.expr) -> Any:
    """Evaluate an annotation without the branches of a union that a config cannot express."""
    branches = []
    for branch in _branches(node):
        try:
            value = eval(ast.unparse(branch), vars(types))  # our own source
        except NameError:
            continue
        branches.append(NoneType if value is None else value)
    return _expressible(branches, _is_data)


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


def explained_keys(owner: type) -> dict[str, str]:
    """Read the docstrings below the keys of a class of this package.

    Returns:
        The text of each key; nothing if the class is of another package, or was made at run time.
    """
    if owner.__module__.partition(".")[0] != __name__.partition(".")[0]:
        return {}
    return {
        key: text
        for node in _module(owner.__module__).body
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__
        for key, text in _texts_below(node)
    }


def _texts_below(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for node, below in pairwise(definition.body):
        if isinstance(node, ast.AnnAssign) and isinstance(below, ast.Expr):
            yield ast.unparse(node.target), inspect.cleandoc(ast.literal_eval(below.value))


# From objects --------------------------------------------------------------------------------


@functools.cache
def from_object(member: Any) -> tuple[Option, ...]:
    """Read the options of a member that is imported."""
    texts = _described(inspect.getdoc(member) or "")
    options = []
    for parameter in inspect.signature(member, eval_str=True).parameters.values():
        if get_origin(parameter.annotation) is Unpack:
            (shared,) = get_args(parameter.annotation)
            options += _of_member(_of_keys(shared), texts, getattr(member, _OWN_DEFAULTS, {}))
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        given = parameter.annotation
        annotation = Any if given is parameter.empty else _expressible([given], _fits_yaml)
        default = REQUIRED if parameter.default is parameter.empty else parameter.default
        if annotation is not None:
            text = texts.get(parameter.name, "")
            options.append(Option(parameter.name, annotation, default, text))
    return tuple(options)


def _of_keys(shared: Any) -> list[Option]:
    """Read options that are the keys of a TypedDict that is imported."""
    texts, defaults = _below_keys(shared), defaults_of(shared)
    options = []
    for name, annotated in shared.__annotations__.items():
        type_, *marks = get_args(annotated)
        kept = tuple(mark for mark in marks if not isinstance(mark, Default))
        annotation = Annotated[(type_, *kept)] if kept else type_
        fitting = _expressible([annotation], _fits_yaml)
        options.append(Option(name, fitting, defaults[name], texts.get(name, "")))
    return options


def _below_keys(shared: Any) -> dict[str, str]:
    """Read the docstrings below the keys of a TypedDict and its bases."""
    texts: dict[str, str] = {}
    for base in getattr(shared, "__orig_bases__", ()):
        texts |= _below_keys(base) if is_typeddict(base) else {}
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(shared))).body
    assert isinstance(definition, ast.ClassDef)
    return texts | {key: " ".join(text.split()) for key, text in _texts_below(definition)}


def _expressible(branches: Sequence[Any], fits: Callable[[Any], bool]) -> Any:
    """Join the branches of a union that YAML can hold, sequences as tuples; None if none can."""
    kept = []
    for branch in branches:
        if get_origin(branch) in (Union, UnionType):
            branch = _expressible(get_args(branch), fits)
        elif get_origin(branch) is Sequence:
            inner = _expressible(get_args(branch), fits)
            branch = None if inner is None else tuple[inner, ...]  # type: ignore[valid-type]  # built at run time
        if branch is not None and fits(branch):
            kept.append(branch)
    return Union[tuple(kept)] if set(kept) - {NoneType} else None  # noqa: UP007  # at run time


def _is_data(branch: Any) -> bool:
    """Whether YAML can hold one of `motet.options.types`: anything but functions and paths."""
    return branch not in (Path, Callable) and get_origin(branch) is not Callable


def _fits_yaml(branch: Any) -> bool:
    """Whether YAML can hold any type, which takes a millisecond to find out."""
    if branch is Path:  # a config writes a path as text
        return False
    try:
        TypeAdapter(branch).json_schema()
    except Exception:  # pydantic has no one error for "this type has no JSON form"
        return False
    return True
