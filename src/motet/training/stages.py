"""Stages of balancing: one balancer for the first epochs, another from then on.

A single balancer is one stage without an end. Each stage starts with a new balancer; all of them
are in a trainer's state and optimizer from the start, so a run can resume inside any.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from motet.balancing import Balancer
from motet.balancing.engine import check_pass, rehearse
from motet.config.stages import wrong_end
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.registry import BALANCERS
from motet.tasks import Task
from motet.training.creating import MemberChoice, create_balancer

Stage = Balancer | MemberChoice
"""A balancer, its name, or ``{"type": name or balancer, option: value, "until": epoch}``, perhaps
with ``heads``, ``at``, ``memory`` and ``gramian``, arguments of `motet.backward`."""

_OF_THE_PASS = ("heads", "at", "memory", "gramian")


class BalancerStages(nn.ModuleList):
    """The balancers of a run, in order.

    Args:
        balancers: One for each stage.
        ends: Last epoch of each stage but the last, counted from 1.
        passes: Arguments of `motet.backward` in each stage.
    """

    def __init__(
        self,
        balancers: Sequence[Balancer],
        ends: Sequence[int],
        passes: Sequence[Mapping[str, Any]],
    ) -> None:
        super().__init__(balancers)
        self.ends, self.passes = tuple(ends), tuple(passes)
        self._given = [
            {task: each.weight_beside(task) for task in each.tasks} for each in balancers
        ]

    def __iter__(self) -> Iterator[Balancer]:
        return cast(Iterator[Balancer], super().__iter__())

    def at(self, epoch: int) -> Balancer:
        """Return the balancer of an epoch, counted from 1."""
        balancer = self[self._place(epoch)]
        assert isinstance(balancer, Balancer)
        return balancer

    def pass_at(self, epoch: int) -> Mapping[str, Any]:
        """Return the arguments of `motet.backward` in an epoch, counted from 1."""
        return self.passes[self._place(epoch)]

    def weigh(self, tasks: Iterable[Task], epoch: int) -> None:
        """Set the tasks' weights of an epoch, times those that a balancer was created with.

        Raises:
            InputError: If a balancer does not support weights.
        """
        for balancer, given in zip(self, self._given, strict=True):
            for task in tasks:
                if task.name not in given:
                    continue  # its gradient is added after balancing
                balancer.set_weight(task.name, given[task.name] * task.weight_at(epoch))

    def rehearse(self, epoch: int, losses: Callable[[], Mapping[str, Tensor]]) -> None:
        """Check that the balancers of later stages support this model.

        Args:
            epoch: The epoch in progress, counted from 1.
            losses: Computes losses of some rows; called only if there are later stages.
        """
        later = list(self)[self._place(epoch) + 1 :]
        if not later:
            return
        found = {task: loss for task, loss in losses().items() if loss.requires_grad}
        for balancer in later if found else ():
            rehearse(found, balancer)

    def _place(self, epoch: int) -> int:
        return sum(epoch > end for end in self.ends)


def make_stages(
    chosen: Stage | Sequence[Stage] | BalancerStages, model: MultiTaskModel
) -> BalancerStages:
    """Create the balancers of a model's tasks.

    Returns:
        The stages.

    Raises:
        InputError: If one does not fit the tasks or does not support a task's weight, or the epochs
            at which stages end do not increase.
    """
    if isinstance(chosen, BalancerStages):
        return chosen
    if isinstance(chosen, (Balancer, str, Mapping)):
        chosen = [chosen]
    split = [_split(each) for each in chosen]
    if not split:
        raise InputError("found an empty list; expected at least one stage", option="balancer")
    ends = [until for _, until, _ in split]
    if (problem := wrong_end(ends)) is not None:
        place, message = problem
        raise InputError(f"`until` of stage {place + 1} of balancer: {message}")
    made = [id(each) for each, *_ in split if isinstance(each, Balancer)]
    if len(set(made)) < len(made):
        raise InputError(
            "found the same balancer in two stages; expected one for each; create another",
            option="balancer",
        )
    balancers = [create_balancer(each, model) for each, *_ in split]
    passes = [options for *_, options in split]
    for balancer, options in zip(balancers, passes, strict=True):
        _check(balancer, options)
    stages = BalancerStages(balancers, [until for until in ends if until is not None], passes)
    for epoch in sorted(
        {1, *(e for task in model.tasks for e in task.turning_points)}, reverse=True
    ):
        stages.weigh(model.tasks, epoch)  # checks every weight; those of epoch 1 stay
    return stages


def _check(balancer: Balancer, options: Mapping[str, Any]) -> None:
    if "heads" in options and balancer.needs.reads == "losses":
        raise InputError(
            f"{type(balancer).__name__} weights the losses, so heads are weighted in any case; "
            "remove heads"
        )
    check_pass(balancer, **options)


def name_of(balancer: Balancer) -> str:
    """Return the name that a balancer is registered by, or its class's."""
    return BALANCERS.find(type(balancer)) or type(balancer).__name__


def _split(stage: Stage) -> tuple[Stage, int | None, dict[str, Any]]:
    """Split a stage into its balancer, its last epoch, and the options of the backward pass."""
    if not isinstance(stage, Mapping):
        return stage, None, {}
    options: dict[str, Any] = dict(stage)
    until = options.pop("until", None)
    if until is not None and (not isinstance(until, int) or isinstance(until, bool) or until < 1):
        raise InputError(
            f"found {until!r}; expected a whole number > 0, the stage's last epoch", option="until"
        )
    given = {name: options.pop(name, None) for name in _OF_THE_PASS}
    given = {name: value for name, value in given.items() if value is not None}
    if isinstance(options.get("type"), Balancer):
        if len(options) > 1:
            names = ", ".join(name for name in options if name != "type")
            raise InputError(
                f"found options beside a balancer object; remove {names}", option="balancer"
            )
        return options["type"], until, given
    return options, until, given
