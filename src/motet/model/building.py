"""From a config and sizes to the arguments of `MultiTaskModel`; members that do not fit."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from motet.config import Config, Member
from motet.config.collecting import Collector, read_on
from motet.config.places import with_absolute
from motet.config.schema import ModelConfig
from motet.data.words import text_of
from motet.encoders.joined import Joined
from motet.model.sizes import Sizes, declared_sizes
from motet.options import create
from motet.problems import InputError, about
from motet.registry import ENCODERS, TASKS
from motet.sharing import Stages
from motet.sharing import create as create_sharing
from motet.tasks import Task
from motet.tasks.task_metrics import find_metrics


def arguments_of(config: Config, sizes: Sizes) -> dict[str, Any]:
    """Build what the model of a config is made from.

    Returns:
        Arguments of `MultiTaskModel`.
    """
    tasks = [build_task(config, name, sizes) for name in config.tasks]
    with about("encoder"):
        stages = Stages.of(lambda: _build_encoder(config, sizes))
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
    except (RuntimeError, TypeError) as error:  # torch has no types of its own for these
        if any(words in str(error).lower() for words in ("can't allocate memory", "overflow")):
            raise InputError(_TOO_LARGE) from None
        raise


_TOO_LARGE = (
    "it does not fit into the memory of this machine; give smaller sizes, for example of hidden, "
    "size, width, classes or outputs"
)


def _build_encoder(config: Config, sizes: Sizes) -> nn.Module:
    """Build one encoder for numbers and categories and one for each text, and what joins them."""
    if not sizes.texts:
        return _build_table_encoder(config.model.encoder, sizes)
    table = None
    if sizes.numbers or sizes.categories:
        table = _build_table_encoder(config.model.encoder, sizes)
    texts = {}
    for name, size in sizes.texts.items():
        options = _text_encoder(config, name)
        texts[name] = create(
            ENCODERS, options.pop("type"), size.vocabulary, size.segments, **options
        )
    return Joined(table, texts, tokens=_labelled_text(config, sizes))


@runtime_checkable
class Portable(Protocol):
    """An encoder that was made from files, and can be made without them."""

    def portable_options(self) -> dict[str, Any]:
        """Return options that do so, in place of those it was made with."""


def text_encoders(model: nn.Module) -> dict[str, nn.Module]:
    """Return the encoder of each text; of copies, which sharing may have made, the first."""
    joined = next((each for each in model.modules() if isinstance(each, Joined)), None)
    return {} if joined is None else dict(zip(joined.names, joined.encoders, strict=True))


def _text_encoder(config: Config, name: str) -> dict[str, Any]:
    """Return type and options of the encoder of a text."""
    return dict((config.inputs or {})[name].options()["encoder"])


def _labelled_text(config: Config, sizes: Sizes) -> str | None:
    """Find the text whose words tasks label."""
    named: dict[str, str] = {}
    for name, task in config.tasks.items():
        if getattr(TASKS[task.type], "reads", None) == "tokens":
            named[text_of(name, task.options().get("input"), sizes.texts)] = name
    if len(named) > 1:
        found = ", ".join(f"{task} of {text}" for text, task in named.items())
        raise InputError(f"tasks label the words of several texts ({found}); expected one text")
    return next(iter(named), None)


def _build_table_encoder(chosen: Member, sizes: Sizes) -> nn.Module:
    """Build the encoder from (numbers, categories) and, if it takes them, the numbers' bins."""
    bins: dict[str, Any] = {}
    if "expansions" in inspect.signature(ENCODERS[chosen.type]).parameters:
        bins["expansions"] = sizes.expansions
    encoder: nn.Module = create(
        ENCODERS, chosen.type, sizes.numbers, sizes.categories, **bins, **chosen.options()
    )
    return encoder


def build_task(config: Config, name: str, sizes: Sizes) -> Task:
    """Build a task with the options that its labels determine."""
    chosen = config.tasks[name]
    accepted = TASKS[chosen.type].accepted()
    learned = {o: value for o, value in sizes.tasks[name].items() if o in accepted}
    task: Task = create(TASKS, chosen.type, name, **{**chosen.options(), **learned})
    return task


def check_encoders(config: Config, sizes: Sizes, collector: Collector) -> None:
    """Find encoders that do not fit what they are for, and one that is for nothing."""
    chosen = config.model.encoder
    with collector.at("model", "encoder"):
        _check_reads(chosen.type, "table", "numbers, categories and vectors")
        nothing = sizes.texts and not (sizes.numbers or sizes.categories)
        if nothing and chosen != ModelConfig().encoder:
            raise InputError(
                "it is for numbers, categories and vectors, and all inputs are texts; remove it, "
                "and give each text its encoder under inputs"
            )
    for name in sizes.texts:
        with collector.at("inputs", name, "encoder"):
            _check_reads(_text_encoder(config, name)["type"], "text", "texts")


def _check_reads(name: str, kind: str, what: str) -> None:
    if _reads(name) != kind:
        fitting = [each for each in ENCODERS if _reads(each) == kind]
        raise InputError(f"{name} is no encoder of {what}; expected {' or '.join(fitting)}")


def _reads(name: str) -> str:
    return getattr(ENCODERS[name], "reads", "table")


def check_tasks(config: Config, sizes: Sizes, collector: Collector) -> None:
    """Find what is wrong with the options of each task, its metrics and its outputs."""
    for name in config.tasks:
        with collector.at("tasks", name):
            task = build_task(config, name, sizes)
            task.require_outputs()
            find_metrics([task])


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
