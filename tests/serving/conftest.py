"""A small run that is served, and the ways to ask it."""

import asyncio
import threading
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

from motet import load, train

if not all(map(find_spec, ("fastapi", "uvicorn", "httpx"))):
    collect_ignore_glob = ["test_*.py"]  # pip install 'motet[serve]'

INPUTS = ["age", "income", "city"]
CONFIG = {
    "inputs": dict(zip(INPUTS, ["number", "number", "category"], strict=True)),
    "tasks": {"churn": "classification", "spend": "regression"},
    "model": {"encoder": {"hidden": [8]}},
    "training": {"epochs": 2, "calibrate": True},
}


@pytest.fixture(scope="session")
def served_run(tmp_path_factory, people):
    """The folder of a calibrated run."""
    return train(CONFIG, data=people, output=tmp_path_factory.mktemp("served") / "people").path


@pytest.fixture(scope="session")
def loaded(served_run):
    return load(served_run)


@pytest.fixture(scope="session")
def rows(people):
    """All rows as JSON."""
    return people.select(INPUTS).to_pylist()


@pytest.fixture
def ask(loaded):
    """Send requests at the same time to a server of its own; return its responses."""
    import httpx

    from motet.serving import create_app

    def ask(*requests, limits=None, run=None):
        async def all_of_them():
            app = create_app(run or loaded, limits)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://here", timeout=None)
            async with app.router.lifespan_context(app), client:
                sent = [client.post("/predict", **each) for each in requests]
                return await asyncio.gather(*sent)

        return asyncio.run(all_of_them())

    return ask


@pytest.fixture
def listening():
    """Serve an app over HTTP in a thread; the context is its address."""
    import uvicorn

    from motet.serving.server import listening as bound

    @contextmanager
    def listening(app):
        socket = bound("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{socket.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            socket.close()

    return listening
