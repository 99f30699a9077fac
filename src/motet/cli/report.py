"""The command that writes reports on runs that exist."""

from pathlib import Path
from typing import Annotated

import typer

from motet.cli.app import app
from motet.cli.console import echo


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or the folder of a comparison.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="HTML file; report.html in the folder of one run if left out."
        ),
    ] = None,
) -> None:
    """Write a report: one HTML page about a run, several runs side by side, or a comparison."""
    from motet.run.reporting import write_report

    echo(f"report     {write_report(runs, output)}")
