"""From a config and sizes to a model; data taught the sizes, or the config tells them."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from motet.config import Config, Member
from motet.config.collecting import Collector, read_on
from motet.config.places import with_absolute
from motet.config.schema import ModelConfig
from motet.data.inputs.base import Declared, Expansion, Input, TextSizes
from motet.data.preprocessing import Preprocessing
from motet.data.words import text_of
from motet.encoders.joined import Joined
from motet.model.multi_task_model import MultiTaskModel
from motet.options import create
from motet.problems import InputError, about
from motet.registry import ENCODERS, INPUTS, TASKS
from motet.sharing import Stages
from motet.sharing import create as create_sharing
from motet.tasks import Task
from motet.tasks.task_metrics import find_metrics


@dataclass(frozen=True)
class Sizes:
    """What a model has to know of the rows it will see."""

    numbers: int
    """Columns of numbers."""
    categories: tuple[int, ...]
    """For each column of categories, how many values it has."""
    expansions: tuple[Expansion | None, ...]
    """For each column of numbers, the bins to spread it over, None to take it as it is; or ()."""
    tasks: Mapping[str, Mapping[str, Any]]
    """For each task, what its labels taught: classes, scaling, outputs."""
    texts: Mapping[str, TextSizes]
    """For each input that is a text, what its encoder has to know."""


def learned_sizes(config: Config, preprocessing: Preprocessing) -> Sizes:
    """Take the sizes from fitted preprocessing."""
    learned = (("classes", "names"), ("scaling", "scaling"), ("outputs", "outputs"))
    targets = {name: preprocessing.target(name) for name in config.tasks}
    return Sizes(
        preprocessing.numbers,
        preprocessing.categories,
        preprocessing.expansions,
        {
            name: {
                option: getattr(target, attribute)
                for option, attribute in learned
                if hasattr(target, attribute)
            }
            for name, target in targets.items()
        },
        preprocessing.texts,
    )


def build_model(config: Config, sizes: Sizes) -> MultiTaskModel:
    """Build the model of a config, its first weights drawn from the config's seed."""
    with torch.random.fork_rng(devices=[]), _large_sizes_refused():
        torch.default_generator.manual_seed(config.training.seed % 2**64)
        tasks = [build_task(config, name, sizes) for name in config.tasks]
        with about("encoder"):
            stages = Stages.of(lambda: _build_encoder(config, sizes))
        with about("sharing"):
            sharing = create_sharing(config.model.sharing.type, **config.model.sharing.options())
        return MultiTaskModel(stages, tasks, sharing=sharing)


@contextmanager
def _large_sizes_refused() -> Iterator[None]:
    try:
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


def text_encoders(model: MultiTaskModel) -> dict[str, nn.Module]:
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
    """Build a task with what its labels taught."""
    chosen = config.tasks[name]
    accepted = inspect.signature(TASKS[chosen.type]).parameters
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


def build_without_data(
    source: str | Path | Mapping[str, Any] | Config,
) -> MultiTaskModel:
    """Build the model of a config that tells all sizes; see `MultiTaskModel.from_config`."""
    collector, config = read_on(source)
    config = with_absolute(config, collector.origin.folder)
    sizes = _declared_sizes(config, collector)
    check_encoders(config, sizes, collector)
    check_tasks(config, sizes, collector)
    collector.stop()
    with collector.at("model"):
        model = build_model(config, sizes)
    collector.stop()
    return model


def _declared_sizes(config: Config, collector: Collector) -> Sizes:
    """Take the sizes from the inputs' options; an input that tells none is a problem at its key."""
    found: dict[str, Declared] = {}
    with collector.at("inputs"):
        if config.inputs is None:
            raise InputError("missing; without data, expected each input with its type and size")
    for name, chosen in (config.inputs or {}).items():
        with collector.at("inputs", name):
            made: Input = create(INPUTS, chosen.type, name, **chosen.options())
            found[name] = made.declared()
    numbers = sum(each.numbers for each in found.values())
    categories = tuple(size for each in found.values() for size in each.sizes)
    texts = {name: each.text for name, each in found.items() if each.text is not None}
    return Sizes(numbers, categories, (), {name: {} for name in config.tasks}, texts)
