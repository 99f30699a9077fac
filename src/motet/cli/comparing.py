"""The command that compares methods, single-task models first of all."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from motet.cli.app import app
from motet.cli.console import Console, echo
from motet.cli.importing import importing
from motet.cli.options import names
from motet.cli.training import report_config_errors
from motet.problems import InputError


@app.command()
def compare(
    config: Annotated[Path, typer.Argument(help="YAML config.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value ..., such as training.epochs=10")
    ] = None,
    balancers: Annotated[
        str | None, typer.Option(help="Balancers to try in its model, separated by commas.")
    ] = None,
    sharing: Annotated[
        str | None, typer.Option(help="Sharing schemes to try in its model, separated by commas.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds; 5 if left out. Or see split.folds.")
    ] = None,
    single: Annotated[
        bool, typer.Option("--single/--no-single", help="Whether to train single-task models.")
    ] = True,
    candidates: Annotated[
        int,
        typer.Option(
            min=0, help="Candidates of the weighted sum of the losses; 0 leaves this method out."
        ),
    ] = 27,
    learning_rates: Annotated[
        str | None,
        typer.Option(help="Learning rates to choose from for each method, separated by commas."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="How long it may take: fewer candidates and seeds fit.")
    ] = None,
    distil: Annotated[
        bool, typer.Option("--distil", help="Also let single-task models teach its model.")
    ] = False,
    suggest: Annotated[
        bool,
        typer.Option(
            "--suggest",
            help="Choose what to deploy, and test that no task is worse than single-task.",
        ),
    ] = False,
    margin: Annotated[
        float, typer.Option(help="By how much a task of the suggestion may be worse.")
    ] = 0.01,
    error: Annotated[
        float, typer.Option(help="Error rate of verdicts and of the suggestion.")
    ] = 0.05,
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many runs at the same time.")
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Local processes, or a cluster of Ray.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of the cluster of Ray, such as auto.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The comparison's folder; runs/NAME-compare-NNN if left out. That of one that was "
            "interrupted continues it.",
        ),
    ] = None,
) -> None:
    """Compare a config's model with single-task models, balancers and sharing schemes."""
    rates = names(learning_rates)
    report_config_errors(config, overrides or [])
    with importing():
        from motet.comparing import compare

    with Console() as console:
        result = compare(
            config,
            overrides=overrides or [],
            output=output,
            balancers=names(balancers) or (),
            sharing=names(sharing) or (),
            seeds=seeds,
            single_task=single,
            candidates=candidates,
            learning_rates=None if rates is None else [_number(rate) for rate in rates],
            minutes=minutes,
            distil=distil,
            suggest=suggest,
            margin=margin,
            error=error,
            processes=processes,
            engine=engine,
            address=address,
            say=console.say,
        )
    echo("")
    for line in result.lines():
        echo(line)
    echo(f"report     {result.report()}")
    echo(f"saved      {result.path}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"found {text!r}; expected numbers", option="learning_rates") from None
