"""Split a single-task module into what other tasks can share and its head, bit for bit the same.

No module is changed and no weight copied: the modules on the way to the head are made anew around
the same content, so that the old module and the model train the same parameters.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from motet.model import MultiTaskModel
from motet.model.checks import EXPLAINED, explained
from motet.model.trunk import Trunk, called
from motet.problems import InputError, hint
from motet.tasks import Task


def migrate(
    module: nn.Module,
    task: Task,
    example: Any,
    *,
    head: str | None = None,
    output: str | None = None,
) -> MultiTaskModel:
    """Make a multi-task model of a module that was made, and perhaps trained, for one task.

    ``model.facade()`` then answers as the module did, bit for bit, and ``model.add_task`` or
    `motet.migration.add_tasks` adds tasks that share all but its head. The module itself stays as
    it is, and shares its parameters with the model.

    Args:
        module: The module; it returns the raw output of the task as a tensor, or as one in a
            mapping. A module that returns ``{task: tensor}`` goes into `MultiTaskModel.wrap`.
        task: What it predicts.
        example: Inputs of a few rows, with which the split is checked: what the module takes, or
            ``{argument: value}`` if it takes several arguments.
        head: Name of the part that makes the output from features, such as "fc" or "layers.3"; the
            last module with parameters that returns the output if left out.
        output: The key of the output, if the module returns several.

    Returns:
        The model, with one task, in the module's mode.

    Raises:
        InputError: If the module cannot be split there, or the task does not fit its output.

    Example:
        >>> from motet.tasks import Classification, Regression
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 10))
        >>> rows = torch.randn(3, 4)
        >>> model = migrate(net, Classification("digit", classes=10), rows)
        >>> bool((model.facade()(rows) == net(rows)).all())
        True
        >>> model.add_task(Regression("area"))
        >>> sorted(model(rows))
        ['area', 'digit']
    """
    with _evaluating(module):
        seen = _watched(module, example, output)
        head = _last_part(seen) if head is None else head
        features = _checked_head(seen, head, module)
        task.use_head(seen.parts[head])
        column = seen.value.dim() == 2 and seen.value.shape[1] == 1 == task.outputs
        rest = _without(module, head)
        trunk = Trunk(rest, seen.output, seen.kind, task.name, column, features.shape[1])
        model = MultiTaskModel(trunk, [task]).eval()
        trunk.names = _names(module, model)
        _check_alike(model, trunk, seen, example)
    own = set(model.modules()).difference(module.modules())
    for part in own:
        part.training = module.training
    return model


@dataclass(frozen=True)
class _Seen:
    """What was seen in one call of a module, by the names of its parts."""

    output: str | None
    """The key of the task's output, if the module returns a mapping."""
    kind: type[dict[str, Any]]
    """The type of that mapping, such as the outputs of `transformers`."""
    value: Tensor
    """That output."""
    parts: dict[str, nn.Module]
    """In the order in which they returned; those that were not called are left out."""
    inputs: dict[str, list[Any]]
    """The first argument of each call."""
    outputs: dict[str, Any]
    """What they returned last."""


def _watched(module: nn.Module, example: Any, output: str | None) -> _Seen:
    parts, inputs, outputs = dict[str, nn.Module](), dict[str, list[Any]](), dict[str, Any]()

    def watching(name: str) -> Any:
        def note(part: nn.Module, given: Any, named: dict[str, Any], returned: Any) -> None:
            inputs.setdefault(name, []).append(next(iter((*given, *named.values())), None))
            parts[name], outputs[name] = part, returned

        return note

    hooks = [
        part.register_forward_hook(watching(name), with_kwargs=True)
        for name, part in module.named_modules()
    ]
    try:
        returned = called(module, example)
    except EXPLAINED as error:
        if (problem := explained(error, example, "the module")) is None:
            raise
        raise problem from error
    finally:
        for hook in hooks:
            hook.remove()
    key = _key(returned, output)
    value = returned if key is None else returned[key]
    kind = type(returned) if isinstance(returned, dict) else dict
    return _Seen(key, kind, value, parts, inputs, outputs)


def _key(returned: Any, output: str | None) -> str | None:
    """Return the key of the task's output; None if the module returns a tensor alone."""
    if isinstance(returned, Tensor):
        if output is not None:
            raise InputError(
                f"found {output!r}, but the module returns one tensor, without a key; remove it",
                option="output",
            )
        return None
    if not isinstance(returned, Mapping):
        raise InputError(
            f"the module returns {type(returned).__name__}, expected a tensor, or a mapping with "
            "the tensor that the task predicts"
        )
    keys = [key for key, value in returned.items() if isinstance(value, Tensor)]
    if output is None and len(keys) != 1:
        raise InputError(
            f"the module returns {', '.join(map(str, keys)) or 'no tensor'}; name the one that the "
            "task predicts, such as output='logits' (a module that returns {task: tensor} goes "
            "into MultiTaskModel.wrap)"
        )
    if output is not None and output not in keys:
        raise InputError(
            f"the module returns no tensor {output!r}; {hint(output, keys)}", option="output"
        )
    return keys[0] if output is None else output


def _last_part(seen: _Seen) -> str:
    """Return the name of the smallest part with parameters that returned the output."""
    found = [name for name, each in seen.outputs.items() if name and each is seen.value]
    if not any(name for name in seen.parts):
        raise InputError(
            f"the module is one layer, {type(seen.parts['']).__name__}, without parts that other "
            "tasks could share; expected layers before a head, such as nn.Sequential(encoder, head)"
        )
    if not found:
        raise InputError(
            "no part of the module returns its output, which is computed after the last of them; "
            "let forward return what its last layer returns, without softmax or the like"
        )
    weighing = [name for name in found if any(True for _ in seen.parts[name].parameters())]
    if not weighing:
        raise InputError(
            f"the output is returned by {found[0]} ({type(seen.parts[found[0]]).__name__}), which "
            "has no parameters; name the part that makes it from features, with all that follows, "
            "such as head='classifier'"
        )
    return max(weighing, key=lambda name: name.count("."))


def _checked_head(seen: _Seen, head: str, module: nn.Module) -> Tensor:
    """Return the features that a head gets.

    Raises:
        InputError: If there is no such part, or it does not make the output from one tensor.
    """
    about = {"option": "head"}
    names = [name for name, _ in module.named_modules() if name]
    if head not in names:
        raise InputError(f"no part of the module is named {head!r}; {hint(head, names)}", **about)
    if len(seen.inputs.get(head, ())) != 1:
        count = len(seen.inputs.get(head, ()))
        raise InputError(f"{head} is called {count} times for one output, expected once", **about)
    if seen.outputs[head] is not seen.value:
        raise InputError(f"{head} does not return the module's output, expected the last", **about)
    (features,) = seen.inputs[head]
    if not isinstance(features, Tensor) or features.dim() != 2:
        found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise InputError(f"{head} gets {found}, expected features (B, D)", **about)
    return features


def _without(module: nn.Module, path: str) -> nn.Module:
    """Return a module with nothing in place of a part, and all else shared."""
    name, _, rest = path.partition(".")
    part = module.get_submodule(name)
    made = copy.copy(module)
    made._modules = {**module._modules, name: _without(part, rest) if rest else nn.Identity()}
    return made


def _names(module: nn.Module, model: MultiTaskModel) -> dict[str, str]:
    """Return the name in a model's state of each tensor in a module's."""
    places = {id(tensor): name for name, tensor in model.state_dict(keep_vars=True).items()}
    return {name: places[id(each)] for name, each in module.state_dict(keep_vars=True).items()}


def _check_alike(model: MultiTaskModel, trunk: Trunk, seen: _Seen, example: Any) -> None:
    (task,) = model.tasks
    try:
        answer = trunk.answer(model(example)[task.name])
    except AttributeError as error:
        raise InputError(f"the module reads its head: {error}", option="head") from error
    found = answer if seen.output is None else answer[seen.output]
    if found.shape != seen.value.shape:
        raise InputError(
            f"the module returns {tuple(seen.value.shape)}, but task {task.name!r} has "
            f"{task.outputs} outputs; expected a task with as many"
        )
    if not torch.equal(found.nan_to_num(), seen.value.nan_to_num()):
        raise InputError(
            "the module does not compute the same without its head and the head after it: it "
            "reads the head, or computes something new in each call",
            option="head",
        )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode
