"""What training can be configured with: the options of `motet.Trainer` and of a config.

Each option is defined here once: name, type, default, explanation. `motet.config.training` reads
this file without importing it and makes the ``training`` section of it; the documentation of
`motet.Trainer` is made of it, too.
"""

import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, cast, get_type_hints

from pydantic import ConfigDict
from typing_extensions import TypedDict

from motet.options import (
    AnalysisOptions,
    Chosen,
    Default,
    Every,
    Fraction,
    InConfig,
    NonNegativeInt,
    Patience,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Share,
    StrictBool,
    Unfreeze,
    read_typed_dict,
)
from motet.training.observers import Observer
from motet.training.parameter_groups import OptimizerFactory


class TrainingOptions(TypedDict, total=False):
    """Options of training."""

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)  # type: ignore[misc]  # pydantic's own hook

    batch_size: Annotated[PositiveInt | Literal["auto"], Default(512)]
    """Rows per optimizer step, and per forward pass in evaluation; ``auto`` chooses a power of two
    by the number of training rows, as a config does that leaves it out."""
    optimizer: Annotated[
        Annotated[str | Mapping[str, Any], Chosen("optimizer", default="adamw")] | OptimizerFactory,
        Default("adamw"),
    ]
    """Optimizer and its options; in Python also a function from parameter groups to an
    optimizer."""
    learning_rate: Annotated[
        PositiveFloat | None, Default(None), InConfig("optimizer.learning_rate")
    ]
    """Learning rate; the optimizer's default if left out, in a config perhaps one that fits what is
    trained. For the parameters of a task with its own
    ``learning_rate``, that one applies."""
    lr_schedule: Annotated[
        Annotated[str | Mapping[str, Any], Chosen("lr_schedule")], Default("cosine")
    ]
    """How the learning rate changes from step to step."""
    clip_norm: Annotated[PositiveFloat | None, Default(None)]
    """Largest norm of the whole gradient; no clipping if left out."""
    normalize_losses: Annotated[Literal["initial"] | None, Default(None)]
    """``initial`` divides each task's loss by its first observed value, before balancing. Losses
    are reported as they are; the reported weights are those of the normalised losses."""
    seed: Annotated[NonNegativeInt, Default(0)]
    """Seed of batch order and dropout, and in a run of the initial weights."""
    device: Annotated[str, Default("auto")]
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``."""
    precision: Annotated[Literal["float32", "bfloat16", "float16"], Default("float32")]
    """Arithmetic of the forward pass; parameters and losses stay float32. With ``float16``, losses
    are scaled, and a step whose gradients overflow is skipped and halves the scale."""
    deterministic: Annotated[StrictBool, Default(False)]
    """Whether only algorithms are used that give the same numbers, bit for bit, each time on the
    same machine with the same number of threads. An operation that has none is an error."""
    compile: Annotated[StrictBool, Default(False)]
    """Whether encoders, experts and heads that have several layers run as compiled code while
    training; recurrent layers do not. The first step takes longer. It needs a C++ compiler on a
    CPU, and Triton on a GPU."""
    shared_learning_rate: Annotated[PositiveFloat | None, Default(None)]
    """Learning rate of the parameters that several tasks share, in place of the optimizer's.
    Pretrained encoders have their own, 2e-5 by default."""
    layer_decay: Annotated[PositiveShare | None, Default(None)]
    """Factor on the learning rate for each layer of the encoder, from the last to the first: once
    for the last, twice for the one before, ..."""
    freeze: Annotated[Sequence[str], Default(())]
    """Parameters that are not trained: ``encoder`` (all that tasks share), ``pretrained``
    (pretrained encoders), ``inputs.NAME`` (the encoder of an input), a task (its own parameters),
    or names or patterns of parameters and modules, such as ``"*.embeddings"``."""
    unfreeze: Annotated[Unfreeze | None, Default(None)]
    """When frozen parameters are trained again: ``{every: 2, layers: 1}``, the last layers first,
    or a list of ``{epoch: 3, parts: [encoder]}``; never if left out."""
    frozen: Annotated[Literal["evaluation", "training"], Default("evaluation")]
    """Whether dropout and BatchNorm of modules that are frozen as a whole behave as in
    ``evaluation`` or as in ``training``."""
    accumulate: Annotated[PositiveInt, Default(1)]
    """Number of micro-batches per step: less memory, and the same step as with the whole batch."""
    monitor: Annotated[str, Default("mean")]
    """What early stopping and the choice of the best weights are based on, computed on the
    validation data: the ``mean`` or ``worst`` normalised score of the main tasks, the score of the
    task of this name, or ``loss``. With ``any``, the best weights are those of the best mean, and
    training continues as long as the score of any main task improves."""
    keep: Annotated[Literal["best", "each"], Default("best")]
    """Which weights are kept: the ``best`` by the monitored value, or beside these, for ``each``
    task, those with which it was best itself. Each epoch that is kept costs the size of the
    model, in memory and in checkpoints."""
    monitor_smoothing: Annotated[Fraction | Literal["auto"], Default(0.0)]
    """How much of the earlier evaluations the monitored value keeps, so that noise of single ones
    neither stops training nor chooses the weights: an exponential mean over evaluations, 0 for
    none. ``auto`` chooses by the number of validation rows."""
    patience: Annotated[Patience | None, Default(5), InConfig("early_stopping.patience")]
    """Evaluations without a better monitored value before training stops; or ``{share: 0.25}`` of
    all epochs, or ``{steps: 500}``. A config that leaves it out takes a quarter, at least 5."""
    average: Annotated[Literal["ema", "last_quarter"] | None, Default(None)]
    """Which mean of the weights of all steps is evaluated and kept as the model's: ``ema``, an
    exponential one over about the last tenth of the steps so far; ``last_quarter``, the plain one
    over the last quarter of all steps, before which the weights are those of the last step.
    Training itself always continues from those. A config that leaves it out takes ``ema``. In
    your own loop, see `Trainer.averaged`."""
    teacher_weight: Annotated[Share, Default(1.0)]
    """Share of the loss against what teachers predict, at the first step, of rows that have both
    that and a label; in a straight line it falls to 0 at the last step, where labels alone count
    (teacher annealing, Clark et al., ACL 2019, arXiv:1907.04829). Without teachers it has no
    meaning."""
    evaluate_every: Annotated[Every, Default("epoch")]
    """When to evaluate on the validation data: each ``epoch``, after so many steps (a number), or
    after so many epochs (``{epochs: 5}``); and at the end, if never before."""
    checkpoint_every: Annotated[PositiveInt | None, Default(None)]
    """Steps between two checkpoints within an epoch; there is one after each epoch, too. Left out:
    in a run, only after epochs, at most one in 5 seconds, and always at the end."""
    metrics: Annotated[Mapping[str, Any] | None, Default(None), InConfig("metrics of the tasks")]
    """Metrics by task, in place of each task's own: a list of names and functions, or a single
    one."""
    analysis: Annotated[
        AnalysisOptions | None,
        Default({"every": "auto", "layers": True, "affinity": "first_order"}),
    ]
    """What is measured of the tasks' gradients while training, beside what the balancer computes:
    ``every`` so many steps, by ``layers``, with ``affinity``; null measures nothing more. It
    changes no bit of training. ``Trainer.statistics`` and ``analysis.json`` of a run have the
    results."""
    on_record: Annotated[Callable[[dict[str, Any]], object] | None, Default(None), InConfig(None)]
    """Called with each record of a step, an epoch or an evaluation: a mapping, as a line of
    ``metrics.jsonl`` holds it."""
    on_checkpoint: Annotated[
        Callable[[Literal["last", "best"]], object] | None, Default(None), InConfig(None)
    ]
    """Called in `fit` when the state should be saved: with "best" after an evaluation that was the
    best so far, with "last" after each epoch, after each ``checkpoint_every`` steps, and when asked
    to stop."""
    process_group: Annotated[Any, Default(None), InConfig(None)]
    """Processes that train together, a group of ``torch.distributed``; all of them if left out.
    Each is given the same model, data and options, and computes its share of every batch."""
    observers: Annotated[Sequence[Observer], Default(()), InConfig(None)]
    """Objects that are called at the events of training; see `motet.training.Observer`."""


OPTIONS = read_typed_dict(f"{__name__}:TrainingOptions")


def with_defaults(options: TrainingOptions) -> TrainingOptions:
    """Return options with the defaults of those that were left out."""
    return cast("TrainingOptions", {each.name: each.default for each in OPTIONS} | options)


T = TypeVar("T", bound=type)


def documents_options(cls: T) -> T:
    """Document the options of a class that takes them as ``**options``.

    Returns:
        The class. Its signature lists each option with its default; "options:" in its docstring is
        replaced by an entry for each.
    """
    init: Any = cls.__init__  # type: ignore[misc]  # of the class itself
    own = inspect.signature(init)
    types = get_type_hints(TrainingOptions)  # without what only pydantic reads
    listed = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=types[each.name],
        )
        for each in OPTIONS
    ]
    named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    init.__signature__ = own.replace(parameters=[*named, *listed])
    before, _, after = (cls.__doc__ or "").partition("        **options: ")
    entries = [_entry(each.name, each.description) for each in OPTIONS]
    cls.__doc__ = before + "\n".join(entries) + "\n" + after.partition("\n")[2]
    return cls


def _entry(name: str, text: str) -> str:
    return textwrap.fill(
        f"{name}: {text}",
        100,
        initial_indent=" " * 8,
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )
