"""Weights of an earlier run in a new model: of the encoder that tasks share, and of heads.

Every number that the new model has of a part must be there, in the same shape. What belongs to
tasks that one of the runs lacks is left out: those of the new run begin with weights of their own.
"""

from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor, nn

from motet.data.selection import listed
from motet.encoders import Joined
from motet.encoders.adaptable import adapter_name
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.run.origin_rows import seen_in_other_split
from motet.run.prepared import AnyPrepared
from motet.run.starts import Start
from motet.sharing import ByTask
from motet.tasks.weights import LabelWeights

_SEPARATE = frozenset({"hard", "soft", "mmoe", "cgc", "dselect_k"})
"""Sharing schemes in which no task reads what another has alone, so that tasks may come and go."""

_EXTRA = "_extra_state"
"""Last part of the name that torch gives to state of a module that is no parameter or buffer."""
State = Mapping[str, Tensor]


def load_weights(model: MultiTaskModel, start: Start) -> None:
    """Load what is taken of an earlier run into a new model.

    Raises:
        InputError: If it is another architecture; the message has what differs.
    """
    old = start.run.model
    if start.whole:
        _check_tasks(model, start)
        load_shared(model, old, start.path)
    else:
        for name in start.inputs:
            _load_encoder(model, old, name, start.path)
    for name in start.tasks:
        what = f"the head of {name!r}"
        _load(model.heads[name], old.heads[name].state_dict(), what, start.path)
        skipped = _class_weights(model.tasks[name])
        taken = _without(old.tasks[name].state_dict(), _class_weights(old.tasks[name]))
        _load(model.tasks[name], taken, f"task {name!r}", start.path, skipped)


def load_shared(model: MultiTaskModel, other: MultiTaskModel, path: str) -> None:
    """Load all of another model that tasks share, and what belongs to tasks that both have."""
    theirs = _own_names(other, set(other.tasks.names) - set(model.tasks.names))
    ours = _own_names(model, set(model.tasks.names) - set(other.tasks.names))
    state = _without(other.sharing.state_dict(), theirs)
    _load(model.sharing, state, "the encoder", path, ours)


def refuse_other_splits(prepared: AnyPrepared, start: Start) -> None:
    """Refuse a run that was trained on rows which the new run keeps for validation or testing.

    Raises:
        InputError: If it was trained on the same rows, split in another way.
    """
    for name, part in prepared.parts.items():
        if seen_in_other_split(part, start.run.path, start.run.reader.preprocessing, name):
            raise InputError(
                f"{start.path} was trained on these rows in another split, so that it has seen "
                "rows which this run keeps for validation or testing; use the same data.split"
            )


def _check_tasks(model: MultiTaskModel, start: Start) -> None:
    chosen = start.run.config.model.sharing
    if chosen.type in _SEPARATE and chosen.options().get("groups") is None:
        return
    own, other = model.tasks.names, start.run.model.tasks.names
    if own != other:
        raise InputError(
            f"{start.path} has the tasks {listed(other)}, and this run {listed(own)}; "
            f"tasks read each other with {chosen.type} sharing or groups, so expected the same "
            "tasks in the same order"
        )


def _load_encoder(model: MultiTaskModel, old: MultiTaskModel, name: str, path: str) -> None:
    """Load the encoder of one input, into each copy that sharing has made."""
    found = list(_encoders(old, name))
    if len(found) != 1:
        raise InputError(
            f"{path} has {len(found)} encoders of {name!r}, as its sharing copies them; take all "
            "with parts: [encoder]"
        )
    for encoder in _encoders(model, name):
        _load(encoder, found[0].state_dict(), f"the encoder of {name!r}", path)


def _encoders(model: nn.Module, name: str) -> Iterator[nn.Module]:
    for joined in model.modules():
        if isinstance(joined, Joined) and (found := joined.reader(name)) is not None:
            yield found


def _load(
    module: nn.Module, state: State, what: str, path: str, skipped: Collection[str] = ()
) -> None:
    """Load a state that must be complete, apart from names that are skipped."""
    own = _without(module.state_dict(), skipped)
    wrong = list(_differences(own, state))
    if wrong:
        raise InputError(
            f"{what} of {path} has another architecture: {listed(wrong)}; give the options that "
            "it has there, or leave them out"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            owner, _, last = name.rpartition(".")
            if last == _EXTRA:
                module.get_submodule(owner).set_extra_state(state[name])
            else:
                tensor.copy_(state[name])  # in place: modules may share it


def _differences(own: State, other: State) -> Iterator[str]:
    for name, tensor in own.items():
        if name not in other:
            yield f"it has no {name}"
        elif not name.endswith(_EXTRA) and other[name].shape != tensor.shape:
            yield f"{name} is {tuple(other[name].shape)} there, {tuple(tensor.shape)} here"
    for name in other:
        if name not in own:
            yield f"{name} is there alone"


def _without(state: State, names: Collection[str]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name not in names}


def _own_names(model: MultiTaskModel, tasks: Collection[str]) -> set[str]:
    """Return names of what sharing has of some tasks alone: their modules and adapters."""
    adapters = set(map(adapter_name, tasks))
    own = tuple(  # a task may be called "weight", as parameters are
        f"{place}.{task}.".removeprefix(".")
        for place, module in model.sharing.named_modules()
        if isinstance(module, ByTask)
        for task in tasks
    )
    return {
        name
        for name in model.sharing.state_dict()
        if name.startswith(own) or not adapters.isdisjoint(name.split("."))
    }


def _class_weights(task: nn.Module) -> set[str]:
    """Return names of weights that are learned from the labels of each run anew."""
    return {
        f"{name}.{each}"
        for name, module in task.named_modules()
        if isinstance(module, LabelWeights)
        for each in module.state_dict()
    }
