"""The parameters of a model: which task owns them, and which of them are trained."""

from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor, nn

from motet.freezable import held_parameters
from motet.model.enabled_tasks import EnabledTasks
from motet.model.ownership import Ownership
from motet.model.parts import find
from motet.model.reads import Order
from motet.sharing import ByTask, SharedModule


class OwnedParameters(EnabledTasks):
    """A model as optimizers, balancers and freezing see it."""

    sharing: SharedModule
    heads: ByTask[nn.Module]
    ownership: Ownership
    """Which task each parameter belongs to, as far as modules and graphs show it."""
    _order: Order

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """List the parameters that only this task reaches; tied weights are shared."""
        return self._own()[self._known(task)]

    def shared_parameters(self) -> list[nn.Parameter]:
        """List the parameters that several tasks may reach, as far as `ownership` knows."""
        own = {id(p) for parameters in self._own().values() for p in parameters}
        return [parameter for parameter in self.parameters() if id(parameter) not in own]

    def note_reached(self, reached: Mapping[Tensor, Iterable[str]]) -> None:
        """Record which tasks' outputs depend on each leaf of the graph of a forward pass.

        Args:
            reached: As `motet.balancing.reached_tasks` returns it. Leaves that are not parameters
                of the model are left out.
        """
        names = {id(parameter): name for name, parameter in self.named_parameters()}
        self.ownership.add(
            {names[id(leaf)]: tasks for leaf, tasks in reached.items() if id(leaf) in names}
        )

    def _own(self) -> dict[str, list[nn.Parameter]]:
        parts = {task: list(self.sharing.task_parameters(task)) for task in self.tasks.names}
        single = {id(parameter) for part in parts.values() for parameter in part}
        common = [p for p in self.sharing.parameters() if id(p) not in single]
        held: dict[str, list[nn.Parameter]] = {}
        for task, part in parts.items():
            held[task] = []
            if self.tasks[task].latent:
                continue  # it belongs to the tasks that train it
            held[task] += [*self._head_parameters(task), *self.tasks[task].parameters(), *part]
            for each in self._order.trained(task):
                if self.tasks[each].latent:
                    held[task] += parts[each]
        return self.ownership.own(self, common, held)

    def _head_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """Yield the parameters of a task's head and of the heads that it trains by reading."""
        for each in self._order.trained(task):
            yield from self.heads[each].parameters()

    def freeze(self, *parts: str, evaluation: bool = False) -> None:
        """Freeze parts: they are not trained any more.

        Args:
            *parts: "encoder" (all that tasks share), "pretrained" (pretrained encoders),
                "inputs.NAME" (the encoder of an input), a task (its own parameters), or patterns of
                names of parameters and modules; see `motet.model.parts.find`.
            evaluation: Whether modules that are frozen as a whole compute as in evaluation from
                now on, without dropout and with BatchNorm's averages as they are.

        Raises:
            InputError: If there is no such part.
        """
        self._freeze(map(self.get_parameter, find(self, parts)), evaluation)

    def unfreeze(self, *parts: str) -> None:
        """Unfreeze parts, so that they are trained again; see `freeze`."""
        self._unfreeze(map(self.get_parameter, find(self, parts)))

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the parameters that are not trained."""
        return tuple(name for name, p in self.named_parameters() if not p.requires_grad)

    @property
    def held(self) -> tuple[str, ...]:
        """Names of those of them whose modules compute as in evaluation."""
        held = set(map(id, held_parameters(self)))
        return tuple(name for name, p in self.named_parameters() if id(p) in held)


def count_parameters(parameters: list[nn.Parameter]) -> dict[str, int]:
    """Return how many numbers parameters have, and how many of these are frozen."""
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    return {
        "parameters": sum(parameter.numel() for parameter in parameters),
        "frozen": sum(parameter.numel() for parameter in frozen),
    }


def adapter_counts(model: nn.Module) -> dict[str, dict[str, int]]:
    """Return the number of parameters of each adapter, by the module that has them."""
    found: dict[str, dict[str, int]] = {}
    for name, each in model.named_modules():
        counts: dict[str, int] = getattr(each, "adapters", dict)()
        if counts:
            found[name] = counts
    return found
