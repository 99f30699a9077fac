"""A multi-task model that is called as a model of one task."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from motet.elsewhere import no_method
from motet.model.enabled_tasks import EnabledTasks
from motet.model.trunk import Trunk
from motet.problems import InputError, hint
from motet.tasks.listing import main_tasks


class Facade(nn.Module):
    """A multi-task model whose call returns the output of one task, as old code expects it.

    The output is raw, not decoded. For the task whose module the model was made from
    (`motet.migrate`), calls take the arguments of that module and return what it returned: a
    tensor of the same shape, or a mapping with the same key.

    Args:
        model: The model, not copied: both train the same parameters.
        primary: The task whose output is returned; the first main task if left out, or the first
            task if none is one.

    Raises:
        InputError: If the task is unknown or disabled, or has no output of its own.

    Example:
        >>> import torch
        >>> from motet import MultiTaskModel
        >>> from motet.tasks import Classification, Regression
        >>> tasks = [Classification("digit", classes=10), Regression("area")]
        >>> single = MultiTaskModel(nn.Linear(4, 8), tasks).facade("digit")
        >>> single(torch.zeros(3, 4)).shape
        torch.Size([3, 10])
        >>> sorted(single.all(torch.zeros(3, 4)))
        ['area', 'digit']
    """

    def __init__(self, model: EnabledTasks, primary: str | None = None) -> None:
        super().__init__()
        self.model = model
        self._trunk = next((each for each in model.modules() if isinstance(each, Trunk)), None)
        able = [model.tasks[task] for task in model.labelled_tasks]
        self.primary = main_tasks(able)[0] if primary is None else primary

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                raise no_method(self, name) from None

    @property
    def primary(self) -> str:
        """The task whose output a call returns; it can be set."""
        return self._primary

    @primary.setter
    def primary(self, task: str) -> None:
        self._check(task)
        self._primary = task

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return the output of the primary task.

        Raises:
            InputError: If it is disabled, or the inputs do not fit the encoder.
        """
        self._check(self.primary)
        raw = self.model(self._inputs(inputs, named), [self.primary])[self.primary]
        is_old = self._trunk is not None and self._trunk.task == self.primary
        return self._trunk.answer(raw) if self._trunk is not None and is_old else raw

    def all(self, *inputs: Any, **named: Any) -> dict[str, Tensor]:
        """Return the raw output of every enabled task."""
        raw: dict[str, Tensor] = self.model(self._inputs(inputs, named))
        return raw

    def enable_task(self, task: str) -> None:
        """Compute and train a task again."""
        self.model.enable_task(task)

    def disable_task(self, task: str) -> None:
        """Leave a task out, which is not the primary one.

        Raises:
            InputError: If it is.
        """
        if task == self.primary:
            raise InputError(f"calls return the output of {task!r}; set primary to another first")
        self.model.disable_task(task)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load a state of this façade, or one of the module that its model was made from.

        The latter has the shared part and the old task's head; other tasks stay as they are.

        Returns:
            What `torch.nn.Module.load_state_dict` returns.
        """
        names = {} if self._trunk is None else self._trunk.names
        if state_dict and names.keys() >= state_dict.keys():
            found = {f"model.{names[old]}": each for old, each in state_dict.items()}
            olds = {f"model.{new}" for new in names.values()}
            kept = {name: each for name, each in self.state_dict().items() if name not in olds}
            state_dict = {**kept, **found}
        return super().load_state_dict(state_dict, strict, assign)

    def old_state_dict(self) -> dict[str, Tensor]:
        """Return the state of the module that the model was made from, as old code loads it.

        Raises:
            InputError: If it was made in another way.
        """
        if self._trunk is None:
            raise InputError("the model was not made by motet.migrate; expected state_dict()")
        state = self.model.state_dict()
        return {old: state[new] for old, new in self._trunk.names.items()}

    def _check(self, task: str) -> None:
        able = self.model.labelled_tasks
        if task not in able:
            raise InputError(
                f"no enabled task with an output is named {task!r}; {hint(str(task), able)}"
            )

    def _inputs(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        if self._trunk is not None:
            return self._trunk.inputs_of(given, named)
        if len(given) == 1 and not named:
            return given[0]
        if named and not given:
            return dict(named)
        raise InputError(
            f"found {len(given)} positional and {len(named)} named inputs, expected one, or inputs "
            "by the names of their encoders"
        )
