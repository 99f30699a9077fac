"""Runs whose groups of tasks are found while training: what they print, keep and report."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from power_cuts import cut_short
from quick_cases import others_slow
from small_runs import records, weights

import motet
from motet.problems import InputError
from tests.planted_blocks import BLOCKS, TASKS, planted

BLOCKS_FOUND = tuple(map(tuple, BLOCKS))


def table(rows=400, seed=0):
    x, y = planted(seed, rows)
    columns = {f"x{number}": x[:, number].numpy() for number in range(x.shape[1])}
    return columns | {task: each.numpy() for task, each in y.items()}


def config(by="gradients", sharing="soft", **training):
    groups = {"by": by, "number": 2}
    return {
        "tasks": dict.fromkeys(TASKS, "regression"),
        "model": {
            "encoder": {"type": "mlp", "hidden": [16]},
            "sharing": {"type": sharing, "groups": groups},
        },
        "training": {"epochs": 2, "batch_size": 32, "device": "cpu", **training},
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    lines = []
    output = tmp_path_factory.mktemp("runs") / "run"
    return motet.train(config(), data=table(), output=output, say=lines.append), lines


def test_a_run_prints_groups_when_they_change(told):
    _, lines = told
    found = [line for line in lines if line.startswith("groups")]
    assert found == ["groups     epoch 1, by gradients: a, c, e | b, d, f"]


def test_epoch_records_and_the_analysis_have_every_refresh(told):
    run, _ = told
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    epochs = [r for r in map(json.loads, lines) if r["event"] == "epoch" and r["split"] == "train"]
    assert [record["groups"]["changed"] for record in epochs] == [True, False]
    found = motet.load(run.path).analysis()
    assert [each.epoch for each in found.refreshes] == [1, 2]
    assert all(each.groups == BLOCKS_FOUND and each.by == "gradients" for each in found.refreshes)
    last = found.refreshes[-1].similarity
    assert last.tasks == TASKS
    assert np.array_equal(last.matrix, found.similarity.matrix, equal_nan=True)
    assert motet.load(run.path).model.sharing.groups == BLOCKS


def test_the_report_shows_them(told):
    run, _ = told
    page = run.report().read_text(encoding="utf-8")
    assert "Found by gradients 2 times, and changed once" in page
    assert "Similarity of tasks at the end of epoch 2" in page
    assert ">a, c, e<" in page


def test_groups_found_by_other_means_are_in_the_analysis_alone(tmp_path):
    run = motet.train(config("data"), data=table(), output=tmp_path / "run")
    found = run.analysis()
    assert np.isnan(found.similarity.matrix).all()
    assert len(found.refreshes) == 2
    assert found.refreshes[0].similarity.counts.min() > 50
    with pytest.raises(InputError):
        run.suggest_groups()


@pytest.mark.parametrize("after", others_slow([9], [2, 9]))
def test_a_run_that_was_cut_short_goes_on_bit_for_bit(tmp_path, monkeypatch, after):
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table(table(200)), "rows.parquet")
    chosen = config("performance", checkpoint_every=3) | {"data": {"source": "rows.parquet"}}
    (tmp_path / "config.yaml").write_text(json.dumps(chosen))
    whole = motet.train("config.yaml", output="whole")
    cut_short(tmp_path / "config.yaml", tmp_path / "parts", monkeypatch, after)
    parts = motet.resume("parts")
    assert weights(parts.path) == weights(whole.path)
    assert records(parts.path) == records(whole.path)
    assert (parts.path / "analysis.json").read_text() == (whole.path / "analysis.json").read_text()


def test_folds_and_streams_find_groups(tmp_path):
    chosen = config("performance") | {"data": {"split": {"folds": 2}}}
    run = motet.train(chosen, data=table(200), output=tmp_path / "folds")
    assert all((fold / "analysis.json").is_file() for fold in (run.path / "folds").iterdir())
    pq.write_table(pa.table(table(300)), tmp_path / "rows.parquet")
    streamed = {"source": str(tmp_path / "rows.parquet"), "stream": True}
    run = motet.train(config("data") | {"data": streamed}, output=tmp_path / "stream")
    assert len(run.analysis().refreshes) == 2


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"type": "mmoe"}, "model.sharing.groups", r"suggest_groups\(\)"),
        ({"groups": {"by": "data", "number": 6}}, "model.sharing.groups.number", "fewer groups"),
        ({"groups": {"by": "data", "number": 2, "every": 2}}, "groups.every", "before 2"),
        ({"groups": {"by": "labels", "number": 2}}, "model.sharing.groups.by", "'labels'"),
        ({"groups": {"by": "data"}}, "model.sharing.groups.number", "missing"),
        ({"groups": {"a": ["b"]}}, "model.sharing.groups.a", "known: by, number, every"),
        ({"task_embedding": 8}, "task_embedding", "remove task_embedding"),
    ],
)
def test_mistakes_have_their_place(change, key, message, tmp_path):
    chosen = config()
    chosen["model"]["sharing"] |= change
    with pytest.raises(InputError, match=f"(?s){key}.*{message}"):
        motet.train(chosen, data=table(100), output=tmp_path / "run")
