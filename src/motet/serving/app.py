"""The routes of a server, and what happens between a request and its answer."""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, TypeVar

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from motet.problems import InputError, RowError
from motet.run import Run
from motet.serving import answers
from motet.serving.batching import Batcher, of_run
from motet.serving.body import Bodies
from motet.serving.description import description
from motet.serving.limits import Limits
from motet.serving.metrics import Metrics
from motet.serving.refusals import Problem, Refused
from motet.serving.requests import RequestModel
from motet.version import __version__

_T = TypeVar("_T")
_PATHS = ("/", "/predict", "/schema", "/health", "/metrics", "/openapi.json")
_GONE = 499
"""Status of a request whose client has left: it is counted, and sent to nobody."""
_READERS = 2
"""Threads that parse requests and write answers; more only compete for the interpreter."""


def create_app(run: Run, limits: Limits | None = None) -> FastAPI:
    """Make the ASGI application that serves a run; its model thread lives as long as it does.

    Args:
        run: The run; nothing else may predict with it meanwhile.
        limits: The limits; those of `Limits` if left out.

    Returns:
        The application.
    """
    limits = limits or Limits()
    metrics, bodies, model = Metrics(), Bodies(limits), RequestModel(run, limits)
    described = description(run, model, limits)
    readers = ThreadPoolExecutor(_READERS, "motet-reader")
    batcher = Batcher(of_run(run), limits, metrics)

    async def reading(work: Callable[[Any], _T], given: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(readers, work, given)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(batcher.close)
        readers.shutdown()

    app = FastAPI(
        title=f"motet: {described['name']}",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,  # the Host header of a client would be in the address
    )
    app.add_middleware(_Counting, metrics=metrics)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _not_served)
    app.add_exception_handler(Exception, _failed)

    @app.post("/predict", summary="Predict for rows", **_predict_docs(model))
    async def predict(request: Request) -> Response:
        async with bodies.read(request) as body:
            rows = await reading(model.read, body)
        try:
            found = await _unless_gone(request, batcher.submit(rows))
        except InputError as error:
            raise Refused(422, [_problem(error)]) from None
        text = await reading(answers.predictions, found)
        return Response(text, media_type="application/json")

    @app.get("/schema", summary="Inputs, tasks and limits")
    async def schema() -> JSONResponse:
        return JSONResponse(described)

    @app.get("/health", summary="Whether requests are accepted", responses={503: _ERRORS})
    async def health() -> JSONResponse:
        status = {"status": "ok" if batcher.open else "stopped", "queue_rows": batcher.queued}
        return JSONResponse(status, 200 if batcher.open else 503)

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
    async def measured() -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(metrics.text(batcher.queued), headers={"Content-Type": kind})

    page, policy = _page()

    @app.get("/", include_in_schema=False)
    async def by_hand() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    return app


async def _unless_gone(request: Request, waiting: Future[_T]) -> _T:
    """Return what is waited for; give it up once the client has closed its connection.

    Raises:
        Refused: If the client has.
        asyncio.CancelledError: If the server gives it up.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":  # its body was read
            pass

    found, left = asyncio.wrap_future(waiting), asyncio.create_task(gone())
    left.add_done_callback(lambda _: found.cancel())
    try:
        return await found
    except asyncio.CancelledError:
        if left.done():
            raise Refused(_GONE, "the client closed the connection") from None
        raise
    finally:
        left.cancel()


def _problem(error: InputError) -> Problem:
    """Return what a run found in rows that their columns take."""
    row: Problem = {"row": error.row} if isinstance(error, RowError) else {}
    return {**row, "message": str(error)}


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    text, headers = answers.problems(error.problems), error.headers
    return Response(text, error.status, headers, media_type="application/json")


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.scope["path"][:200]  # the URL also has the Host header, and may be malformed
    what = f"{request.method} {path} is not served: {error.detail}"
    text = answers.problems([{"message": what}])
    headers = dict(error.headers or {})
    return Response(text, error.status_code, headers, media_type="application/json")


async def _failed(_: Request, error: Exception) -> Response:
    """Answer after an error of the server itself, which uvicorn logs with its traceback."""
    text = answers.problems([{"message": "the server failed; its log has the reason"}])
    return Response(text, 500, media_type="application/json")


class _Counting:
    """Counts requests by path and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in _PATHS else "other"
        start = time.monotonic()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._metrics.request(path, status, time.monotonic() - start)


def _page() -> tuple[str, str]:
    """Return the page to try rows on, and a policy that lets it load nothing else."""
    text = files("motet.serving").joinpath("page.html").read_text(encoding="utf-8")
    allowed = {
        part: "'sha256-" + base64.b64encode(hashlib.sha256(own.encode()).digest()).decode() + "'"
        for part in ("script", "style")
        for own in [text.partition(f"<{part}>")[2].partition(f"</{part}>")[0]]
    }
    return text, (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


# OpenAPI -----------------------------------------------------------------------------------------

_ERRORS: dict[str, Any] = {
    "description": "What was found and expected",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["errors"],
                "properties": {
                    "errors": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "properties": {
                                "message": {"type": "string"},
                                "row": {"type": "integer"},
                                "input": {"type": "string"},
                                "column": {"type": "string"},
                            },
                        },
                    }
                },
            }
        }
    },
}


def _predict_docs(model: RequestModel) -> dict[str, Any]:
    answer = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": {"type": "object"}}},
    }
    refusals = dict.fromkeys((400, 408, 413, 415, 422, 500, 503), _ERRORS)
    return {
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": model.schema()}},
            }
        },
        "responses": {
            200: {"content": {"application/json": {"schema": answer}}},
            **refusals,
        },
    }
