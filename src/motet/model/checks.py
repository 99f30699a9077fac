"""Checks of what a user gives a model, and explanations of an encoder's errors."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from motet.options import RESERVED_TASK_NAMES
from motet.problems import InputError
from motet.sharing import Stages
from motet.sharing.features import unsized_layers
from motet.tasks import Task
from motet.tasks.listing import listed_tasks

EXPLAINED = (RuntimeError, TypeError, IndexError, KeyError, ValueError, AttributeError)
"""What torch raises for inputs that do not fit; `explained` separates these from errors in code."""
_MACHINE = ("memory", "CUDA", "deterministic")
"""Words in errors about the machine, which inputs of another shape would not avoid."""

_ONE_TENSOR = (
    "layers such as nn.LSTM and nn.GRU return (output, state); put them into a module whose "
    "forward returns one tensor: `output, _ = self.gru(inputs); return output[:, -1]`"
)


def task_names(tasks: Sequence[Task]) -> tuple[str, ...]:
    """Return the names of a model's tasks.

    Raises:
        InputError: If this is not a list of tasks, or a name is repeated or cannot be used.
    """
    if isinstance(tasks, Iterator):
        raise InputError(
            f"tasks: found a {type(tasks).__name__}, which gives its tasks only once; expected a "
            "list: list(tasks)"
        )
    names = tuple(task.name for task in listed_tasks(tasks))
    if not names:
        raise InputError("found no task, expected at least one")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two tasks are named {name!r}; give each its own name")
        if not name or "." in name or name in RESERVED_TASK_NAMES:
            raise InputError(
                f"{name!r} cannot name a task: names are not empty, have no dot and are none of "
                f"{', '.join(RESERVED_TASK_NAMES)}"
            )
    return names


def names_of(tasks: str | Iterable[str]) -> tuple[str, ...]:
    """Return names of tasks; a text is one name, not its letters."""
    return (tasks,) if isinstance(tasks, str) else tuple(tasks)


def width_of(stages: Stages) -> int:
    """Read the width of the features from the last layer.

    Returns:
        The width.

    Raises:
        InputError: If no layer has one.
    """
    if isinstance(stages.gives, Mapping):
        return stages.gives.get("rows", next(iter(stages.gives.values())))
    if stages.last is None:
        raise InputError(
            f"the width of the features of {stages} cannot be read from its layers; "
            "give it with MultiTaskModel(..., width=)"
        )
    return stages.last.width


def check_sizes(model: nn.Module) -> None:
    """Refuse a model with layers that have no size yet.

    Raises:
        InputError: If there is a lazy layer that has not seen a batch.
    """
    if unsized := unsized_layers(model):
        raise InputError(
            f"the size of {', '.join(unsized)} is not known yet; run one batch through the model "
            "first: model(inputs)"
        )


def no_features(found: object, width: int) -> str:
    """Explain that an encoder returned something other than features."""
    advice = {
        tuple: _ONE_TENSOR,
        type(None): "its forward has no `return`",
    }.get(type(found), "return one of its tensors")
    return (
        f"the encoder returned {described(found)}, expected one tensor of features (B, {width}); "
        f"{advice}"
    )


def described(tree: object) -> str:
    """Describe inputs or outputs by their kinds, shapes and types of numbers."""
    if isinstance(tree, Tensor):
        return f"a tensor {tuple(tree.shape)} of {str(tree.dtype).removeprefix('torch.')}"
    if isinstance(tree, Mapping):
        return f"a mapping {{{', '.join(f'{k!r}: {described(v)}' for k, v in tree.items())}}}"
    if isinstance(tree, (list, tuple)):
        return f"a {type(tree).__name__} ({', '.join(map(described, tree))})"
    return "None" if tree is None else type(tree).__name__


def explained(error: Exception, inputs: Any, what: str) -> InputError | None:
    """Turn what torch raised for a batch of inputs into an error in the user's words.

    Args:
        error: What was raised.
        inputs: The inputs.
        what: What was called.

    Returns:
        The error to raise in its place; None if it is not about shapes and types.
    """
    text = str(error).strip() or type(error).__name__
    if type(error) not in EXPLAINED or any(word in text for word in _MACHINE):
        return None  # subclasses are torch's other errors, and ours
    if isinstance(error, AttributeError) and not text.startswith(("'tuple'", "'dict'")):
        return None
    if isinstance(error, KeyError):
        lacking = f"{what} failed on {described(inputs)}: it reads {text}, which is not there"
        return InputError(lacking) if _lacks(inputs, next(iter(error.args), None)) else None
    advice, first = _advice(text, inputs), text.splitlines()[0].removesuffix(".")
    return InputError(
        f"{what} failed on {described(inputs)}: {first}"
        + (f". {advice[0].upper()}{advice[1:]}" if advice else "")
    )


def _lacks(inputs: Any, key: object) -> bool:
    """Return whether a key may be that of an input; encoders take a tensor as the numbers alone."""
    return key not in inputs if isinstance(inputs, Mapping) else key in ("categories", "sets")


def _advice(text: str, inputs: Any) -> str:
    leaves = list(_leaves(inputs))
    if "not numpy.ndarray" in text:
        return "convert arrays before: torch.as_tensor(inputs)"
    if "tuple" in text and not isinstance(inputs, tuple):
        return _ONE_TENSOR
    if any(str(each.dtype) == "torch.uint8" for each in leaves):
        return "convert images of uint8 to floats before: images.float() / 255"
    if "channels" in text and any(_channels_last(each) for each in leaves):
        return (
            "convolutions expect (B, channels, height, width); move the channels: "
            "images.permute(0, 3, 1, 2)"
        )
    if "indices" in text and any(each.is_floating_point() for each in leaves):
        return "an embedding reads whole numbers; convert them before: inputs.long()"
    if "dtype" in text and not all(each.is_floating_point() for each in leaves):
        return "convert whole numbers to floats before: inputs.float()"
    if "index out of range" in text and leaves:
        largest = max(int(each.max()) for each in leaves if each.numel())
        return f"an embedding has too few rows for an index; the largest here is {largest}"
    if "more than 1 value per channel" in text:
        return "BatchNorm needs several rows; choose a batch_size that leaves no single row over"
    if "primitive" in text and "LSTM" in text:
        return (
            "this CPU does not compute nn.LSTM in float16; give precision: bfloat16, or call the "
            'layer on float32 within torch.autocast("cpu", enabled=False)'
        )
    if found := re.search(r"\(\d+x(\d+) and (\d+)x\d+\)", text):
        return f"a linear layer takes {found[2]} features and was given {found[1]}"
    return ""


def _channels_last(images: Tensor) -> bool:
    return images.ndim == 4 and images.shape[3] in (1, 3, 4) and images.shape[1] > 4


def _leaves(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    for each in tree.values() if isinstance(tree, Mapping) else ():
        yield from _leaves(each)
