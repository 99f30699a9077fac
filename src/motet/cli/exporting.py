"""The command that writes a trained model as a file for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from motet.cli.app import app
from motet.cli.console import echo
from motet.cli.importing import importing
from motet.cli.options import ROWS, RunFolder, Tasks, names
from motet.figures import counted


@app.command()
def export(
    run: RunFolder,
    format: Annotated[
        Literal["onnx", "torch"], typer.Option(help="ONNX, or a program of torch.export.")
    ],
    tasks: Tasks = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help=".onnx or .pt2 file; export/model.onnx in the run if left out."
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(help=f"Rows to compare with. {ROWS}; those of the run if left out."),
    ] = None,
) -> None:
    """Write a trained model as a file for other programs, once it predicts what the run does."""
    with importing():
        from motet.run import load

    found = load(run).export(format, output, tasks=names(tasks), rows=rows)
    for name, difference in found.differences.items():
        echo(f"{name:<10} {difference}")
    echo(f"compared   {counted(found.rows, 'row')}")
    for path in found.files:
        echo(f"wrote      {path}")
