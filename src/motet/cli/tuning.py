"""The command that searches ranges of a config."""

from pathlib import Path
from typing import Annotated

import typer

from motet.cli.app import app
from motet.cli.console import echo
from motet.cli.importing import importing


@app.command()
def tune(
    config: Annotated[Path, typer.Argument(help="YAML config with a section `tuning`.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value ..., such as tuning.seed=1")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many combinations of values are tried.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="After so many minutes no further runs begin.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many runs at the same time.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The search's folder; runs/NAME-tune-NNN if left out."),
    ] = None,
) -> None:
    """Search the ranges of a config, choosing by validation rows alone."""
    with importing():
        from motet.tuning import tune, tuned_lines

    tuned = tune(
        config,
        overrides=overrides or [],
        trials=trials,
        minutes=minutes,
        processes=processes,
        output=output,
        say=echo,
    )
    for line in tuned_lines(tuned):
        echo(line)
    echo(f"saved      {tuned.path}")
    echo(f"next       motet train {tuned.config}")
