"""Balancers and tasks that do not support micro-batches, several forwards or an arithmetic."""

import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from motet.adapting import per_task_modules
from motet.balancing import Needs
from motet.balancing.engine.shards import is_part
from motet.data.batches import Data
from motet.data.several import Sources
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.processes import Processes
from motet.training.passes.compiled import parts_to_compile
from motet.training.source_checks import refuse_batch_norm
from motet.training.stages import BalancerStages


def check_micro_batches(stages: BalancerStages, model: MultiTaskModel) -> None:
    """Reject micro-batches where they would not add up to the step of the whole batch.

    Raises:
        InputError: If a balancer or a loss needs the whole batch at once.
    """
    _check_additive(
        model,
        "micro-batches; remove accumulate, and give a batch_size that fits into memory",
        "accumulate",
    )
    for balancer, options in zip(stages, stages.passes, strict=True):
        reason = _why_whole(balancer.needs, options)
        if reason is not None:
            raise InputError(
                f"{type(balancer).__name__} {reason}, so it does not support micro-batches; remove "
                "accumulate, and give a batch_size that fits into memory",
                option="accumulate",
            )


def check_processes(stages: BalancerStages, model: MultiTaskModel) -> None:
    """Reject what several processes would not compute as one does.

    Raises:
        InputError: If a balancer, a loss or a layer needs the whole batch at once, or a layer draws
            random numbers that cannot be divided by row.
    """
    for balancer, options in zip(stages, stages.passes, strict=True):
        reason = _why_alone(balancer.needs, options)
        if reason is not None:
            raise InputError(
                f"{type(balancer).__name__} {reason}, so it does not support several processes; "
                "remove that, or train in one process"
            )
    _check_additive(model, "processes; train in one process, or remove the task", "process_group")
    refuse_batch_norm(model, "several processes", "process")
    for name, module in model.named_modules():
        if isinstance(module, nn.RNNBase) and module.num_layers > 1 and module.dropout:
            raise InputError(
                f"found {name}, a {type(module).__name__} of {module.num_layers} layers, which "
                "draws its dropout inside, for no row in particular, so that several processes "
                "cannot divide it; use layers of their own with nn.Dropout between them, or "
                "dropout=0"
            )


def _check_additive(model: MultiTaskModel, over: str, option: str) -> None:
    """Reject losses that compare the rows of a batch."""
    for task in model.tasks:
        if not task.additive:
            raise InputError(
                f"found task {task.name!r}, whose loss compares the rows of a batch; expected "
                f"losses that add up over {over}",
                option=option,
            )


def check_precision(stages: BalancerStages, model: MultiTaskModel, precision: str) -> None:
    """Reject what has no effect in this arithmetic, or does not work in it.

    Raises:
        InputError: If linear layers are to be read as products, where their weights are cast; or
            if parameters are in float16, whose gradients cannot be unscaled.
    """
    if precision == "float32":
        return
    for balancer, options in zip(stages, stages.passes, strict=True):
        if options.get("gramian") == "layers":
            raise InputError(
                f"found {precision}, where weights are cast; {type(balancer).__name__} has "
                "gramian: layers, which reads products of float32 weights; remove one of them",
                option="precision",
            )
    narrow = [name for name, each in model.named_parameters() if each.dtype == torch.float16]
    if precision == "float16" and narrow:
        raise InputError(
            f"found float16 and {len(narrow)} parameters in float16, such as {narrow[0]}, whose "
            "gradients cannot be unscaled; remove model.half(), as precision narrows the forward "
            "pass alone",
            option="precision",
        )


def check_compiling(
    stages: BalancerStages, model: MultiTaskModel, device: torch.device, processes: Processes
) -> None:
    """Reject compiling what cannot be, where it has no effect, or without a compiler.

    Raises:
        InputError: If a balancer needs what compiled code does not show, there is nothing to
            compile, or no compiler for the device; or in several processes.
    """
    if processes.several:
        raise InputError(
            "found true in several processes, which draw random numbers for the rows of all; "
            "compiled code does not support that; remove it, or train in one process",
            option="compile",
        )
    for balancer, options in zip(stages, stages.passes, strict=True):
        why = _why_plain(balancer.needs, options, model)
        if why is not None:
            raise InputError(f"{type(balancer).__name__} {why}; remove it", option="compile")
    if not model.sharing.width:
        raise InputError(
            "found true and a wrapped module, whose parts are unknown; remove it, and compile the "
            "module: MultiTaskModel.wrap(torch.compile(module), tasks, heads)",
            option="compile",
        )
    if per_task_modules(model):
        raise InputError(
            "found true and an encoder with adapters per task, which one piece of compiled code "
            "does not serve; remove it, or per_task of the adapter",
            option="compile",
        )
    if not parts_to_compile(model):
        raise InputError(
            "found true, but neither an encoder nor a head has several layers that torch compiles "
            "(recurrent ones it does not); remove it",
            option="compile",
        )
    lacking = _lacking_compiler(device)
    if lacking is not None:
        raise InputError(f"found true, but {lacking}, or remove it", option="compile")


def _why_plain(needs: Needs, options: Mapping[str, Any], model: MultiTaskModel) -> str | None:
    if needs.penalizes_norms:
        return "differentiates twice, which compiled code does not support"
    if needs.norms == "last":
        return (
            "reads norms at the last shared layer, which compiled code does not show (layer: all "
            "supports it)"
        )
    if options.get("gramian") == "layers":
        return "reads products of layers (gramian: layers), which compiled code does not show"
    if options.get("at") == "representation" and len({t.reads_state for t in model.tasks}) > 1:
        return (
            "compares gradients at several states of an encoder (at: representation), of which "
            "compiled code does not show which depends on what"
        )
    return None


def _lacking_compiler(device: torch.device) -> str | None:
    """Return what compiling needs and is not here, with what to install."""
    if device.type == "cuda":
        return (
            None if find_spec("triton") else "Triton is not here; install it (pip install triton)"
        )
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    name = os.environ.get("CXX", usual)  # as torch finds it
    if shutil.which(name) is not None:
        return None
    return (
        f"there is no C++ compiler {name}; install one (on Debian and Ubuntu: apt install g++), or "
        "name it by the environment variable CXX"
    )


def check_representation(
    stages: BalancerStages, model: MultiTaskModel, *, several: bool = False
) -> None:
    """Reject comparing gradients at a representation where tasks have several.

    Raises:
        InputError: If a balanced auxiliary task makes a forward pass of its own, or the scheduler
            gives tasks batches of their own.
    """
    if several and any(options.get("at") == "representation" for options in stages.passes):
        raise InputError(
            "at: found representation, which is of one forward pass; the scheduler makes one for "
            "each of several batches in a step; remove at, or choose another scheduler"
        )
    apart = [task.name for task in model.tasks if task.balanced and not task.label_kind.given]
    if apart and any(options.get("at") == "representation" for options in stages.passes):
        raise InputError(
            f"at: found representation, which is of one forward pass; {', '.join(apart)} makes one "
            "of its own and is balanced; remove at, or balanced"
        )


def check_one_pass(stages: BalancerStages, data: Data) -> None:
    """Reject comparing gradients at a representation where sources have one each.

    Raises:
        InputError: If batches of several sources make a forward pass each.
    """
    several = isinstance(data, Sources) and len(data.parts) > 1 and not data.joinable
    if several and any(options.get("at") == "representation" for options in stages.passes):
        raise InputError(
            "at: found representation, which is of one forward pass; sources whose inputs have "
            "other shapes make one each; remove at"
        )


def _why_whole(needs: Needs, options: Mapping[str, Any]) -> str | None:
    if needs.penalizes_norms:
        return "penalises norms of gradients of the whole batch, which do not add up"
    if needs.norms == "last":
        return "reads norms at the last shared layer (layer: all supports it)"
    if needs.looks_ahead:
        return "tries steps on whole batches"
    if options.get("at") == "representation":
        return "compares gradients at the representation of the whole batch"
    if options.get("gramian") == "layers":
        return "computes no gradients that could be added up (gramian: layers)"
    if options.get("memory") == "low":
        return "computes its Gramian from a quarter of the parameters at a time (memory: low)"
    return None


def _why_alone(needs: Needs, options: Mapping[str, Any]) -> str | None:
    if options.get("gramian") == "layers":
        return "reads products of the rows of one process (gramian: layers)"
    if options.get("at") == "representation" and needs.reads == "jacobian":
        return "needs the columns of all rows (at: representation)"
    return None


def check_whole(model: MultiTaskModel) -> None:
    """Reject parameters of which each process holds a part.

    Raises:
        InputError: If there is one.
    """
    for name, parameter in model.named_parameters():
        if is_part(parameter):
            raise InputError(
                f"found {name}, of which each process holds a part (DTensor, as fully_shard "
                "makes); motet.Trainer expects whole parameters. Use your own loop with "
                "motet.backward, as examples/fsdp_loop.py does"
            )
