"""Which task each parameter of a model belongs to.

A parameter that one task alone reaches belongs to that task; all others are shared. Most of this is
known from the modules before any forward pass: a head belongs to its task, unless its parameters
are also in the sharing scheme or in another head. The rest, such as a head that calls a layer which
is not its submodule, is found in the graph of a forward pass. A graph adds owners and removes none,
as one pass may skip a module that another uses.
"""

from collections.abc import Iterable, Mapping

from torch import nn

from motet.problems import InputError

Parameters = Iterable[nn.Parameter]


class Ownership:
    """Finds the own parameters of each task of one model.

    Args:
        declared: Whether the sharing scheme declares which parameters belong to one task alone.
            Otherwise only graphs show it, and what no graph has shown yet counts as shared, as
            does everything while graphs have shown a single task of several.
    """

    def __init__(self, *, declared: bool) -> None:
        self._declared = declared
        self._seen: dict[str, set[str]] = {}

    @property
    def known(self) -> bool:
        """Whether shared and own parameters are known yet."""
        return self._declared or bool(self._seen)

    def require_known(self, what: str) -> None:
        """Reject what depends on which parameters tasks share where that is unknown.

        Args:
            what: What depends on it, for the message.

        Raises:
            InputError: If the model is a wrapped module whose heads are not named.
        """
        if not self.known:
            raise InputError(
                f"{what} is unknown: a wrapped module does not show which of its parameters are "
                "heads; name each task's part with MultiTaskModel.wrap(module, tasks, heads={task: "
                "module.part}), nn.Identity() for a task without one, or name parts of the module"
            )

    @property
    def seen(self) -> dict[str, list[str]]:
        """The tasks that graphs showed to reach each parameter, by its name."""
        return {name: sorted(tasks) for name, tasks in self._seen.items()}

    def add(self, seen: Mapping[str, Iterable[str]]) -> None:
        """Add the tasks that a graph showed to reach each parameter, by its name."""
        for name, tasks in seen.items():
            self._seen.setdefault(name, set()).update(tasks)

    def own(
        self, model: nn.Module, common: Parameters, held: Mapping[str, Parameters]
    ) -> dict[str, list[nn.Parameter]]:
        """List the parameters that each task alone reaches.

        Args:
            model: Names the parameters.
            common: The parameters of the sharing scheme, without those of single tasks.
            held: The head of each task, and its own parameters in the sharing scheme.

        Returns:
            Parameters by task, in the model's order.
        """
        shared = set(map(id, common))
        compared = self._declared or len(held) == 1 or len(set().union(*self._seen.values())) > 1
        holders: dict[int, set[str]] = {}
        for task, parameters in held.items():
            for parameter in parameters:
                holders.setdefault(id(parameter), set()).add(task)
        own: dict[str, dict[int, nn.Parameter]] = {task: {} for task in held}
        for name, parameter in model.named_parameters():
            seen = self._seen.get(name, set())
            owners = holders.get(id(parameter), set()) | seen
            undecided = id(parameter) in shared and (self._declared or not seen or not compared)
            if len(owners) == 1 and not undecided:
                own[next(iter(owners))][id(parameter)] = parameter
        return {task: list(found.values()) for task, found in own.items()}
