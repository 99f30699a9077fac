"""Creates all that training works with from a model and options, and checks that they fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from motet.model import MultiTaskModel
from motet.model.checks import check_sizes
from motet.options import MONITORED
from motet.other_names import VALUES, plain
from motet.problems import InputError, hint, with_article
from motet.processes import Processes, processes_of
from motet.scheduling import Scheduler
from motet.tasks.choices import check_others, find_metrics
from motet.training.averaging import WeightAverage
from motet.training.creating import MemberChoice, create_optimizer, create_scheduler
from motet.training.facts import Pace, introduce
from motet.training.freezing import Freezing, check_unfreezing
from motet.training.looks import Looks
from motet.training.loss_scale import LossScale
from motet.training.normalizing import Normalizer
from motet.training.options import TrainingOptions
from motet.training.parameter_groups import check_rates
from motet.training.passes import (
    Compiled,
    Passes,
    check_compiling,
    check_micro_batches,
    check_precision,
    check_processes,
    check_representation,
    check_whole,
    parts_to_compile,
)
from motet.training.planner import Planner
from motet.training.priorities import check_priority
from motet.training.randomness import Generators
from motet.training.rates import LearningRates
from motet.training.regrouping import Regrouping
from motet.training.stages import BalancerStages, Stage, make_stages


@dataclass(frozen=True)
class Setup:
    """What training works with."""

    model: MultiTaskModel
    device: torch.device
    stages: BalancerStages
    planner: Planner
    optimizer: Optimizer
    freezing: Freezing
    rates: LearningRates
    normalizer: Normalizer
    scale: LossScale
    generators: Generators
    passes: Passes
    pace: Pace
    processes: Processes
    average: WeightAverage
    looks: Looks
    regrouping: Regrouping

    def modules(self) -> dict[str, nn.Module]:
        """Return the modules whose states are saved."""
        modules = {
            "model": self.model,
            "balancer": self.stages,
            "normalizer": self.normalizer,
            "scheduler": self.planner.scheduler,
        }
        return modules if self.scale.scaler is None else {**modules, "scale": self.scale}


def set_up(
    model: MultiTaskModel,
    balancer: Stage | Sequence[Stage] | BalancerStages,
    scheduling: Scheduler | MemberChoice,
    options: TrainingOptions,
) -> Setup:
    """Create what training works with.

    Args:
        model: The model, which is moved to the device; what ``freeze`` names is frozen.
        balancer: See `motet.Trainer`.
        scheduling: See `motet.Trainer`.
        options: All options, none left out.

    Returns:
        What was created.

    Raises:
        InputError: If a name is unknown, or options do not fit the model or each other.
    """
    check_sizes(model)
    check_whole(model)
    _check_state(model)
    processes = processes_of(options["process_group"])
    known = (*MONITORED, *model.tasks.names)
    if options["monitor"] not in known:
        message = f"found {options['monitor']!r}; {hint(options['monitor'], known)}"
        raise InputError(message, option="monitor")
    if options["monitor"] == "any" and options["monitor_smoothing"]:
        raise InputError(
            f"found {options['monitor_smoothing']} and monitor: any, which compares each task with "
            "itself at single evaluations; remove it, or choose another monitor",
            option="monitor_smoothing",
        )
    device = _find_device(options["device"])
    model.to(device)
    stages = make_stages(balancer, model).to(device)
    if processes.several:
        check_processes(stages, model)
    scheduler = create_scheduler(scheduling, model)
    introduce(scheduler, model, options["seed"])
    for task in model.active_tasks:
        check_priority(model.tasks[task], scheduler, stages)
    planner = Planner(
        model,
        scheduler,
        device=device,
        seed=options["seed"],
        micro_batches=options["accumulate"],
        processes=processes,
    )
    rates = {name: options[name] for name in ("shared_learning_rate", "layer_decay")}
    optimizer = create_optimizer(
        options["optimizer"], options["learning_rate"], model, stages, **rates
    )
    freezing = Freezing(model, options["freeze"], options["unfreeze"], options["frozen"])
    check_rates(model, freezing.never, **rates)
    check_unfreezing(freezing.plan, model, stages)
    learning_rates = LearningRates(optimizer, options["lr_schedule"])
    normalizes = options["normalize_losses"] == "initial"
    normalizer = Normalizer(model.tasks.names, normalizes).to(device)
    generators = Generators(device, options["seed"])
    check_precision(stages, model, options["precision"])
    scale = LossScale(device, active=options["precision"] == "float16")
    if options["compile"]:
        check_compiling(stages, model, device, processes)
    check_representation(stages, model, several=planner.choices.several)
    if options["accumulate"] > 1:
        check_micro_batches(stages, model)
    pace, teacher_weight = Pace(), options["teacher_weight"]
    passes = Passes(
        model,
        normalizer,
        device=device,
        precision=options["precision"],
        generators=generators,
        scale=scale,
        compiled=Compiled(parts_to_compile(model) if options["compile"] else []),
        soft_share=lambda: teacher_weight * pace.left,
        processes=processes,
    )
    metrics = find_metrics(model.tasks, options["metrics"])  # so that a wrong name is an error now
    check_others(metrics, {task.name: task for task in model.tasks})
    return Setup(
        model,
        device,
        stages,
        planner,
        optimizer,
        freezing,
        learning_rates,
        normalizer,
        scale,
        generators,
        passes,
        pace,
        processes,
        WeightAverage(model, options["average"]),
        Looks(options["analysis"]),
        Regrouping(model, processes),
    )


def _check_state(model: MultiTaskModel) -> None:
    """Refuse a model whose state a checkpoint cannot hold.

    Raises:
        InputError: If a module has extra state other than a tensor.
    """
    for name, each in model.state_dict().items():
        if not isinstance(each, Tensor):
            raise InputError(
                f"found {name} in the state of the model, {with_article(type(each).__name__)}; "
                "expected tensors alone, as checkpoints hold; let get_extra_state return a tensor"
            )


def _find_device(name: str) -> torch.device:
    """Return a device that works here; "auto" is a GPU if there is one.

    Raises:
        InputError: If the name is unknown or the device does not work.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        other = VALUES["device"].get(plain(name))
        raise InputError(
            f"found {name!r}, expected auto, cpu, cuda, cuda:N, mps or another device of torch"
            + (f"; did you mean {other!r}?" if other else ""),
            option="device",
        ) from None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"found {name!r}, which cannot be used here: {reason}; auto takes a GPU if there "
            "is one",
            option="device",
        ) from None
    return device
