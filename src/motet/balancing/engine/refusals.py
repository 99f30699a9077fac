"""Options that a balancer, or a call, does not support; each is refused with the reason."""

from torch import distributed

from motet.balancing.engine.call import BackwardCall
from motet.balancing.families import Balancer, JacobianBalancer
from motet.problems import InputError, shown

_ALLOWED = {
    "at": ("parameters", "representation"),
    "heads": ("plain", "weighted"),
    "memory": ("normal", "low"),
    "gramian": ("auto", "rows", "layers"),
}


def check_pass(
    balancer: Balancer,
    *,
    at: str = "parameters",
    heads: str = "plain",
    memory: str = "normal",
    gramian: str = "auto",
) -> None:
    """Check options of `motet.backward` before there are losses, as a run does.

    Raises:
        InputError: If a value is unknown, or the balancer makes no use of the option.
    """
    if not isinstance(balancer, Balancer) or not hasattr(balancer, "reads"):
        raise InputError(no_balancer(balancer))
    if (at, heads, memory, gramian) == ("parameters", "plain", "normal", "auto"):
        return
    name, needs = type(balancer).__name__, balancer.needs
    given = {"at": at, "heads": heads, "memory": memory, "gramian": gramian}
    for option, value in given.items():
        if value not in _ALLOWED[option]:
            expected = " or ".join(map(repr, _ALLOWED[option]))
            raise InputError(f"{option} is {value!r}, expected {expected}")
    if at == "representation" and needs.reads == "losses":
        raise InputError(f'{name} reads only losses; at="representation" would not change it')
    if at == "representation" and needs.columns_stay:
        raise InputError(
            f"{name} remembers gradients from step to step; those at a representation are of other "
            'rows of data each time. Use at="parameters"'
        )
    if heads == "weighted" and needs.reads == "losses":
        raise InputError(
            f"{name} weighs the losses, so heads are weighted in any case; remove heads"
        )
    if heads == "weighted" and not needs.gives_weights:
        raise InputError(f'{name} gives no task weights, so it does not support heads="weighted"')
    if memory == "low" and needs.reads != "gramian":
        raise InputError(f'memory="low" is for Gramian balancers; {name} is none')
    if memory == "low" and at == "representation":
        raise InputError(
            'at="representation" has no buffer of task gradients, so memory="low" would save '
            "nothing; remove it"
        )
    if gramian != "auto" and needs.reads != "gramian":
        raise InputError(f'gramian="{gramian}" is for Gramian balancers; {name} is none')
    if gramian != "auto" and at == "representation":
        raise InputError(
            f'at="representation" computes no gradients of layers, so gramian="{gramian}" would '
            "change nothing; remove it"
        )
    if gramian == "layers" and memory == "low":
        raise InputError(
            'memory="low" reads rows piece by piece and gramian="layers" no rows; remove one'
        )


def no_balancer(found: object) -> str:
    """Describe an argument that is not one of the three kinds of balancer."""
    if isinstance(found, type) and issubclass(found, Balancer):
        return (
            f"balancer is the class {found.__name__}; create an instance: {found.__name__}(tasks)"
        )
    return (
        f"balancer is {shown(found)}, expected a motet balancer, such as "
        'motet.balancing.create("equal", tasks)'
    )


def check_call(call: BackwardCall) -> None:
    """Refuse several processes, and options of one call that do not go together."""
    needs, name = call.balancer.needs, type(call.balancer).__name__
    reads_gradients = needs.reads != "losses" or needs.penalizes_norms
    if call.processes.several:
        _check_over_processes(call)
    elif call.shards is not None:
        _check_shards(call)
    elif (
        reads_gradients
        and call.processes.group is None
        and distributed.is_available()
        and distributed.is_initialized()
    ):
        _refuse_processes(name)  # else what DDP averages is all there is
    if call.representation is not None and call.at == "parameters":
        raise InputError('representation is read only with at="representation"; remove one')
    if call.whole:
        return
    if needs.penalizes_norms:
        raise InputError(
            f"{name} needs the whole batch at once: norms of gradients do not add up over "
            "micro-batches; leave solve=False and previous= out"
        )
    if needs.norms == "last":
        raise InputError(
            f"over micro-batches {name} reads norms on all of `shared`; create it with "
            'layer="all", and give the parameters of the last shared layer as `shared`'
        )
    if call.at == "representation" or call.memory == "low":
        raise InputError(
            "solve=False and previous= add up task gradients on the parameters; they do not go "
            'with at="representation" or memory="low"'
        )
    if call.gramian == "layers":
        raise InputError(
            'solve=False and previous= add up rows, and gramian="layers" makes none; remove gramian'
        )


def check_lists(shared: object, task_parameters: object) -> None:
    """Refuse several processes without lists of parameters, which no graph gives all of them."""
    for name, given in (("shared", shared), ("task_parameters", task_parameters)):
        if given is None:
            raise InputError(
                f"several processes need {name}: a process without rows of a task has no graph "
                "that shows its parameters. Give shared= and task_parameters={task: its "
                "parameters}, alike on all processes"
            )


def _check_over_processes(call: BackwardCall) -> None:
    """Refuse what would not be the result of one process with all rows."""
    if call.gramian == "layers":
        raise InputError(
            'gramian="layers" reads products of the rows of one process, and those of rows on '
            "different processes would be missing; remove gramian"
        )
    needs, name = call.balancer.needs, type(call.balancer).__name__
    if call.at == "representation" and needs.reads == "jacobian":
        raise InputError(
            f"at a representation each process has columns of its own rows, and {name} needs those "
            'of all; use at="parameters" with process_group, or a Gramian balancer'
        )
    trained = any(loss.requires_grad for loss in call.losses.values())
    if call.at == "representation" and call.representation is None and trained:
        raise InputError(
            'at="representation" with process_group needs representation=, the tensors that heads '
            "were given: found in a graph, they would depend on the tasks of each process"
        )
    if not call.solve and call.penalty is not None:
        raise InputError(
            "with process_group, processes exchange gradients only at the call that solves; give "
            "it the penalty"
        )


def _check_shards(call: BackwardCall) -> None:
    """Refuse what has no exact result where each process holds a part of the parameters."""
    balancer, needs = call.balancer, call.balancer.needs
    reason = ""
    if needs.penalizes_norms:
        reason = "it differentiates gradients, which FSDP cannot; use `gradnorm` with layer='all'"
    elif needs.looks_ahead:
        reason = "it tries a step on the whole parameters; use a balancer that reads gradients"
    elif needs.norms == "last":
        reason = (
            "the graph does not show which layer is the last; create it with layer='all', and "
            "norms are those on all of `shared`"
        )
    elif isinstance(balancer, JacobianBalancer) and not balancer.divisible:
        reason = (
            "it reads whole task gradients, not columns alone; use a balancer that reads inner "
            "products, such as `pcgrad` or `upgrad`"
        )
    elif call.memory == "low":
        reason = 'memory="low" saves nothing, as a buffer of parts is small already; remove it'
    elif call.gramian == "layers":
        reason = 'gramian="layers" reads weights in the graph, where FSDP has none; remove it'
    elif call.at == "representation" and call.representation is None:
        reason = "the graph does not show the representation; give representation="
    if reason:
        name = type(balancer).__name__
        raise InputError(f"{name} does not support this with parameters in parts (FSDP): {reason}")


def _refuse_processes(name: str) -> None:
    """Refuse what would let replicas diverge: autograd.grad bypasses the hooks that average."""
    if (count := distributed.get_world_size()) > 1:
        raise InputError(
            f"torch.distributed runs {count} processes, but {name} reads gradients, and each "
            "process would balance those of its own rows; give motet.backward "
            "process_group=torch.distributed.group.WORLD, or use a balancer that reads only "
            "losses, such as `equal`"
        )
