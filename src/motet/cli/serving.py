"""The command that serves a trained model over HTTP."""

from typing import Annotated

import typer

from motet.cli.app import app
from motet.cli.console import echo
from motet.cli.importing import importing
from motet.cli.options import RunFolder


@app.command()
def serve(
    run: RunFolder,
    host: Annotated[str, typer.Option(help="Address to listen at; this machine if left out.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    rows: Annotated[int, typer.Option(min=1, help="Rows of a request.")] = 10_000,
    megabytes: Annotated[float, typer.Option(help="Size of a request.")] = 8.0,
    queue_rows: Annotated[int, typer.Option(min=1, help="Rows that wait for the model.")] = 40_000,
    batch_rows: Annotated[
        int, typer.Option(min=1, help="Rows up to which requests are joined; 1 joins none.")
    ] = 1024,
    wait_ms: Annotated[
        float, typer.Option(min=0, help="Longest wait for requests to join, in milliseconds.")
    ] = 0.0,
) -> None:
    """Serve predictions over HTTP: POST /predict, GET /schema, /health, /metrics, and a page."""
    with importing():
        from motet.run import load
        from motet.serving import Limits
        from motet.serving import serve as start

    limits = Limits(
        rows=rows,
        megabytes=megabytes,
        queue_rows=queue_rows,
        batch_rows=batch_rows,
        wait_ms=wait_ms,
    )
    start(load(run), host, port, limits, echo)
