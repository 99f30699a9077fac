"""Commands that list what there is: members, the schema of configs, cached files."""

from typing import Annotated

import typer

from motet.cli.app import app
from motet.cli.completing import kinds
from motet.cli.console import echo
from motet.figures import counted
from motet.problems import InputError


@app.command(name="list")
def list_members(
    kind: Annotated[
        str | None, typer.Argument(help="balancers, tasks, losses, ...", autocompletion=kinds)
    ] = None,
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
            echo(plural)
        width = max(map(len, registry), default=0)
        for name in registry:
            indent = "" if kind else "  "
            echo(f"{indent}{name:<{width}}  {summary(registry, name)}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the config, for editors."""
    import json

    from motet.config.schema import json_schema

    echo(json.dumps(json_schema(), indent=2))


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
        files = counted(len(removed), "file")
        echo(f"removed    {files}, {kept.size_text(sum(each.size for each in removed))}")
        return
    for line in kept.cache_lines():
        echo(line)
