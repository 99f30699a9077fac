"""A run: one execution of a config, and the folder that it writes.

Names are imported when first used, because most of them need torch and `motet init` does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motet.run.building import build_trainer, check
    from motet.run.calibrating import calibration_lines
    from motet.run.folds import resume, train
    from motet.run.initialising import initial_config, initialise
    from motet.run.joined_runs import ensemble
    from motet.run.lines import data_lines, model_lines, report_lines, training_lines
    from motet.run.loading import load
    from motet.run.predictions import (
        check_prediction_file,
        predict_to_file,
        write_predictions,
    )
    from motet.run.preparing import prepare
    from motet.run.runs import Run

_PLACES = {
    "Run": "runs",
    "build_trainer": "building",
    "calibration_lines": "calibrating",
    "check": "building",
    "check_prediction_file": "predictions",
    "data_lines": "lines",
    "ensemble": "joined_runs",
    "initial_config": "initialising",
    "initialise": "initialising",
    "load": "loading",
    "model_lines": "lines",
    "predict_to_file": "predictions",
    "prepare": "preparing",
    "report_lines": "lines",
    "resume": "folds",
    "train": "folds",
    "training_lines": "lines",
    "write_predictions": "predictions",
}

__all__ = [
    "Run",
    "build_trainer",
    "calibration_lines",
    "check",
    "check_prediction_file",
    "data_lines",
    "ensemble",
    "initial_config",
    "initialise",
    "load",
    "model_lines",
    "predict_to_file",
    "prepare",
    "report_lines",
    "resume",
    "train",
    "training_lines",
    "write_predictions",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"motet.run.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'motet.run' has no attribute {name!r}")
