"""The config of a run: what data, which inputs and tasks, what model, how it is trained.

The docstring below each key is its one explanation; ``motet schema`` and the docs are made from it.
"""

from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from motet.config.members import Member, MemberOf, Section
from motet.config.named_sources import NamedSource
from motet.config.origin import ConfigError, Origin
from motet.config.split_section import SplitConfig
from motet.config.stages import Balancing
from motet.config.starting import FromRun, Startable
from motet.config.streaming import StreamConfig
from motet.config.training import TrainingConfig
from motet.config.translating import translated
from motet.config.tuning import TuningConfig
from motet.options import StrictBool
from motet.registry import KINDS, version


def _by_name(name: str) -> Any:
    """Default to a member with its default options."""
    return Field(default_factory=lambda: {"type": name})


class DataConfig(Section):
    """Where the rows come from."""

    source: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Path of a CSV, Parquet, JSON lines or Arrow file, or of a folder saved by Hugging Face
    `datasets`, relative to the config file; a pattern such as ``data/*.parquet``, or a list of
    paths, for one table in several files; or a bundled data set such as ``motet://adult``. Left out
    when data are passed from Python."""
    sources: (
        Annotated[
            dict[
                str,
                Annotated[NamedSource, MemberOf("source", default="files", base=NamedSource)],
            ],
            Field(min_length=1),
        ]
        | None
    ) = None
    """Instead of ``source``: named sources, ``{orders: {source: orders.parquet}, ...}``, or of
    another type, ``{orders: {type: my_source, ...}}``. With several, each task names the one that
    has its labels, ``source: orders``."""
    split: SplitConfig = SplitConfig()
    """How rows are split."""
    evaluate_test: StrictBool = True
    """Whether a run evaluates its test rows, once, at its end. With ``false`` nothing reads them;
    ``motet evaluate RUN DATA --split test`` does so later."""
    stream: StrictBool | StreamConfig = False
    """Whether rows are read from disk in every epoch, as data larger than memory must be: ``true``,
    or options, ``{buffer: 500000}``. See docs/data.md, "Larger than memory"."""

    @property
    def streaming(self) -> StreamConfig | None:
        """How rows are streamed; None if they are not."""
        if isinstance(self.stream, bool):
            return StreamConfig() if self.stream else None
        return self.stream

    @model_validator(mode="after")
    def _one_of_both(self) -> "DataConfig":
        if self.source is not None and self.sources is not None:
            raise ValueError("found source and sources; expected one of them; remove the other")
        for name, source in (self.sources or {}).items():
            if source.inputs is not None and len(self.sources or ()) == 1:
                raise ValueError(
                    f"found sources.{name}.inputs, and no other source; name the inputs under "
                    "`inputs`, and remove them here"
                )
        if len(self.sources or ()) > 1 and self.split.folds is not None:
            raise ValueError(
                f"found split.folds: {self.split.folds} and several sources; folds of several "
                "sources are not supported; remove folds"
            )
        if not self.evaluate_test and self.split.folds is not None and self.split.fold is None:
            raise ValueError(
                "found evaluate_test: false and split.folds, where each fold is the test split of "
                "a run; remove one of them, or train one fold, such as split.fold: 1"
            )
        return self


class ModelConfig(Section):
    """Encoders and sharing."""

    encoder: Annotated[Member, MemberOf("encoder", default="mlp")] = _by_name("mlp")
    """Encoder of number, category and vector inputs."""
    fusion: Annotated[Member, MemberOf("fusion")] = _by_name("concat")
    """What joins the features of several encoders."""
    sharing: Annotated[Member, MemberOf("sharing")] = _by_name("hard")
    """Which parameters the tasks have in common."""


class Config(Section):
    """A whole run."""

    data: DataConfig = DataConfig()
    """Where the rows come from and how they are split."""
    inputs: (
        Annotated[
            dict[str, Annotated[Startable, MemberOf("input", base=Startable)]],
            Field(min_length=1),
        ]
        | None
    ) = None
    """Columns the model sees; left out: every column that is not a target, types inferred."""
    tasks: dict[str, Annotated[Startable, MemberOf("task", base=Startable)]] = Field(min_length=1)
    """Columns the model predicts."""
    model: ModelConfig = Field(default_factory=lambda: ModelConfig())
    """Encoder and sharing."""
    balancing: Balancing = _by_name("equal")
    """How the tasks' losses or gradients become one update; or a list of stages, all but the last
    with ``until``, the last epoch in which it acts: ``[{until: 5, type: equal}, pcgrad]``."""
    scheduling: Annotated[Member, MemberOf("scheduler")] = _by_name("all")
    """Which tasks train at each step."""
    training: TrainingConfig = Field(default_factory=lambda: TrainingConfig())
    """The loop."""
    from_run: FromRun | None = None
    """An earlier run to start from: its folder, or ``{path: RUN, parts: [encoder, churn]}``.
    Inputs, encoder and heads are taken with all that they learned; see docs/transfer.md."""
    tuning: TuningConfig | None = None
    """Ranges that ``motet tune`` searches; ``motet train`` leaves them out."""

    def __init__(self, **sections: Any) -> None:
        """Check the sections against what is registered now.

        Raises:
            ConfigError: If any is wrong; it names every problem.
        """
        current()
        try:
            super().__init__(**sections)
        except ValidationError as error:
            raise ConfigError(translated(error, sections, Origin(), Config)) from None

    # pydantic's own mark: `model_validate` does not call this, and so raises its own error
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # as RootModel has it

    @property
    def stages(self) -> tuple[Member, ...]:
        """The balancers, in order; one unless ``balancing`` is a list."""
        return self.balancing if isinstance(self.balancing, tuple) else (self.balancing,)


_built_for = -1


def current() -> type[Config]:
    """Return `Config`, rebuilt first if members were registered since it was last built."""
    global _built_for
    now = version()
    if now != _built_for:
        if _built_for >= 0 or now > 0:
            for section in (DataConfig, ModelConfig, TrainingConfig, Config):
                section.model_rebuild(force=True)
        _built_for = now
    return Config


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the config, for editors."""
    for table in KINDS.values():
        table.load()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **current().model_json_schema(),
    }
