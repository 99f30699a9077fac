"""The command line: parse, call, print.

Torch is imported inside the commands that need it, so that ``--help``, ``list``, ``schema`` and
config errors answer at once. Exit codes: 0 done, 1 failed while running, 2 wrong input, 130
interrupted. A file holds commands that belong together; the order of their imports is that of
``--help``.
"""

from motet.cli import training, predicting, uncertainty, exporting, serving  # isort: skip
from motet.cli import report, comparing, tuning, listing  # isort: skip
from motet.cli.app import app
from motet.cli.entry import main

__all__ = [
    "app",
    "comparing",
    "exporting",
    "listing",
    "main",
    "predicting",
    "report",
    "serving",
    "training",
    "tuning",
    "uncertainty",
]
