"""What the command line prints: lines, warnings, and a live line on a terminal."""

import os
import sys
from collections.abc import Callable

import typer

from motet.live import Live


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
    """Prints lines; on a terminal, also what is in progress."""

    def __init__(self) -> None:
        self._live = Live() if sys.stdout.isatty() else None

    def __enter__(self) -> "Console":
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.__exit__()

    def say(self, line: str) -> None:
        if self._live is not None:
            self._live.say(line)
        elif not echo(line):
            show_warning("the output is closed; the run continues without it (Ctrl-C stops it)")

    def step(self, line: str) -> None:
        if self._live is not None:
            self._live.step(line)


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
