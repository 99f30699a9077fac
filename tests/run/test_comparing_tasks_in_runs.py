"""Rankings and triplets, whose losses compare rows, in whole runs from a config."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from power_cuts import cut_short
from quick_cases import others_slow

import motet
from motet.config import ConfigError
from motet.problems import InputError
from motet.run.initialising import initial_config


def made_up(rows=600, seed=0):
    """Results of searches, of which those with a high ``match`` are clicked; and who searched."""
    rng = np.random.default_rng(seed)
    search = rng.integers(0, 80, rows)
    match, price = rng.normal(size=(2, rows))
    clicks = np.clip(np.round(match + rng.normal(size=80)[search]), 0, 3)
    person = search % 9
    looks = rng.normal(size=(9, 3))[person] + 0.3 * rng.normal(size=(rows, 3))
    return {
        "search": np.array([f"s{i}" for i in search]),
        "match": match,
        "price": price,
        **{f"look_{i}": looks[:, i] for i in range(3)},
        "clicks": np.where(rng.random(rows) < 0.1, np.nan, clicks),
        "person": np.array([f"p{i}" for i in person]),
        "spend": price + 0.1 * rng.normal(size=rows),
    }


CONFIG = {
    "tasks": {
        "clicks": {"type": "ranking", "query": "search", "metrics": ["ndcg", "ndcg@3", "map"]},
        "person": {"type": "triplet", "width": 4},
        "spend": {"type": "regression"},
    },
    "model": {"encoder": {"type": "mlp", "hidden": [32]}},
    "training": {
        "epochs": 6,
        "batch_size": 64,
        "optimizer": {"learning_rate": 1e-2},
        "checkpoint_every": 2,
    },
}


def test_a_run_ranks_embeds_and_predicts(tmp_path):
    rows = made_up()
    lines = []
    run = motet.train(CONFIG, rows, output=tmp_path / "run", say=lines.append)
    text = "\n".join(lines)
    assert "the rows of each 'search' are in one split, as a ranking compares them" in text
    assert "training rows by 'search'" in text
    assert "inputs     match" in text  # and not the search
    report = run.evaluate(rows, split="test")
    assert report["clicks"]["ndcg"] > 0.8
    assert report["clicks"]["ndcg@3"] > report.trivial["clicks"]["ndcg@3"]
    assert report["person"]["recall_at_1"] > 0.5
    loaded = motet.load(run.path / "model")
    given = {name: rows[name] for name in rows if name not in ("clicks", "person", "spend")}
    given.pop("search")  # a score needs no query
    table = loaded.predict(given)
    assert table.column_names == ["clicks", "person", "spend"]
    assert table["clicks"].type == pa.float64()
    assert table["person"].type == pa.list_(pa.float32())
    assert {len(each) for each in table["person"].to_pylist()} == {4}
    kept = pq.read_table(run.path / "predictions" / "test.parquet")
    assert {"clicks_true", "person_true", "row"} <= set(kept.column_names)
    of_search = rows["search"][kept["row"].to_numpy()]
    others = np.delete(rows["search"], kept["row"].to_numpy())
    assert not set(of_search) & set(others)


@pytest.mark.parametrize("after", others_slow([5], [1, 5, 9]))
def test_a_run_that_was_stopped_in_an_epoch_is_resumed_bit_for_bit(tmp_path, monkeypatch, after):
    pq.write_table(pa.table(made_up()), tmp_path / "rows.parquet")
    config = {**CONFIG, "data": {"source": str(tmp_path / "rows.parquet")}}
    whole = motet.train(config, output=tmp_path / "whole")
    cut_short(config, tmp_path / "parts", monkeypatch, after)
    parts = motet.resume(tmp_path / "parts")
    for file in ("model/model.safetensors", "predictions/test.parquet"):
        assert (parts.path / file).read_bytes() == (whole.path / file).read_bytes()


def test_the_loss_of_a_run_counts_lists(tmp_path):
    rows = made_up()
    rows["search"][:5] = [f"alone{i}" for i in range(5)]
    config = {**CONFIG, "tasks": {"clicks": {"type": "ranking", "query": "search"}}}
    lines = []
    run = motet.train(config, rows, output=tmp_path / "run", say=lines.append)
    assert "of them with one row have nothing to put in order" in " ".join("\n".join(lines).split())
    record = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert set(record["tasks"]["clicks"]) == {"ndcg", "mrr", "map", "loss", "count"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"query": None}, "tasks.clicks.query: missing; expected the column that names the query"),
        ({"query": "serch"}, "no column 'serch' (did you mean 'search'?)"),
        ({"query": "row"}, "queries in 'row' has one training row"),
        ({"form": "listwise", "weighting": "ndcg"}, "applies only with form: pairwise"),
        ({"metrics": ["ndcg@0"]}, "expected a whole number of positions after @"),
        ({"metrics": ["spend@3"]}, "is not known"),
    ],
)
def test_a_mistake_is_one_error_at_its_key(changes, words):
    rows = {**made_up(), "row": np.arange(600)}
    task = {"type": "ranking", "query": "search", **changes}
    task = {key: value for key, value in task.items() if value is not None}
    with pytest.raises(ConfigError) as caught:
        motet.train({**CONFIG, "tasks": {"clicks": task}}, rows)
    assert words in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_list_in_two_splits_is_refused():
    rows = {**made_up(), "split": np.array(["train", "test"] * 300)}
    config = {**CONFIG, "data": {"split": {"column": "split"}}}
    with pytest.raises(ConfigError, match=r"with rows in several splits.*row 0 in train"):
        motet.train(config, rows)


def test_a_ranking_has_one_source_and_a_triplet_may_have_several(tmp_path):
    for name, seed in (("one", 0), ("two", 1)):
        pq.write_table(pa.table(made_up(300, seed)), tmp_path / f"{name}.parquet")
    both = {n: {"source": str(tmp_path / f"{n}.parquet")} for n in ("one", "two")}
    config = {
        "data": {"sources": both},
        "tasks": {
            "clicks": {"type": "ranking", "query": "search", "source": ["one", "two"]},
            "person": {"type": "triplet", "width": 2, "source": ["one", "two"]},
        },
        "inputs": {"match": "number", "price": "number", "look_0": "number", "look_1": "number"},
        "training": {"epochs": 1, "batch_size": 64},
    }
    with pytest.raises(ConfigError, match=r"tasks.clicks.source: found one, two, which number"):
        motet.train(config)
    config["tasks"]["clicks"]["source"] = "one"
    run = motet.train(config, output=tmp_path / "run")
    record = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert 80 < record["tasks"]["person"]["count"] < 100  # the test rows of both


def test_negative_relevance_is_named_with_its_row():
    rows = made_up()
    rows["clicks"][17] = -1
    with pytest.raises(ConfigError, match="found the relevance -1 in row 17"):
        motet.train(CONFIG, rows)


def test_a_config_is_proposed_with_the_query_and_a_split_by_it(tmp_path):
    rows = pa.table(made_up())
    pq.write_table(rows, tmp_path / "rows.parquet")
    source = str(tmp_path / "rows.parquet")
    found = yaml.safe_load(initial_config(source, ["clicks:ranking", "person:triplet"]))
    assert found["tasks"]["clicks"] == {"type": "ranking", "query": "search"}
    assert found["tasks"]["person"] == {"type": "triplet"}
    assert found["data"]["split"]["group"] == "search"
    assert "search" not in found["inputs"]
    other = rows.rename_columns([n.replace("search", "lists") for n in rows.column_names])
    other = other.drop_columns(["person"])
    pq.write_table(other, tmp_path / "rows.parquet")
    found = yaml.safe_load(initial_config(source, ["clicks:ranking:match"]))
    assert found["tasks"]["clicks"]["query"] == "match"
    other = other.drop_columns(["lists"])
    pq.write_table(other, tmp_path / "rows.parquet")
    with pytest.raises(InputError, match="clicks:ranking:COLUMN"):
        initial_config(source, ["clicks:ranking"])


def test_an_input_of_a_config_is_the_second_view_of_a_contrastive_task(tmp_path):
    pq.write_table(pa.table(made_up(200)), tmp_path / "rows.parquet")
    config = {
        "data": {"source": str(tmp_path / "rows.parquet")},
        "inputs": {"match": "number", "look": {"type": "vector", "columns": "look_*"}},
        "tasks": {"spend": "regression", "same": {"type": "contrastive", "views": "look"}},
        "training": {"epochs": 2},
    }
    run = motet.train(config, output=tmp_path / "run")
    assert np.isfinite(run.history.curve("same", "loss", "train")).all()
    config["tasks"]["same"]["views"] = "looks"
    with pytest.raises(ConfigError, match=r"tasks\.same\.views: found 'looks'; .*mean 'look'"):
        motet.train(config, output=tmp_path / "other")
