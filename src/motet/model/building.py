"""Builds the arguments of `MultiTaskModel` from a config, and finds members that do not fit."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from motet.config import Config, Member
from motet.config.collecting import Collector, read_on
from motet.config.places import with_absolute
from motet.config.schema import ModelConfig
from motet.data.inputs.shapes import BranchShape, TextSizes
from motet.data.words import read_text, text_of
from motet.encoders.base import kinds_read
from motet.encoders.by_input import class_for, create_other
from motet.encoders.fusion import create as create_fusion
from motet.encoders.joined import Joined, part_names
from motet.model.heads import check_reads
from motet.model.reads import states_read
from motet.model.sizes import Sizes, declared_sizes
from motet.options import TABLE_OPTIONS, create
from motet.problems import InputError, about, placed, shown
from motet.registry import ENCODERS, TASKS
from motet.sharing import Stages
from motet.sharing import create as create_sharing
from motet.tasks import Task, TextAuxiliary
from motet.tasks.choices import check_of_loss, check_others, find_metrics
from motet.tasks.row_weights import require_weights_taken


def arguments_of(config: Config, sizes: Sizes) -> dict[str, Any]:
    """Build the arguments of the model of a config.

    Returns:
        Arguments of `MultiTaskModel`.
    """
    tasks = [build_task(config, name, sizes) for name in config.tasks]
    text = _text_of_tokens(config, tasks, sizes)
    stages = Stages.of(lambda: _build_encoder(config, sizes, text))
    with about("sharing"):
        sharing = create_sharing(config.model.sharing.type, **config.model.sharing.options())
    return {"encoder": stages, "tasks": tasks, "sharing": sharing}


@contextmanager
def drawing_first_weights(seed: int) -> Iterator[None]:
    """Draw random numbers from a seed within a block, and explain sizes that need too much memory.

    Args:
        seed: The seed; the global generator is as before afterwards.

    Yields:
        Nothing.

    Raises:
        InputError: If the weights do not fit into memory.
        RuntimeError: As the block raises it.
        TypeError: As the block raises it.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed % 2**64)
            yield
    except (MemoryError, OverflowError):
        raise InputError(_TOO_LARGE) from None
    except (RuntimeError, TypeError) as error:  # torch has no error types for these
        if any(words in str(error).lower() for words in ("can't allocate memory", "overflow")):
            raise InputError(_TOO_LARGE) from None
        raise


_TOO_LARGE = (
    "it does not fit into the memory of this machine; give smaller sizes, for example of hidden, "
    "size, width, classes or outputs"
)


def _build_encoder(config: Config, sizes: Sizes, text: str | None) -> nn.Module:
    """Build one encoder for the table, one for each other input, and what joins them.

    Args:
        config: The config.
        sizes: Sizes of the inputs.
        text: The text whose tokens tasks read.

    Returns:
        The encoder.
    """
    inputs, chosen = sizes.inputs, config.model.encoder
    with about("encoder"):
        if reads_all(config):
            joint: nn.Module = create(ENCODERS, chosen.type, inputs, **chosen.options())
            _width(joint)
            return joint
        if not inputs.own:
            return _build_table_encoder(config.model.encoder, sizes)
        table = _build_table_encoder(config.model.encoder, sizes) if inputs.has_table else None
        encoders: dict[str, nn.Module] = {}
        for name, shape in inputs.own.items():
            options = _own_encoder(config, name)
            with placed("inputs", name, "encoder"):
                encoders[name] = _own(options.pop("type"), shape, options)
    texts = {name: encoders[name] for name in inputs.texts}
    branches = {name: encoders[name] for name in inputs.branches}
    parts = [*([] if table is None else [table]), *texts.values(), *branches.values()]
    with about("encoder"):
        widths = [_width(each) for each in parts]
    with about("fusion"):
        fusion = create_fusion(
            {"type": config.model.fusion.type, **config.model.fusion.options()},
            widths,
            part_names(table is not None, [*texts, *branches]),
            [name for name, each in encoders.items() if getattr(each, "gives", "") == "tokens"],
        )
    empty = {name: each.empty for name, each in inputs.texts.items()}
    return Joined(table, texts, text, branches, fusion, empty)


def reads_all(config: Config) -> bool:
    """Whether one encoder reads all inputs, so that none has its own."""
    return "inputs" in kinds_read(ENCODERS[config.model.encoder.type])


def _own(name: str, shape: TextSizes | BranchShape, options: Mapping[str, Any]) -> nn.Module:
    """Build the encoder of an input that has one; of a vector, with its bins if it takes them."""
    other = create_other(name, shape.reads, shape.arguments, options)
    if other is not None:
        return other
    reads, given = getattr(ENCODERS[name], "reads", None), shape.arguments
    if shape.reads == "vector" and len(given) > 1:
        width, _, expansions = given
        bins = {"expansions": expansions}
        if "expansions" not in inspect.signature(ENCODERS[name]).parameters:
            bins = {}
        return create(ENCODERS, name, width, **bins, **options)  # type: ignore[no-any-return]  # a module
    if isinstance(reads, Mapping):
        named = dict(zip(reads[shape.reads], given, strict=False))
        return create(ENCODERS, name, **named, **options)  # type: ignore[no-any-return]  # a module
    return create(ENCODERS, name, *given, **options)  # type: ignore[no-any-return]  # a module


def _width(encoder: nn.Module) -> int:
    width = getattr(encoder, "width", None)
    if not isinstance(width, int):
        raise InputError(
            f"encoder {type(encoder).__name__}: found width {shown(width)}; expected the number of "
            "its features; set self.width in its constructor"
        )
    return width


@runtime_checkable
class Portable(Protocol):
    """An encoder that was made from files, and can be made without them."""

    def portable_options(self) -> dict[str, Any]:
        """Return options that do so, in place of those it was made with."""


def text_encoders(model: nn.Module) -> dict[str, nn.Module]:
    """Return the encoder of each text; of copies, which sharing may have made, the first."""
    joined = _joined(model)
    return {} if joined is None else dict(zip(joined.names, joined.encoders, strict=True))


def own_encoders(model: nn.Module) -> dict[str, nn.Module]:
    """Return the encoder of each input that has one, texts first; see `text_encoders`."""
    joined = _joined(model)
    beside = {} if joined is None else zip(joined.beside_names, joined.beside, strict=True)
    return text_encoders(model) | dict(beside)


def _joined(model: nn.Module) -> Joined | None:
    return next((each for each in model.modules() if isinstance(each, Joined)), None)


def _own_encoder(config: Config, name: str) -> dict[str, Any]:
    """Return type and options of the encoder of an input that has one."""
    chosen = (config.inputs or {})[name]
    options = chosen.options()
    if "encoder" not in options:
        raise InputError(
            f"input {name!r}: {chosen.type} has no option `encoder`, which chooses what reads it; "
            "add it to the input's class"
        )
    given = options["encoder"]
    return {"type": given} if isinstance(given, str) else dict(given)


def _text_of_tokens(config: Config, tasks: Sequence[Task], sizes: Sizes) -> str | None:
    """Find the text whose words tasks label, or whose tokens they read or predict."""
    named: dict[str, str] = {}
    for task in tasks:
        if (text := _text_read(task, config, sizes)) is not None:
            named[text] = task.name
    if len(named) > 1:
        found = ", ".join(f"{task} of {text}" for text, task in named.items())
        raise InputError(f"tasks read the words of several texts ({found}); expected one text")
    return next(iter(named), None)


def _text_read(task: Task, config: Config, sizes: Sizes) -> str | None:
    """Return the text of which a task reads states of tokens; None if it reads none."""
    if isinstance(task, TextAuxiliary) and task.reads_state == "tokens" and task.text:
        return task.text
    asked, texts = config.tasks[task.name].options().get("input"), sizes.inputs.texts
    if task.reads_state == "tokens":
        return text_of(task.name, asked, texts) if texts else None
    return read_text(task.name, asked, texts) if "tokens" in states_read(task) else None


def _require_words(task: Task, config: Config, sizes: Sizes) -> None:
    """Refuse word labels where no input has words, and the encoder of the table gives none."""
    gives = getattr(ENCODERS[config.model.encoder.type], "gives", None)
    if task.reads_state == "tokens" and not sizes.inputs.own and gives in ("rows", "members"):
        raise InputError(
            "it labels the words of a text, and no input is a text; add it under inputs, such as "
            "{type: text, split: spaces}"
        )


def _check_text(task: Task, config: Config, sizes: Sizes) -> None:
    """Check that the encoder of the text that a task reads gives, or reads, what it needs."""
    auxiliary = isinstance(task, TextAuxiliary)
    text: str | None = task.text if isinstance(task, TextAuxiliary) else None
    if task.label_kind.given:
        text = _text_read(task, config, sizes)
        _require_words(task, config, sizes)
    if text is None or reads_all(config):  # what one encoder of all gives, the model checks
        return
    name = _own_encoder(config, text)["type"]
    encoder = ENCODERS[name]
    if auxiliary and not getattr(encoder, "reads_tokens", True):
        raise InputError(
            f"it changes the tokens of input {text!r}, which its encoder {name} does not read; "
            f"remove the task, or set encoder: bag+lstm for {text!r}"
        )
    needed = not auxiliary or task.reads_state == "tokens"
    if needed and getattr(encoder, "gives", None) == "rows":
        raise InputError(
            f"it reads a state of each word of input {text!r}, whose encoder {name} gives one "
            f"state per text; set an encoder that gives both for {text!r}, such as lstm, "
            "transformer, or, to keep the bag, bag+lstm"
        )


def _build_table_encoder(chosen: Member, sizes: Sizes) -> nn.Module:
    """Build the encoder from (numbers, categories), and bins and sets if it takes them."""
    table, bins = sizes.inputs.table, dict[str, Any]()
    taken = inspect.signature(ENCODERS[chosen.type]).parameters
    if "expansions" in taken:
        bins["expansions"] = table.expansions
    if sizes.inputs.sets:
        if "sets" not in taken:
            raise InputError(
                f"{chosen.type} does not read sets of values ({', '.join(sizes.inputs.sets)}): its "
                "constructor has no argument `sets`; use mlp, or remove the sets"
            )
        bins["sets"] = {name: (each.values, each.pool) for name, each in sizes.inputs.sets.items()}
    encoder: nn.Module = create(
        ENCODERS, chosen.type, len(table.numbers), table.categories, **bins, **chosen.options()
    )
    return encoder


def build_task(config: Config, name: str, sizes: Sizes) -> Task:
    """Build a task with the options that its labels determine."""
    chosen = config.tasks[name]
    accepted = TASKS[chosen.type].accepted()
    learned = {o: value for o, value in sizes.tasks[name].items() if o in accepted}
    given = {o: value for o, value in chosen.options().items() if o not in TABLE_OPTIONS}
    task: Task = create(TASKS, chosen.type, name, **{**given, **learned})
    if chosen.options().get("row_weight") is not None:
        require_weights_taken(task)
    task.read_shapes(sizes.inputs)
    return task


def check_encoders(config: Config, sizes: Sizes, collector: Collector) -> None:
    """Find encoders that do not fit their inputs, and one that has none."""
    chosen, inputs = config.model.encoder, sizes.inputs
    with collector.at("model", "encoder"):
        if reads_all(config):
            _check_alone(config, collector)
            return
        _check_reads(chosen.type, "table", "numbers, categories and vectors")
        if inputs.own and not inputs.has_table and chosen != ModelConfig().encoder:
            raise InputError(
                "it is for numbers, categories and vectors, and there are none; remove it, and "
                "give each input its encoder under inputs"
            )
    with collector.at("model", "fusion"):
        if config.model.fusion != ModelConfig().fusion and len(inputs.own) + inputs.has_table < 2:
            raise InputError("it joins several encoders, and there is one; remove it")
    for name, shape in inputs.own.items():
        with collector.at("inputs", name, "encoder"):
            what = "texts" if shape.reads == "text" else f"{shape.reads} inputs"
            _check_reads(_own_encoder(config, name)["type"], shape.reads, what)


def _check_alone(config: Config, collector: Collector) -> None:
    """Find what one encoder of all inputs leaves without effect."""
    why = f"model.encoder {config.model.encoder.type} reads all inputs itself"
    with collector.at("model", "fusion"):
        if config.model.fusion != ModelConfig().fusion:
            raise InputError(f"{why}, so there is nothing to join; remove it")
    for name, chosen in (config.inputs or {}).items():
        given = chosen.options().get("encoder")
        with collector.at("inputs", name, "encoder"):
            if given != type(chosen)(type=chosen.type).options().get("encoder"):
                raise InputError(f"{why}, so an input has no encoder of its own; remove it")


def _check_reads(name: str, kind: str, what: str) -> None:
    if class_for(name, kind) is None:
        fitting = [each for each in ENCODERS if class_for(each, kind) is not None]
        known = " or ".join(fitting) or f"an encoder with reads = {kind!r}"
        raise InputError(f"{name} is not an encoder of {what}; expected {known}")


def check_tasks(config: Config, sizes: Sizes, collector: Collector) -> None:
    """Find problems in the options of each task, its metrics and its outputs."""
    built: dict[str, Task] = {}
    for name in config.tasks:
        with collector.at("tasks", name):
            task = build_task(config, name, sizes)
            _check_text(task, config, sizes)
            task.require_outputs()
            metrics = find_metrics([task])
            given = config.tasks[name].options()
            if given.get("row_weight") is not None and given.get("metrics"):
                check_of_loss(task, metrics[name])
            built[name] = task
    for name, task in built.items() if len(built) == len(config.tasks) else ():
        with collector.at("tasks", name):
            check_reads(task, built)
            check_others({name: find_metrics([task])[name]}, built)


def declared(
    source: str | Path | Mapping[str, Any] | Config,
) -> tuple[Config, Sizes, Collector]:
    """Read a config that gives all sizes, and check its members; see `MultiTaskModel.from_config`.

    Returns:
        The config, the sizes, and what collects further problems.
    """
    collector, config = read_on(source)
    config = with_absolute(config, collector.origin.folder)
    sizes = declared_sizes(config, collector)
    check_encoders(config, sizes, collector)
    check_tasks(config, sizes, collector)
    collector.stop()
    return config, sizes, collector
