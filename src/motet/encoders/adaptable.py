"""Encoders around a Hugging Face model that can be trained through adapters alone."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import torch
from torch import nn

from motet.encoders.adapters import (
    SHARED,
    LowRank,
    adapted_modules,
    adapter_parameters,
    draw_first,
    in_use,
    merged,
    without,
    write_adapter,
)
from motet.encoders.base import Encoder
from motet.problems import InputError


class Adaptable(Encoder):
    """Base of encoders around a model, whose weights stay as they are where it has adapters.

    A subclass calls `adapt` once it has its ``model``.
    """

    model: nn.Module
    """The model, with its adapters inside."""
    adapter: LowRank | None
    """What adapters it has, if any."""
    own_learning_rate: float | None
    """Learning rate of what is trained of it."""
    full_learning_rate: float | None
    """Learning rate of the whole model, where that is trained."""

    def adapt(self, given: Mapping[str, Any] | None) -> None:
        """Freeze the model for good, and put an adapter into it, or let tasks have their own.

        Args:
            given: Options of the adapter; nothing changes if None.

        Raises:
            InputError: If they do not fit the model, or ``peft`` is not installed.
        """
        self.adapter = None if given is None else LowRank.of(given, self.model)
        if self.adapter is None:
            return
        if self.adapter.per_task:  # places are prepared now, so that mistakes are found now
            with torch.random.fork_rng(devices=[]):
                self.adapter.add(self.model, SHARED)
            without(self.model, SHARED)
        else:
            self.adapter.add(self.model, SHARED)
        for parameter in self.fixed_parameters():
            parameter.requires_grad_(False)

    @property
    def merges(self) -> bool:
        """Whether a run saves it with merged weights."""
        return self.adapter is not None and self.adapter.merge

    @property
    def per_task(self) -> bool:
        """Whether each task has an adapter of its own; see `motet.adapting.PerTask`."""
        return self.adapter is not None and self.adapter.per_task

    @property
    def reset_parameters(self) -> Callable[[], None] | None:
        """Draws adapters anew, in copies for tasks; None without, as modules draw their own."""
        return None if self.adapter is None else partial(draw_first, self.model)

    def fixed_parameters(self) -> list[nn.Parameter]:
        """List the parameters that are never trained: all but those of adapters, if there are."""
        if self.adapter is None:
            return []
        own = set(map(id, adapter_parameters(self.model)))
        return [each for each in self.model.parameters() if id(each) not in own]

    def add_task(self, task: str) -> None:
        """Make the adapter of a task."""
        assert self.adapter is not None
        like = next(self.model.parameters())
        self.adapter.add(self.model, adapter_name(task))
        self.model.to(like.device, like.dtype)

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """Yield the parameters of a task's adapter."""
        yield from adapter_parameters(self.model, adapter_name(task))

    def of_task(self, task: str) -> AbstractContextManager[None]:
        """Compute with the adapter of a task within a block."""
        return in_use(self.model, [adapter_name(task)])

    def adapted_modules(self) -> list[nn.Module]:
        """List the modules that hold adapters."""
        return adapted_modules(self.model)

    def repeated(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Return contexts of a checkpointed computation and of its repetition, as torch has them.

        The repetition uses the adapter that is in use now.
        """
        names = list(adapted_modules(self.model)[0].active_adapters)
        return nullcontext(), in_use(self.model, names)

    def merged(self, task: str | None = None) -> Self:
        """Copy the encoder, with an adapter added to the weights and none beside them.

        Its results are the same up to rounding; all of it can be trained.

        Args:
            task: Whose adapter, where each task has its own.

        Returns:
            The copy.

        Raises:
            InputError: If there is no such adapter.
        """
        names = self._names()
        name = SHARED if task is None else adapter_name(task)
        if name not in names:
            known = ", ".join(map(_shown, names)) or "none"
            raise InputError(f"found {task!r}, expected the name of an adapter: {known}")
        found = copy(self)
        found._modules, found.adapter = dict(self._modules), None
        found.own_learning_rate = self.full_learning_rate
        found.model = merged(self.model, name)
        return found

    def adapters(self) -> dict[str, int]:
        """Return the number of parameters of each adapter: by task, or of the one all share."""
        return {
            _shown(name): sum(each.numel() for each in adapter_parameters(self.model, name))
            for name in self._names()
        }

    def write_adapters(self, folder: Path) -> None:
        """Write each adapter as peft reads it, into a folder of its own."""
        for name in self._names():
            write_adapter(self.model, name, folder / folder_name(_shown(name)))

    def _names(self) -> list[str]:
        return [] if self.adapter is None else list(self.model.peft_config)  # type: ignore[arg-type]  # set by peft


def folder_name(name: str) -> str:
    """Return the name of the folder for a task or an input, which stays within the one above.

    >>> folder_name("a/b"), folder_name("..")
    ('a%2Fb', '%2E%2E')
    """
    quoted = quote(name, safe=" ")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def adapter_name(task: str) -> str:
    """Return the name of a task's adapter, which no attribute of a module has."""
    return f"{_TASK}{task}"


def _shown(name: str) -> str:
    return name.removeprefix(_TASK)


_TASK = "task_"
