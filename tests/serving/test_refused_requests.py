"""Requests that cannot be answered get a status and the row, input and reason; never a 500."""

import asyncio
import json
import threading
import time
from contextlib import AsyncExitStack
from http.client import HTTPConnection

import httpx
import pytest
from starlette.requests import Request

from motet.serving import Limits, create_app
from motet.serving.body import Bodies
from motet.serving.refusals import Busy

JSON = {"Content-Type": "application/json"}


def refused(response, status):
    assert response.status_code == status, response.text
    return response.json()["errors"]


def test_every_wrong_value_is_reported_with_its_row_and_its_input(rows, ask):
    wrong = [rows[0], {**rows[1], "age": "old"}, {**rows[2], "city": ["Lima"]}]
    first, second = refused(ask({"json": {"rows": wrong}})[0], 422)
    assert (first["row"], first["input"], first["column"]) == (1, "age", "age")
    assert first["message"] == "row 1, input 'age': found 'old'; expected a number or null"
    assert (second["row"], second["input"]) == (2, "city")


def test_a_column_that_is_not_there_and_one_that_is_unknown_are_reported(rows, ask):
    row = {"agee": 3, **{name: rows[0][name] for name in ("income", "city")}}
    missing, unknown = refused(ask({"json": {"rows": [row]}})[0], 422)
    assert "column 'age' is not there" in missing["message"]
    assert "did you mean 'age'?" in unknown["message"]


def test_of_many_problems_the_first_are_reported(ask):
    found = refused(ask({"json": {"rows": [3] * 50}})[0], 422)
    assert [each.get("row") for each in found] == [*range(20), None]
    assert found[-1]["message"] == "and more problems"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": []}, "expected a list of one row"),
        ({"rows": {"age": 3}}, "expected a list of one row"),
        ({"rows": [3]}, "row 0: found 3; expected an object"),
        ({"rows": [{}]}, "column 'age' is not there"),
        ({"tasks": ["chrn"]}, "did you mean 'churn'?"),
        ({"tasks": []}, "expected a list of names"),
        ({"tasks": "churn"}, "expected a list of names"),
        ({"intervals": 90}, "expected a number between 0 and 1"),
        ({"intervals": 0.9999}, "0.9999"),
        ({"spread": True}, "a single model predicts"),
        ({"path": "rows.csv"}, "found the key 'path'"),
    ],
)
def test_a_wrong_request_is_refused_with_what_was_expected(rows, ask, change, words):
    found = refused(ask({"json": {"rows": rows[:1], **change}})[0], 422)
    assert words in found[0]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b"\xff", 400),
        (b"null", 422),
        (b'{"rows": [NaN]}', 400),
        (b'{"rows": [{"age": 1e999, "income": 1, "city": null}]}', 422),
        (b'{"rows": [{"age": ' + b"9" * 400 + b', "income": 1, "city": null}]}', 422),
        (b'{"rows": [{"age": ' + b"9" * 5_000 + b"}]}", 400),
        (b'{"rows": [{"age": 1, "income": 1, "city": "\\ud800"}]}', 400),
        (b'{"rows": [{"age": 1, "income": 1, "city": "\\u0000"}]}', 200),
    ],
)
def test_no_body_breaks_the_server(ask, body, status):
    (found,) = ask({"content": body, "headers": JSON})
    assert found.status_code == status, found.text


def test_more_rows_or_bytes_than_allowed_and_other_types_of_content_are_refused(rows, ask):
    limits = Limits(rows=10, queue_rows=10, megabytes=0.002)
    many, large, unannounced, form = ask(
        {"json": {"rows": rows[:11]}},
        {"content": b" " * 3_000, "headers": JSON},
        {"content": _pieces(), "headers": JSON},
        {"data": {"rows": "1"}},
        limits=limits,
    )
    assert "expected at most 10" in refused(many, 413)[0]["message"]
    assert "2,000 bytes" in refused(large, 413)[0]["message"]
    refused(unannounced, 413)
    refused(form, 415)


def test_a_client_that_sends_too_much_sees_why(loaded, listening):
    """The body is larger than what systems hold back for a connection."""
    with listening(create_app(loaded, Limits(megabytes=2))) as address:
        for kind, status in (("application/json", 413), ("text/plain", 415)):
            headers = {"Content-Type": kind}
            found = httpx.post(f"{address}/predict", content=b" " * 12_000_000, headers=headers)
            refused(found, status)


def test_an_error_of_the_server_is_answered_without_its_traceback(loaded, rows, ask):
    class Broken:
        def __getattr__(self, name):
            return getattr(loaded, name)

        def predict(self, table, **options):
            raise RuntimeError("secret")

    (found,) = ask({"json": {"rows": rows[:1]}}, run=Broken())
    assert "the server failed" in refused(found, 500)[0]["message"]
    assert "secret" not in found.text


async def _pieces():
    for _ in range(30):
        yield b" " * 100


class Waiting:
    """A run that predicts once it may, and remembers how many rows."""

    def __init__(self, run):
        self._run, self.computed = run, []
        self.computing, self.may = threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self._run, name)

    def predict(self, table, **options):
        self.computing.set()
        assert self.may.wait(60)
        self.computed.append(len(table))
        return self._run.predict(table, **options)


def test_a_full_queue_answers_503_and_what_waits_is_still_answered(loaded, rows):
    """The model waits until the queue is full, so that the order of events is known."""
    run = Waiting(loaded)

    async def clients():
        app = create_app(run, Limits(rows=4, queue_rows=8, batch_rows=1))
        transport = httpx.ASGITransport(app)
        client = httpx.AsyncClient(transport=transport, base_url="http://here", timeout=None)
        async with app.router.lifespan_context(app), client:
            body = {"rows": rows[:4]}
            sent = [asyncio.ensure_future(client.post("/predict", json=body))]
            await asyncio.to_thread(run.computing.wait)
            sent += [asyncio.ensure_future(client.post("/predict", json=body)) for _ in range(11)]
            while sum(each.done() for each in sent) < 9:  # one is computed, and two wait
                await asyncio.sleep(0.001)
            waiting = (await client.get("/metrics")).text
            run.may.set()
            return await asyncio.gather(*sent), waiting

    found, waiting = asyncio.run(clients())
    assert sorted(each.status_code for each in found) == [200] * 3 + [503] * 9
    assert "motet_queue_rows 8\n" in waiting
    refusal = next(each for each in found if each.status_code == 503)
    assert refusal.headers["Retry-After"] == "1"
    assert "the queue is full" in refusal.json()["errors"][0]["message"]


def test_a_request_whose_client_has_gone_is_not_computed(loaded, rows, listening):
    run = Waiting(loaded)

    def post(count):
        return httpx.post(f"{address}/predict", json={"rows": rows[:count]}, timeout=60)

    def is_shown(text):
        for _ in range(1_000):
            if text in httpx.get(f"{address}/metrics").text:
                return True
            time.sleep(0.02)
        return False

    with listening(create_app(run, Limits(batch_rows=1))) as address:
        first = threading.Thread(target=post, args=(1,))
        first.start()
        assert run.computing.wait(60)
        leaving = HTTPConnection(address.removeprefix("http://"), timeout=60)
        leaving.request("POST", "/predict", json.dumps({"rows": rows[:2]}), JSON)
        assert is_shown("motet_queue_rows 2\n")
        leaving.close()
        assert is_shown('motet_requests_total{path="/predict",status="499"} 1')
        run.may.set()
        assert len(post(3).json()["predictions"]) == 3
        first.join()
    assert run.computed == [1, 3]


def test_a_body_that_does_not_arrive_is_given_up(ask):
    async def slow():
        yield b"{"
        await asyncio.sleep(3600)

    (found,) = ask({"content": slow(), "headers": JSON}, limits=Limits(body_seconds=0.05))
    assert "0.05 seconds" in refused(found, 408)[0]["message"]


def test_bodies_count_for_the_limit_of_all_until_they_are_parsed():
    limits = Limits(megabytes=0.001)
    bodies = Bodies(limits)

    def request(size):
        async def receive():
            return {"type": "http.request", "body": b" " * size}

        headers = [(b"content-type", b"application/json")]
        return Request({"type": "http", "method": "POST", "headers": headers}, receive)

    async def several():
        async with AsyncExitStack() as parsed:
            for _ in range(4):
                await parsed.enter_async_context(bodies.read(request(limits.bytes)))
            with pytest.raises(Busy, match="too many large requests"):
                async with bodies.read(request(1)):
                    pass
        async with bodies.read(request(limits.bytes)) as body:
            return len(body)

    assert asyncio.run(several()) == limits.bytes


def test_an_address_with_a_slash_at_its_end_is_not_redirected_to_the_host_of_a_header(loaded):
    async def found():
        transport = httpx.ASGITransport(create_app(loaded))
        async with httpx.AsyncClient(transport=transport, base_url="http://elsewhere") as client:
            return await client.post("/predict/", json={})

    assert "POST /predict/ is not served" in refused(asyncio.run(found()), 404)[0]["message"]


def test_the_documented_type_of_a_request_is_that_which_is_answered(loaded, rows, ask):
    jsonschema = pytest.importorskip("jsonschema")
    app = create_app(loaded)
    documented = app.openapi()["paths"]["/predict"]["post"]["requestBody"]["content"]
    schema = documented["application/json"]["schema"]
    good = [{"rows": rows[:3]}, {"rows": rows[:1], "tasks": ["churn"], "intervals": 0.9}]
    bad = [{"rows": [{**rows[0], name: value}]} for name, value in WRONG]
    bad += [{"rows": [{}]}, {"rows": rows[:1], "tasks": ["chrn"]}, {"row": rows[:1]}]
    found = ask(*({"json": each} for each in (*good, *bad)))
    for request, response in zip((*good, *bad), found, strict=True):
        fits = jsonschema.Draft202012Validator(schema).is_valid(request)
        assert (response.status_code == 200) == fits, request


WRONG = [("age", "3"), ("age", []), ("city", {}), ("agee", 3)]


def test_limits_that_make_no_sense_are_refused():
    from motet import InputError

    with pytest.raises(InputError, match="batch_rows: found 0; expected a number > 0"):
        Limits(batch_rows=0)
    with pytest.raises(InputError, match="wait_ms: found inf; expected a number >= 0, at most"):
        Limits(wait_ms=float("inf"))
    with pytest.raises(InputError, match="queue_rows: found 5, but a request may have 10,000 rows"):
        Limits(queue_rows=5)
