"""The command line: parse, call, print.

Torch is imported inside the commands that need it, so that ``--help``, ``list``, ``schema`` and
config errors answer at once. Exit codes: 0 done, 1 failed while running, 2 wrong input, 130
interrupted.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from motet.problems import InputError
from motet.run.launching import LAUNCHER, LOST, started_together

TOGETHER = ("train", "resume", "demo")
"""Commands that may run in several processes."""

app = typer.Typer(
    name="motet",
    help="Multi-task learning on PyTorch: one model, several tasks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The run folder itself; runs/NAME-NNN if left out."),
]
_ROWS = "File (.csv, .parquet, .jsonl, .arrow), pattern, or folder saved by Hugging Face datasets"
Tasks = Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")]
Split = Literal["train", "validation", "test"]
Weights = Annotated[
    Literal["best", "each"],
    typer.Option(help="Those of the best epoch, or for each task its own, if they were kept."),
]
Processes = Annotated[
    int | None,
    typer.Option(min=1, help="Number of processes of this machine that train it together."),
]
RunFolder = Annotated[Path, typer.Argument(help="Run folder, or its model/ alone.")]


def _say_version(asked: bool) -> None:
    if asked:
        from motet.version import __version__

        _echo(f"motet {__version__}")
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


@app.command()
def demo(output: Output = None) -> None:
    """Train three tasks of a real, bundled table; under a minute on two cores."""
    from motet.datasets import DEMO

    _report_config_errors(DEMO, [])
    _train(DEMO, [], output)


@app.command()
def init(
    data: Annotated[
        str,
        typer.Argument(help=f"{_ROWS}; or motet://adult."),
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

    names = _names(targets) or []
    if output is None:
        _echo(initial_config(data, names), nl=False)
        return
    path = initialise(data, names, output)
    _echo(f"wrote      {path}, and beside it {SCHEMA} for editors")
    _echo(f"next       motet train {path}")


@app.command()
def validate(
    config: Annotated[Path, typer.Argument(help="YAML config.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
) -> None:
    """Check a config and the data it names, without training."""
    _report_config_errors(config, overrides or [])
    from motet.run import build_trainer, data_lines, model_lines, prepare, training_lines

    prepared = prepare(config, overrides=overrides or [])
    trained = list(training_lines(prepared, build_trainer(prepared)))  # the model need not be kept
    for line in (*data_lines(prepared), *model_lines(prepared), *trained):
        _echo(line)
    _echo(f"{config} is valid")


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
    names, overrides = _names(tasks), overrides or []
    if names is not None:
        from motet.config.only_tasks import only_tasks

        overrides = only_tasks(config, names, overrides)
    _report_config_errors(config, overrides)
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
    from motet.run import train

    with _Console() as console:
        run = train(
            config,
            overrides=overrides,
            output=output,
            say=console.say,
            step=console.step,
        )
    _say_what_is_next(run.path)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="Folder of an unfinished run.")],
    processes: Processes = None,
) -> None:
    """Continue a run that was interrupted, exactly as if it had never stopped."""
    _start(processes)
    from motet.run import resume

    with _Console() as console:
        finished = resume(run, say=console.say, step=console.step)
    _say_what_is_next(finished.path)


def _report_config_errors(config: Path, overrides: list[str]) -> None:
    """Raise the problems of a config, and of the data it names, before torch is imported."""
    from motet.config import ConfigError, read

    try:
        read(config, overrides)
    except ConfigError:
        from motet.run.preparing import read_sources

        read_sources(config, overrides=overrides)  # raises: those of the config and of the data


def _say_what_is_next(path: Path) -> None:
    _echo(f"saved      {path}")
    _echo(f"next       motet predict {path} ROWS.csv --output predictions.csv")


@app.command()
def evaluate(
    run: RunFolder,
    data: Annotated[str, typer.Argument(help=f"{_ROWS}, with labels.")],
    tasks: Tasks = None,
    split: Annotated[
        Split | None,
        typer.Option(help="Only these rows of the data that the run was trained on."),
    ] = None,
    weights: Weights = "best",
    source: Annotated[
        str | None,
        typer.Option(help="The source that the rows are like, if the run has several."),
    ] = None,
) -> None:
    """Compute every metric of a trained model on labelled rows."""
    from motet.run import load, report_lines

    loaded = load(run)
    with _Console() as console:
        report = loaded.evaluate(
            data,
            tasks=_names(tasks),
            split=split,
            weights=weights,
            source=source,
            step=console.step,
        )
    for line in report_lines(loaded.model, report):
        _echo(line)
    for note in loaded.notes:
        _echo(f"note: {note}")


@app.command()
def predict(
    run: RunFolder,
    data: Annotated[
        str,
        typer.Argument(help=f"{_ROWS}; labels may be absent."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help=".csv, .parquet or .jsonl file.")],
    tasks: Tasks = None,
    weights: Weights = "best",
    spread: Annotated[
        bool, typer.Option("--spread", help="Add how far the members of an ensemble are apart.")
    ] = False,
) -> None:
    """Predict for the rows of a file, in their order."""
    from motet.run import check_prediction_file, load, predict_to_file

    check_prediction_file(output)
    loaded = load(run)
    with _Console() as console:
        rows = predict_to_file(
            loaded,
            data,
            output,
            tasks=_names(tasks),
            weights=weights,
            spread=spread,
            step=console.step,
        )
    for note in loaded.notes:
        _echo(f"note       {note}")
    _echo(f"wrote      {rows:,} row{'' if rows == 1 else 's'} to {output}")


@app.command(name="list")
def list_members(
    kind: Annotated[str | None, typer.Argument(help="balancers, tasks, losses, ...")] = None,
) -> None:
    """List the names that a config can use, with a line on each."""
    from motet.options import summary
    from motet.problems import hint
    from motet.registry import KINDS

    registries = {registry.plural: registry for registry in KINDS.values()}
    if kind is not None and kind not in registries:
        raise InputError(f"nothing is listed under {kind!r}; {hint(kind, registries)}")
    for plural in [kind] if kind else registries:
        registry = registries[plural]
        if kind is None:
            _echo(plural)
        width = max(map(len, registry), default=0)
        for name in registry:
            indent = "" if kind else "  "
            _echo(f"{indent}{name:<{width}}  {summary(registry, name)}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the config, for editors."""
    import json

    from motet.config.schema import json_schema

    _echo(json.dumps(json_schema(), indent=2))


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all files.")] = False,
) -> None:
    """List the files that runs cache for later runs, or remove them.

    Runs cache the states of texts by frozen encoders; missing files are computed again. They are in
    the folder that MOTET_CACHE names, else in ~/.cache/motet.
    """
    from motet.run import cache as kept

    if clear:
        removed = kept.clear()
        files = f"{len(removed)} file{'' if len(removed) == 1 else 's'}"
        _echo(f"removed    {files}, {kept.size_text(sum(each.size for each in removed))}")
        return
    for line in kept.cache_lines():
        _echo(line)


def _names(tasks: str | None) -> list[str] | None:
    return None if tasks is None else [name.strip() for name in tasks.split(",")]


def _echo(line: str, *, nl: bool = True) -> bool:
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


class _Console:
    """Prints lines; on a terminal, also a live line about the step in progress."""

    def __init__(self) -> None:
        self._status: Any = None
        if sys.stdout.isatty():
            from rich.console import Console

            self._console = Console(highlight=False)
            self._status = self._console.status("")

    def __enter__(self) -> "_Console":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, line: str) -> None:
        if self._status is not None:
            self._console.print(line, markup=False, soft_wrap=True)
        elif not _echo(line):
            _show_warning("the output is closed; the run continues without it (Ctrl-C stops it)")

    def step(self, line: str) -> None:
        if self._status is not None:
            self._status.update(line)


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    if not debug:
        warnings.showwarning = _once(_show_warning)
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


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Show a warning without the line of code that it comes from."""
    typer.echo(f"warning    {message}", err=True)


def _once(show: Callable[..., None]) -> Callable[..., None]:
    """Show a warning once, though a check before the run and the run itself give it."""
    shown: set[str] = set()

    def show_new(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            show(message)

    return show_new


def _explained(error: BaseException) -> int:
    if hasattr(error, "problems"):  # of a config, one per line, each with its place first
        typer.echo(str(error), err=True)
        return 2
    if isinstance(error, InputError):
        return _fail(str(error), 2)
    if hasattr(error, "format_message"):  # click: a wrong option or argument
        command = getattr(getattr(error, "ctx", None), "command_path", "motet")
        message = error.format_message().rstrip(".")
        if message.startswith("No such option") and command.split()[-1] in ("train", "validate"):
            message += "; settings are given as key=value, such as training.epochs=3"
        return _fail(f"{message}; see {command} --help" if message else "try motet --help", 2)
    if type(error).__name__ in ("TrainingError", "OutOfMemory", "WriteError"):
        return _fail(str(error), 1)
    if type(error).__name__ == "ProcessLost":
        return _fail(str(error), LOST)
    return _fail(f"{type(error).__name__}: {error} (motet --debug ... shows where)", 1)


def _fail(message: str, code: int) -> int:
    typer.echo(f"motet: {message}", err=True)
    return code


if __name__ == "__main__":
    main()
