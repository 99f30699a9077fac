"""The ``training`` section: the options of `motet.Trainer`, and what only a whole run has.

`motet.training.options` defines the options; it is read as source, as importing it needs torch.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from motet.config.members import Section, field_of
from motet.options import Option, Patience, Place, PositiveInt, StrictBool, read_typed_dict

_OPTIONS = {each.name: each for each in read_typed_dict("motet.training.options:TrainingOptions")}
_NARROWER = {"device": Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")}
"""Constraints of a config alone: Python may name any device of torch."""


class EarlyStoppingConfig(Section):
    """When to stop before the last epoch."""

    patience: Patience = Field(
        _OPTIONS["patience"].default, description=_OPTIONS["patience"].description
    )


class _Epochs(Section):
    epochs: PositiveInt | Literal["auto"] = 20
    """Most epochs; early stopping may end before. ``auto`` gives about 1,500 steps or more in all,
    by the number of training rows, as leaving it out does."""


def _field(option: Option) -> tuple[Any, Any]:
    annotation, field = field_of(option)
    if option.name in _NARROWER:
        annotation = Annotated[annotation, _NARROWER[option.name]]
    return annotation, field


_fields: dict[str, Any] = {
    name: _field(each) for name, each in _OPTIONS.items() if each.elsewhere is None
}
_Options: Any = create_model("_Options", __base__=_Epochs, **_fields)


class TrainingConfig(_Options):
    """The loop."""

    cache_frozen: StrictBool | None = None
    """Whether the outputs of text encoders that are frozen in all epochs are computed once and kept
    on disk for the next run. Left out: if they take at most 4 GB; ``true`` is an error where that
    is not possible."""
    teachers: Annotated[tuple[str, ...], Place()] = ()
    """Folders of finished runs that teach this one: their predictions for the training rows count
    beside the labels, by ``teacher_weight``. Each task learns from the teachers that have one of
    its name; see docs/transfer.md, "Distillation"."""
    calibrate: StrictBool = False
    """Whether a temperature for each task with class probabilities is fitted at the end, and the
    run made ready for ``motet predict --intervals``, on the validation rows or those of
    ``data.split.calibration``. See docs/insight.md, "How certain is a prediction"."""
    loggers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ()
    """Experiment trackers that get all numbers too: ``tensorboard``, ``mlflow``, ``wandb``; their
    files are in ``loggers/`` of the run folder."""
    early_stopping: EarlyStoppingConfig | None = EarlyStoppingConfig()
    """When to stop early; null never does."""

    if TYPE_CHECKING:  # the options, which type checkers do not see

        def __getattr__(self, name: str) -> Any: ...

    @property
    def epoch_count(self) -> int:
        """The number of epochs, once it is chosen."""
        assert self.epochs != "auto"
        return int(self.epochs)

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `motet.Trainer`."""
        found = self.model_dump(include=set(_fields))
        patience = self.early_stopping.patience if self.early_stopping else None
        return {**found, "patience": patience}
