"""The parameter groups of an optimizer: which learning rate and weight decay each parameter has."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from motet.adapting import fixed_parameters
from motet.model import MultiTaskModel
from motet.model.layers import layers_of
from motet.problems import InputError
from motet.sharing import Special

Groups = list[dict[str, Any]]
OptimizerFactory = Callable[[Groups], Optimizer]


def parameter_groups(
    model: MultiTaskModel,
    balancers: nn.Module,
    *,
    shared_learning_rate: float | None = None,
    layer_decay: float | None = None,
) -> Groups:
    """Group parameters by learning rate and weight decay.

    Frozen ones are among them, as they may be unfrozen; not those that are fixed beside adapters.

    Args:
        model: The model.
        balancers: Their parameters are trained as well.
        shared_learning_rate: Learning rate of what several tasks may reach.
        layer_decay: Factor on the learning rate for each layer of the encoder, from the last to
            the first: once for the last, twice for the one before, ...

    Returns:
        Groups for an optimizer. Norms, biases, embeddings, what a module names in ``undecayed`` and
        the balancers' own parameters do not decay. A task's parameters have its learning rate, if
        it has one, those of a module with an ``own_learning_rate`` have that; all others have the
        optimizer's. ``rate`` is a factor on it, from the sharing scheme or ``layer_decay``.

    Raises:
        InputError: If ``shared_learning_rate`` would have no effect, or the encoder's layers cannot
            be counted.
    """
    rates = _own_rates(model, shared_learning_rate)
    depths = _depths(model) if layer_decay is not None else {}
    tables = {id(table) for module in model.modules() for table in _tables(module)}
    sparse = {id(table) for module in model.modules() for table in _sparse_tables(module)}
    special = {id(parameter): how for parameter, how in model.sharing.special_parameters()}
    fixed = {id(parameter) for parameter in fixed_parameters(model)}
    groups: dict[tuple[float | None, float, bool, bool], dict[str, Any]] = {}
    for parameter in (*model.parameters(), *balancers.parameters()):
        if id(parameter) in fixed:
            continue
        how = special.get(id(parameter), Special())
        steady = parameter.dim() < 2 or id(parameter) in tables or not how.decays
        lr = rates.get(id(parameter))
        rate = how.rate * (layer_decay or 1.0) ** depths.get(id(parameter), 0)
        plain = id(parameter) in sparse
        group = groups.setdefault((lr, rate, steady, plain), {"params": []})
        group["params"].append(parameter)
        group |= {"lr": lr} if lr else {}
        group |= {"rate": rate} if rate != 1 else {}
        group |= {"weight_decay": 0.0} if steady else {}
        group |= {"fused": False} if plain else {}  # fused steps read no sparse gradients
    return list(groups.values())


def _tables(module: nn.Module) -> Iterator[Tensor]:
    """Yield the matrices that are looked up instead of multiplied with features."""
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        yield module.weight
    yield from (getattr(module, name) for name in getattr(module, "undecayed", ()))


def _sparse_tables(module: nn.Module) -> Iterator[Tensor]:
    """Yield the matrices whose gradients are sparse."""
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.sparse:
        yield module.weight


def _own_rates(model: MultiTaskModel, shared: float | None) -> dict[int, float]:
    """Return the learning rates of parameters that do not have the optimizer's."""
    rates: dict[int, float] = {}
    for module in model.modules():
        own = getattr(module, "own_learning_rate", None)
        if own is not None:
            rates |= {id(parameter): own for parameter in module.parameters()}
    if shared is not None:
        rates = _shared_rates(model, shared, rates) | rates
    for task in model.tasks:
        if task.learning_rate is not None:
            rates |= {id(p): task.learning_rate for p in model.task_parameters(task.name)}
    return rates


def _shared_rates(
    model: MultiTaskModel, shared: float, known: Mapping[int, float]
) -> dict[int, float]:
    model.ownership.require_known("what shared_learning_rate is for")
    common = {id(parameter): shared for parameter in model.shared_parameters()}
    if not common:
        raise InputError(
            "has no effect, as the tasks share no parameter; remove it",
            option="shared_learning_rate",
        )
    if common.keys() <= known.keys():
        raise InputError(
            "has no effect, as everything that the tasks share is pretrained and has its own rate; "
            "give that encoder another learning_rate",
            option="shared_learning_rate",
        )
    return common


def check_rates(
    model: MultiTaskModel,
    never: Iterable[str],
    *,
    shared_learning_rate: float | None,
    layer_decay: float | None,
) -> None:
    """Reject learning rates that apply to no parameter that is ever trained.

    Args:
        model: The model.
        never: Names of the parameters that are frozen for good.
        shared_learning_rate: As for `parameter_groups`.
        layer_decay: As for `parameter_groups`.

    Raises:
        InputError: If one of them would have no effect.
    """
    frozen = {id(model.get_parameter(name)) for name in never}
    reached: dict[str, Iterable[int]] = {}
    if shared_learning_rate is not None:
        own = _own_rates(model, None)
        reached["shared_learning_rate"] = _shared_rates(model, 0.0, own).keys() - own.keys()
    if layer_decay is not None:
        reached["layer_decay"] = _depths(model)
    for option, parameters in reached.items():
        if frozen.issuperset(parameters):
            raise InputError(
                "has no effect, as all parameters that it is for are frozen and never unfrozen; "
                f"remove {option}, freeze less, or give unfreeze",
                option=option,
            )


def _depths(model: MultiTaskModel) -> dict[int, int]:
    """Return the distance of the encoder's layers from its end, by parameter; 1 for the last."""
    layers = layers_of(model.sharing.chain())
    return {id(p): len(layers) - place for place, layer in enumerate(layers) for p in layer}


def parameters_by_rate(optimizer: Optimizer) -> dict[float, int]:
    """Return how many parameters have each learning rate, the highest rate first."""
    found: dict[float, int] = {}
    for group in optimizer.param_groups:
        found[group["lr"]] = found.get(group["lr"], 0) + sum(p.numel() for p in group["params"])
    return dict(sorted(found.items(), reverse=True))


def scale_rates(optimizer: Optimizer) -> Optimizer:
    """Multiply the learning rate of each group by its ``rate``, if it has one.

    Returns:
        The same optimizer.
    """
    for group in optimizer.param_groups:
        group["lr"] *= group.get("rate", 1.0)
    return optimizer
