"""Commands that use a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from motet.cli.app import app
from motet.cli.console import Console, echo
from motet.cli.importing import importing
from motet.cli.options import ROWS, OwnSplit, RunFolder, Source, Split, Tasks, Weights, names
from motet.figures import counted


@app.command()
def evaluate(
    run: RunFolder,
    data: Annotated[str, typer.Argument(help=f"{ROWS}, with labels.")],
    tasks: Tasks = None,
    split: Annotated[Split | None, OwnSplit] = None,
    weights: Weights = "best",
    source: Source = None,
) -> None:
    """Compute every metric of a trained model on labelled rows."""
    with importing():
        from motet.run import load, report_lines

    loaded = load(run)
    with Console() as console:
        report = loaded.evaluate(
            data,
            tasks=names(tasks),
            split=split,
            weights=weights,
            source=source,
            step=console.step,
        )
    for line in report_lines(loaded.model, report):
        echo(line)
    for note in loaded.notes:
        echo(f"note: {note}")


@app.command()
def predict(
    run: RunFolder,
    data: Annotated[
        str,
        typer.Argument(help=f"{ROWS}; labels may be absent."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help=".csv, .parquet or .jsonl file.")],
    tasks: Tasks = None,
    weights: Weights = "best",
    spread: Annotated[
        bool, typer.Option("--spread", help="Add how far the members of an ensemble are apart.")
    ] = False,
    intervals: Annotated[
        float | None,
        typer.Option(
            help="Add intervals and sets that hold the truth of this share of rows, such as 0.9."
        ),
    ] = None,
) -> None:
    """Predict for the rows of a file, in their order."""
    with importing():
        from motet.run import check_prediction_file, load, predict_to_file

    check_prediction_file(output)
    loaded = load(run)
    with Console() as console:
        rows = predict_to_file(
            loaded,
            data,
            output,
            tasks=names(tasks),
            weights=weights,
            spread=spread,
            intervals=intervals,
            step=console.step,
        )
    for note in loaded.notes:
        echo(f"note       {note}")
    echo(f"wrote      {counted(rows, 'row')} to {output}")
