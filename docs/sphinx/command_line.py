"""The commands of `motet`, with their arguments and options."""

from typing import Any

import typer

from motet.cli import app


def markdown() -> str:
    """Return a section for each command, in the order of ``motet --help``."""
    commands = typer.main.get_command(app).commands
    return "\n\n".join(_section(name, command) for name, command in commands.items())


def _section(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    usage = " ".join(["motet", name, *map(_usage, arguments), *(["[options]"] if options else [])])
    rows = [f"| {_names(each)} | {_meaning(each)} |" for each in (*arguments, *options)]
    table = ["| argument or option | meaning |", "|---|---|", *rows] if rows else []
    return "\n".join([f"## {name}\n", f"```console\n{usage}\n```\n", f"{command.help}\n", *table])


def _usage(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs < 0 else "")
    return name if argument.required else f"[{name}]"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{each}`" for each in (*parameter.opts, *parameter.secondary_opts))


def _meaning(parameter: Any) -> str:
    text = " ".join((parameter.help or "").split()).replace("|", "\\|")
    default = parameter.default
    if default in (None, False, [], ()) or callable(default):
        return text
    return f"{text} (default: `{default}`)"
