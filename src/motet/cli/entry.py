"""`main`: execute a command, in one process or several, and say what went wrong."""

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from typing import Any

import typer

from motet.cli.app import app
from motet.cli.console import once, show_warning
from motet.cli.importing import importing
from motet.problems import InputError
from motet.run.launching import LOST, started_together

_WITH_SETTINGS = ("train", "validate", "compare", "tune")
"""Commands that take key=value."""


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    if not debug:
        warnings.showwarning = once(show_warning)
    given = [each for each in arguments if each != "--debug"]
    try:
        with _together() as reporting:
            try:
                code = app(given, prog_name="motet", standalone_mode=False)
            except (Exception, KeyboardInterrupt) as error:
                with reporting(error):
                    code = _failed(error, debug)
    except Exception as error:  # the processes did not find each other
        code = _failed(error, debug)
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def _together() -> Iterator[Callable[[BaseException], Any]]:
    """Join the processes that were started with this one, if any; all but the first are silent.

    Yields:
        A context for the report of what ends this process, which one of them makes.
    """
    if not started_together():
        yield nullcontext
        return
    with importing():
        from motet.run.joining import joined

    with ExitStack() as stack:
        team = stack.enter_context(joined())
        nothing = stack.enter_context(open(os.devnull, "w"))
        if not team.processes.first:
            stack.enter_context(redirect_stdout(nothing))
            warnings.showwarning = _ignore_warning

        @contextmanager
        def reporting(error: BaseException) -> Iterator[None]:
            with team.reporting(error) as mine, redirect_stderr(sys.stderr if mine else nothing):
                if not team.processes.first:
                    typer.echo(f"motet: in {team.name}:", err=True)
                yield

        yield reporting


def _ignore_warning(*_: object, **__: object) -> None:
    """Leave a warning to the first process."""


def _failed(error: BaseException, debug: bool) -> int:
    """Print one readable message, and a traceback on request; return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return _fail("interrupted", 130)
    if debug:
        import traceback

        traceback.print_exception(error)
    return _explained(error)


def _explained(error: BaseException) -> int:
    if hasattr(error, "problems"):  # of a config, one per line, each with its place first
        typer.echo(str(error), err=True)
        return 2
    if isinstance(error, InputError):
        return _fail(str(error), 2)
    if hasattr(error, "format_message"):  # click: a wrong option or argument
        command = getattr(getattr(error, "ctx", None), "command_path", "motet")
        message = _readable(error.format_message().rstrip("."))
        if message.startswith("No such option") and command.split()[-1] in _WITH_SETTINGS:
            message += "; settings are given as key=value, such as training.epochs=3"
        return _fail(f"{message}; see {command} --help" if message else "try motet --help", 2)
    if type(error).__name__ in ("TrainingError", "OutOfMemory", "WriteError", "ExportError"):
        return _fail(str(error), 1)
    if type(error).__name__ == "ProcessLost":
        return _fail(str(error), LOST)
    return _fail(f"{type(error).__name__}: {error} (motet --debug ... shows where)", 1)


_CLICK = (
    ("Value error, ", ""),
    (r"Input should be a valid integer\b.*", "expected a whole number"),
    (r"Input should be a valid number\b.*", "expected a number"),
    ("Input should be greater than or equal to ", "expected a number >= "),
    ("Input should be less than or equal to ", "expected a number <= "),
)
"""What some versions of click say, and what is said here."""


def _readable(message: str) -> str:
    for theirs, ours in _CLICK:
        message = re.sub(theirs, ours, message)
    return message


def _fail(message: str, code: int) -> int:
    typer.echo(f"motet: {message}", err=True)
    return code
