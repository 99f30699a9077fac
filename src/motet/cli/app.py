"""The application that commands belong to, and the options of all of them."""

import os
from typing import Annotated

import typer

from motet.cli.console import echo
from motet.problems import InputError
from motet.run.launching import started_together

TOGETHER = ("train", "resume", "demo")
"""Commands that may run in several processes."""

app = typer.Typer(
    name="motet",
    help="Multi-task learning on PyTorch: one model, several tasks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(asked: bool) -> None:
    if asked:
        from motet.version import __version__

        echo(f"motet {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_say_version),
    ] = False,
) -> None:
    """Options of every command; `main` reads ``--debug`` at any position."""
    command = context.invoked_subcommand
    if started_together() and os.environ["WORLD_SIZE"] != "1" and command not in TOGETHER:
        raise InputError(
            f"motet {command} runs in one process, and {os.environ['WORLD_SIZE']} were started; "
            f"start it without torchrun (only {', '.join(TOGETHER)} run in several)"
        )
