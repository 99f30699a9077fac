"""Which tasks reach which parameters, in the graphs of all processes."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from motet.balancing import reached_tasks
from motet.processes import Processes


def reached_by_any(
    outputs: Mapping[str, Tensor],
    tasks: Sequence[str],
    parameters: Sequence[Tensor],
    processes: Processes,
) -> dict[Tensor, frozenset[str]]:
    """Return which tasks reach each leaf; of several processes, each parameter on some of them.

    Args:
        outputs: Losses or raw outputs of this process.
        tasks: The tasks of all processes.
        parameters: Parameters that they may reach.
        processes: The processes.
    """
    if not processes.several:
        return reached_tasks(outputs)
    own = reached_tasks(outputs)
    none = frozenset[str]()
    found = processes.any([t in own.get(p, none) for p in parameters for t in tasks])
    by_parameter = [found[at : at + len(tasks)] for at in range(0, len(found), len(tasks))]
    return {
        parameter: frozenset(task for task, here in zip(tasks, row, strict=True) if here)
        for parameter, row in zip(parameters, by_parameter, strict=True)
        if any(row)
    }
