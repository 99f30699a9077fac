"""A run: one config carried out, and the folder it leaves."""

from motet.run.building import check
from motet.run.lines import data_lines, report_lines
from motet.run.predictions import check_prediction_file, write_predictions
from motet.run.runs import Run, load
from motet.run.training import resume, train

__all__ = [
    "Run",
    "check",
    "check_prediction_file",
    "data_lines",
    "load",
    "report_lines",
    "resume",
    "train",
    "write_predictions",
]
