"""Runs that are not of one table of numbers are served, too: several sources, images, ensembles."""

import base64
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import motet
from motet.serving import Limits
from motet.serving.description import description
from motet.serving.requests import RequestModel

TRAINING = {"epochs": 1, "analysis": None}
ENCODER = {"encoder": {"hidden": [4]}}


def test_rows_are_like_those_of_one_of_several_sources(tmp_path, ask):
    rng = np.random.default_rng(0)
    shops = {"price": rng.normal(size=40), "sold": rng.normal(size=40)}
    people = {"age": rng.normal(size=40), "churn": rng.choice(["yes", "no"], 40)}
    config = {
        "inputs": {"price": "number", "age": "number"},
        "tasks": {
            "sold": {"type": "regression", "source": "shops"},
            "churn": {"type": "classification", "source": "people"},
        },
        "model": ENCODER,
        "training": TRAINING,
    }
    run = motet.train(config, data={"shops": shops, "people": people}, output=tmp_path / "run")
    served, mixed, lacking = ask(
        {"json": {"rows": [{"age": 1.0}, {"age": 2.0}], "tasks": ["churn"]}},
        {"json": {"rows": [{"age": 1.0}, {"price": 2.0}], "tasks": ["churn"]}},
        {"json": {"rows": [{"age": 1.0}], "tasks": ["sold"]}},
        run=run,
    )
    expected = run.predict({"age": [1.0, 2.0]}, tasks=["churn"]).to_pylist()
    assert served.json()["predictions"] == expected
    assert mixed.status_code == lacking.status_code == 422
    assert "the same columns in every row" in mixed.text
    assert "the data lack inputs of sold" in lacking.text


def test_the_columns_of_a_source_are_those_that_its_rows_have(tmp_path, ask):
    rng = np.random.default_rng(0)
    names = {"eur": 40, "w": 40, "h": 40}
    shops = {name: rng.normal(size=count) for name, count in names.items()}
    people = {"usd": rng.normal(size=40), "churn": rng.choice(["yes", "no"], 40)}
    for name, rows in (("shops", {**shops, "sold": shops["eur"]}), ("people", people)):
        pq.write_table(pa.table(rows), tmp_path / f"{name}.parquet")
    config = {
        "data": {
            "sources": {
                "shops": {"source": str(tmp_path / "shops.parquet")},
                "people": {
                    "source": str(tmp_path / "people.parquet"),
                    "inputs": {"price": "usd"},
                },
            }
        },
        "inputs": {
            "price": {"type": "number", "column": "eur"},
            "size": {"type": "vector", "columns": ["w", "h"], "encoder": "mlp"},
        },
        "tasks": {
            "sold": {"type": "regression", "source": "shops"},
            "churn": {"type": "classification", "source": "people"},
        },
        "model": ENCODER,
        "training": TRAINING,
    }
    run = motet.train(config, output=tmp_path / "run")
    described = description(run, RequestModel(run, Limits()), Limits())
    assert described["sources"] == {"shops": ["eur", "w", "h"], "people": ["usd"]}
    assert {each["name"]: each["inputs"] for each in described["columns"]} == {
        "eur": ["price"],
        "usd": ["price"],
        "w": ["size"],
        "h": ["size"],
    }
    (found,) = ask({"json": {"rows": [{"usd": 1.0}], "tasks": ["churn"]}}, run=run)
    expected = run.predict({"usd": [1.0]}, tasks=["churn"]).to_pylist()
    assert found.json()["predictions"] == expected


@pytest.mark.slow
def test_images_are_sent_as_base64(tmp_path, ask):
    image = pytest.importorskip("PIL.Image")

    def file(pixels):
        content = io.BytesIO()
        image.fromarray(pixels).save(content, "PNG")
        return content.getvalue()

    rng = np.random.default_rng(0)
    files = [file(rng.integers(0, 256, (8, 8), np.uint8)) for _ in range(30)]
    data = pa.table({"scan": files, "kind": ["a", "b"] * 15})
    config = {
        "inputs": {"scan": {"type": "image", "encoder": {"type": "cnn", "widths": [4]}}},
        "tasks": {"kind": "classification"},
        "training": TRAINING,
    }
    run = motet.train(config, data=data, output=tmp_path / "run")
    good = [{"scan": base64.b64encode(each).decode()} for each in files[:3]]
    damaged = {"scan": base64.b64encode(files[0][:40]).decode()}
    path = tmp_path / "scan.png"
    path.write_bytes(files[0])
    served, broken, named = ask(
        {"json": {"rows": good}},
        {"json": {"rows": [good[0], damaged]}},
        {"json": {"rows": [{"scan": str(path)}]}},
        run=run,
    )
    expected = run.predict(data.slice(0, 3)).to_pylist()
    for found, right in zip(served.json()["predictions"], expected, strict=True):
        assert found == {name: pytest.approx(value) for name, value in right.items()}
    assert broken.status_code == named.status_code == 422
    assert broken.json()["errors"][0]["row"] == 1
    assert "not base64" in named.text


@pytest.mark.slow
def test_an_ensemble_is_served_with_the_spread_of_its_members(tmp_path, ask, people, rows):
    names = ["age", "income", "city"]
    config = {
        "inputs": dict(zip(names, ["number", "number", "category"], strict=True)),
        "tasks": {"spend": "regression"},
        "model": ENCODER,
    }
    folders = [
        motet.train(
            config | {"training": {**TRAINING, "seed": seed}},
            data=people,
            output=tmp_path / f"{seed}",
        ).path
        for seed in (0, 1)
    ]
    run = motet.ensemble(folders, tmp_path / "both")
    (served,) = ask({"json": {"rows": rows[:4], "spread": True}}, run=run)
    expected = run.predict(people.select(names).slice(0, 4), spread=True).to_pylist()
    assert "spend_spread" in expected[0]
    assert served.json()["predictions"] == expected
