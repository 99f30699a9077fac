"""What the command line prints: lines, warnings, and a live line on a terminal."""

import os
import sys
from collections.abc import Callable
from typing import Any

import typer


def echo(line: str, *, nl: bool = True) -> bool:
    """Print a line, unless the output was closed, as after `| head`.

    Returns:
        Whether the output is still open.
    """
    try:
        typer.echo(line, nl=nl)
    except BrokenPipeError:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        return False
    return True


class Console:
    """Prints lines; on a terminal, also a live line about the step in progress."""

    def __init__(self) -> None:
        self._status: Any = None
        if sys.stdout.isatty():
            from rich import console

            self._console = console.Console(highlight=False)
            self._status = self._console.status("")

    def __enter__(self) -> "Console":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, line: str) -> None:
        if self._status is not None:
            self._console.print(line, markup=False, soft_wrap=True)
        elif not echo(line):
            show_warning("the output is closed; the run continues without it (Ctrl-C stops it)")

    def step(self, line: str) -> None:
        if self._status is not None:
            self._status.update(line)


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Show a warning without the line of code that it comes from."""
    typer.echo(f"warning    {message}", err=True)


def once(show: Callable[..., None]) -> Callable[..., None]:
    """Show a warning once, though a check before the run and the run itself give it."""
    shown: set[str] = set()

    def show_new(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            show(message)

    return show_new
