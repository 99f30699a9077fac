"""Commands about how certain predictions are: calibration, and models that predict together."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from motet.cli.app import app
from motet.cli.console import Console, echo
from motet.cli.importing import importing
from motet.cli.options import ROWS, OwnSplit, RunFolder, Source, Tasks, names
from motet.figures import counted


@app.command()
def calibrate(
    run: RunFolder,
    data: Annotated[str, typer.Argument(help=f"{ROWS}, with labels, that did not train it.")],
    tasks: Tasks = None,
    split: Annotated[Literal["validation", "calibration", "test"] | None, OwnSplit] = None,
    source: Source = None,
) -> None:
    """Fit temperatures, and make a trained model ready for predict --intervals."""
    with importing():
        from motet.run import calibration_lines, load

    loaded = load(run)
    with Console() as console:
        found = loaded.calibrate(
            data, tasks=names(tasks), split=split, source=source, step=console.step
        )
    asked = [loaded.model.tasks[name] for name in names(tasks) or loaded.model.labelled_tasks]
    for line in calibration_lines(found, asked):
        echo(line)
    for note in loaded.notes:
        echo(f"note       {note}")
    echo(f"saved      {run}")
    echo(f"next       motet predict {run} DATA --intervals 0.9 --output FILE")


@app.command()
def ensemble(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or their model/ alone.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new folder.")],
) -> None:
    """Put the models of several runs into one folder that predicts as their mean."""
    with importing():
        from motet.run import ensemble

    found = ensemble(runs, output)
    echo(f"saved      {output}, {counted(len(found.members), 'model')}")
    echo(f"next       motet predict {output} DATA --output FILE")
