"""What a server answers is what `motet predict` writes, whoever asks at the same time."""

import json
import sys

import pyarrow as pa
import pyarrow.json
import pytest

from motet import cli
from motet.serving import Limits


def predictions(response):
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


def near(found, expected):
    """Compare rows whose numbers may differ in their last bits, as other rows were beside them."""
    assert [list(each) for each in found] == [list(each) for each in expected]
    for one, other in zip(found, expected, strict=True):
        for name, value in one.items():
            right = (
                pytest.approx(other[name], abs=1e-5) if isinstance(value, float) else other[name]
            )
            assert value == right, name


def expected(run, rows, **options):
    return run.predict(pa.Table.from_pylist(rows), **options).to_pylist()


@pytest.mark.parametrize(
    "options",
    [{}, {"tasks": ["spend"]}, {"intervals": 0.9}, {"tasks": ["churn"], "intervals": 0.8}],
)
def test_predictions_are_bit_for_bit_those_of_the_command_line(
    served_run, rows, ask, tmp_path, monkeypatch, options
):
    file, output = tmp_path / "rows.jsonl", tmp_path / "predictions.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    flags = []
    for name, value in options.items():
        flags += [f"--{name}", ",".join(value) if isinstance(value, list) else str(value)]
    arguments = ["motet", "predict", str(served_run), str(file), "--output", str(output), *flags]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 0
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert predictions(ask({"json": {"rows": rows, **options}})[0]) == written


def test_64_clients_at_once_each_get_their_own_rows_and_tasks(loaded, rows, ask):
    chosen = [{"tasks": ["churn"]}, {"tasks": ["spend"]}, {}, {"intervals": 0.9}]
    requests = [
        {"rows": rows[3 * n : 3 * n + 1 + n % 3], **chosen[n % len(chosen)]} for n in range(64)
    ]
    found = ask(*({"json": each} for each in requests))
    for request, response in zip(requests, found, strict=True):
        near(predictions(response), expected(loaded, **request))


def test_requests_that_are_not_joined_do_not_differ_in_a_bit(loaded, rows, ask):
    requests = [{"rows": [each]} for each in rows[:40]]
    found = ask(*({"json": each} for each in requests), limits=Limits(batch_rows=1))
    assert [predictions(each) for each in found] == [expected(loaded, **each) for each in requests]


@pytest.mark.slow
def test_a_burst_of_10_000_rows_loses_none(loaded, rows, ask):
    """Half of them in one request, the others in a hundred at the same time."""
    many = [rows[n % len(rows)] for n in range(5_000)]
    requests = [{"rows": many}, *({"rows": many[n : n + 50]} for n in range(0, 5_000, 50))]
    found = [predictions(each) for each in ask(*({"json": each} for each in requests))]
    once = expected(loaded, rows)
    whole = [once[n % len(rows)] for n in range(5_000)]
    near(found[0], whole)
    near([row for each in found[1:] for row in each], whole)


def test_rows_that_cannot_be_predicted_do_not_harm_the_requests_beside_them(loaded, rows, ask):
    from motet import InputError

    class Strict:
        """A run that finds in the rows what no type of JSON shows."""

        def __getattr__(self, name):
            return getattr(loaded, name)

        def predict(self, table, **options):
            if 13.0 in table["age"].to_pylist():
                raise InputError("row 0: found the age 13")
            return loaded.predict(table, **options)

    wrong = {"json": {"rows": [{**rows[0], "age": 13}]}}
    right = [{"json": {"rows": [each]}} for each in rows[:10]]
    refused, *answered = ask(wrong, *right, run=Strict())
    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"message": "row 0: found the age 13"}]
    for each, row in zip(answered, rows, strict=False):
        near(predictions(each), expected(loaded, [row]))
