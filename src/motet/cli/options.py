"""Options and arguments that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from motet.cli.completing import task_names

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The run folder itself; runs/NAME-NNN if left out."),
]
ROWS = "File (.csv, .parquet, .jsonl, .arrow), pattern, or folder saved by Hugging Face datasets"
Tasks = Annotated[
    str | None,
    typer.Option(help="Only these tasks, separated by commas.", autocompletion=task_names),
]
Split = Literal["train", "validation", "test", "calibration"]
Weights = Annotated[
    Literal["best", "each"],
    typer.Option(help="Those of the best epoch, or for each task its own, if they were kept."),
]
Processes = Annotated[
    int | None,
    typer.Option(min=1, help="Number of processes of this machine that train it together."),
]
OwnSplit = typer.Option(help="Only these rows of the data that the run was trained on.")
Source = Annotated[
    str | None, typer.Option(help="The source that the rows are like, if the run has several.")
]
RunFolder = Annotated[Path, typer.Argument(help="Run folder, or its model/ alone.")]


def names(tasks: str | None) -> list[str] | None:
    """Return the names of a list with commas."""
    return None if tasks is None else [each.strip() for each in tasks.split(",")]
