"""Commands that train a model, and that prepare or check the config of one."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from motet.cli.app import app
from motet.cli.console import Console, echo
from motet.cli.importing import importing
from motet.cli.options import ROWS, Output, Processes, Tasks, names
from motet.run.launching import LAUNCHER, started_together

if TYPE_CHECKING:
    from motet.run import Run


@app.command()
def demo(output: Output = None) -> None:
    """Train three tasks of a real, bundled table; under a minute on two cores."""
    from motet.datasets import DEMO

    report_config_errors(DEMO, [])
    _train(DEMO, [], output)


@app.command()
def init(
    data: Annotated[
        str,
        typer.Argument(help=f"{ROWS}; or motet://adult."),
    ],
    targets: Annotated[
        str,
        typer.Option(
            "--targets",
            "-t",
            help="Columns to predict, separated by commas; a type after a colon: rooms:regression.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="YAML file to write; printed if left out."),
    ] = None,
) -> None:
    """Write a config for a table, with the reason for every guess."""
    from motet.run import initial_config, initialise
    from motet.run.initialising import SCHEMA

    targets_given = names(targets) or []
    if output is None:
        echo(initial_config(data, targets_given), nl=False)
        return
    path = initialise(data, targets_given, output)
    echo(f"wrote      {path}, and beside it {SCHEMA} for editors")
    echo(f"next       motet train {path}")


@app.command()
def validate(
    config: Annotated[Path, typer.Argument(help="YAML config.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
) -> None:
    """Check a config and the data it names, without training."""
    report_config_errors(config, overrides or [])
    with importing():
        from motet.run import build_trainer, data_lines, model_lines, prepare, training_lines

    prepared = prepare(config, overrides=overrides or [])
    trained = list(training_lines(prepared, build_trainer(prepared)))  # the model need not be kept
    for line in (*data_lines(prepared), *model_lines(prepared), *trained):
        echo(line)
    echo(f"{config} is valid")


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML config.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value ..., such as training.epochs=3")
    ] = None,
    output: Output = None,
    tasks: Tasks = None,
    processes: Processes = None,
) -> None:
    """Train a model from a config, and leave a run folder."""
    chosen, overrides = names(tasks), overrides or []
    if chosen is not None:
        from motet.config.only_tasks import only_tasks

        overrides = only_tasks(config, chosen, overrides)
    report_config_errors(config, overrides)
    _start(processes)
    _train(config, overrides, output)


def _start(processes: int | None) -> None:
    """Start this command in so many processes, and exit when they end.

    Raises:
        Exit: With their exit code.
    """
    if processes is None or LAUNCHER in os.environ or (processes == 1 and not started_together()):
        return
    from motet.run.launching import launch

    raise typer.Exit(launch(sys.argv[1:], processes))


def _train(config: Path, overrides: list[str], output: Path | None) -> None:
    with importing():
        from motet.run import train

    with Console() as console:
        run = train(
            config,
            overrides=overrides,
            output=output,
            say=console.say,
            step=console.step,
        )
    _finish(run)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="Folder of an unfinished run.")],
    processes: Processes = None,
) -> None:
    """Continue a run that was interrupted, exactly as if it had never stopped."""
    _start(processes)
    with importing():
        from motet.run import resume

    with Console() as console:
        finished = resume(run, say=console.say, step=console.step)
    _finish(finished)


def report_config_errors(config: Path, overrides: list[str]) -> None:
    """Raise the problems of a config, and of the data it names, before torch is imported."""
    try:
        with importing():
            from motet.config import ConfigError, read

            read(config, overrides)
    except ConfigError:
        from motet.run.preparing import read_sources

        read_sources(config, overrides=overrides)  # raises: those of the config and of the data


def _finish(run: "Run") -> None:
    """Write the report of a finished run, and say what to do with it."""
    from motet.processes import processes_of

    echo(f"saved      {run.path}")
    if processes_of().first:
        echo(f"report     {run.report()}")
    echo(f"next       motet predict {run.path} ROWS.csv --output predictions.csv")
