"""Runs on rows that are streamed: what is trained, printed, kept and refused."""

import json
import resource
import shutil
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from quick_cases import others_slow

import motet
import motet.run.stream_preparing
from motet.config import ConfigError
from motet.data.sources.file_streams import FileStream
from motet.problems import InputError
from motet.run.building import check
from motet.run.preparing import prepare
from motet.run.stream_prepared import PreparedStream
from motet.training import TrainingError

ROWS = 3000


def table(rows=ROWS, seed=0):
    draws = np.random.default_rng(seed)
    x = draws.normal(size=(rows, 3))
    job = draws.choice(["cook", "nurse", "smith"], rows)
    kind = np.where(x[:, 2] + (job == "cook") > 0, "a", "b")
    return pa.table(
        {
            **{f"x{n}": each for n, each in enumerate(x.T)},
            "job": job,
            "spend": pa.array(x @ [1, 2, 0], mask=draws.random(rows) < 0.2),
            "kind": kind,
            "counted": draws.integers(0, 5, rows),
            "weight": draws.random(rows) + 0.5,
        }
    )


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(table(), path, row_group_size=700)
    return path


def config(source, *, stream=True, **more):
    chosen = {
        "data": {"source": str(source), "stream": stream},
        "inputs": {"x0": "number", "x1": "number", "x2": "number", "job": "category"},
        "tasks": {"spend": {"type": "regression"}, "kind": {"type": "classification"}},
        "training": {"epochs": 2, "batch_size": 64, "device": "cpu"},
    }
    for section, content in more.items():
        chosen[section] = {**chosen.get(section, {}), **content}
    return chosen


def weights(run):
    return run.model.state_dict()


def test_a_run_trains_tests_and_prints_what_is_streamed(source, tmp_path):
    said = []
    run = motet.train(config(source), output=tmp_path / "run", say=said.append)
    text = "\n".join(said)
    assert "stream     rows of train, validation and test are read from disk," in text
    assert "3,000 rows: 2,094 train, 454 validation, 452 test" in text
    assert not (tmp_path / "run/cache").exists()
    report = run.evaluate(source, split="test")
    assert report["kind"]["auroc"] > 0.9
    predictions = pq.read_table(tmp_path / "run/predictions/test.parquet")
    assert len(predictions) == 452
    rows = table().take(predictions["row"])
    assert predictions["spend_true"].equals(rows["spend"])
    found = run.predict(rows)
    assert np.allclose(predictions["spend"], found["spend"], atol=1e-6)
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert last["tasks"]["kind"]["auroc"] == pytest.approx(report["kind"]["auroc"])
    with pytest.warns(UserWarning, match="trained on 2,094 of these 3,000 rows"):
        run.evaluate(source)
    assert "rows of train, validation and test" in (tmp_path / "run/model/README.md").read_text()


def test_what_is_learned_is_what_rows_in_memory_teach(source):
    """With the same training rows, marked in a column, statistics are the same."""
    rows = table()
    marks = np.where(np.arange(ROWS) % 5 == 0, "validation", "train")
    marks[::7] = "test"
    pq.write_table(rows.append_column("split", pa.array(marks)), source)
    extra = {
        "count": {"type": "count", "column": "counted"},
        "wide": {"type": "quantile", "column": "weight", "quantiles": [0.1, 0.9]},
    }
    chosen = config(source, stream=False, data={"split": {"column": "split"}}, tasks=extra)
    whole = prepare(chosen)
    chosen["data"]["stream"] = True
    parts = prepare(chosen)
    assert isinstance(parts, PreparedStream)
    one, other = (json.loads(each.preprocessing.to_json()) for each in (whole, parts))
    assert one["targets"] == other["targets"]
    assert one["strings"] == other["strings"]
    assert one["inputs"]["job"] == other["inputs"]["job"]
    assert whole.counts == parts.counts
    assert whole.tallies == parts.tallies
    with parts.blocks["test"].reader() as reader:
        found = reader.rows(parts.blocks["test"].pieces(0, whole.counts["test"]))
    rows = whole.rows.split.test
    assert np.array_equal(found["inputs"]["categories"], whole.inputs["categories"][rows])
    assert np.allclose(found["inputs"]["numbers"], whole.inputs["numbers"][rows], atol=1e-5)
    for task, labels in whole.labels("test").items():
        assert np.array_equal(found["targets"][task], labels, equal_nan=True)


@pytest.mark.parametrize("known", [0, 1])
def test_notes_on_inputs_are_those_of_rows_in_memory(tmp_path, monkeypatch, known):
    monkeypatch.setattr(FileStream.tables, "__defaults__", (100, None))  # parts of 100 rows
    split = np.repeat(["train", "validation", "test"], [300, 150, 50])
    job = np.where(split == "train", "cook", "smith")
    job[500 - known :] = "cook"
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"job": job, "split": split, "y": np.arange(500) % 7}), path)
    found = []
    for stream in (True, False):
        chosen = config(path) | {"inputs": {"job": "category"}, "tasks": {"y": "regression"}}
        marks = {"column": "split", "validation": "validation", "test": "test"}
        chosen["data"] = {"source": str(path), "stream": stream, "split": marks}
        found.append(prepare(chosen).notes)
    assert found[0] == found[1]
    assert ("199 of 500 rows" if known else "every validation and test row") in found[0][0]


def stop_at(monkeypatch, step):
    from motet.training import Trainer

    make = Trainer.train_step

    def stopping(self, batch):
        found = make(self, batch)
        if self.step == step:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Trainer, "train_step", stopping)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run that was cut off within its second epoch, and the weights of one that was not."""
    folder = tmp_path_factory.mktemp("interrupted")
    pq.write_table(table(1000), folder / "rows.parquet", row_group_size=250)
    training = {"epochs": 2, "batch_size": 64, "checkpoint_every": 5}
    chosen = config(folder / "rows.parquet", training=training)
    whole = weights(motet.train(chosen, output=folder / "whole"))
    with pytest.MonkeyPatch.context() as patched:
        stop_at(patched, 17)
        with pytest.raises(KeyboardInterrupt):
            motet.train(chosen, output=folder / "run")
    return chosen, folder / "run", whole


def ends_as_if_it_had_not_stopped(path, whole):
    found = weights(motet.resume(path))
    return all(each.equal(found[name]) for name, each in whole.items())


@pytest.mark.parametrize(
    "cache", others_slow(["there", "damaged"], ["there", "removed", "damaged", "without its index"])
)
def test_a_run_resumes_exactly_whatever_became_of_its_cache(interrupted, tmp_path, cache):
    _, path, whole = interrupted
    path = shutil.copytree(path, tmp_path / "run")
    assert (path / "cache/index.json").exists()
    if cache == "removed":
        for each in (path / "cache").iterdir():
            each.unlink()
        (path / "cache").rmdir()
    elif cache == "damaged":
        content = bytearray((path / "cache/train").read_bytes())
        content[1000] ^= 4
        (path / "cache/train").write_bytes(content)
    elif cache != "there":
        (path / "cache/index.json").unlink()
    assert ends_as_if_it_had_not_stopped(path, whole)


@contextmanager
def full_disk(monkeypatch, at):
    """Let the operating system refuse to write more than so many bytes into a file."""
    really, before = motet.run.stream_preparing.Writer, resource.getrlimit(resource.RLIMIT_FSIZE)

    def limited(path):
        resource.setrlimit(resource.RLIMIT_FSIZE, (at, before[1]))
        return really(path)

    with monkeypatch.context() as patched:
        patched.setattr("motet.run.stream_preparing.Writer", limited)
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("at", [5, 15_000])
def test_a_disk_that_is_full_while_rows_are_encoded_loses_nothing(
    interrupted, tmp_path, monkeypatch, at
):
    chosen, begun, whole = interrupted
    path = tmp_path / "run"
    with full_disk(monkeypatch, at), pytest.raises(TrainingError) as caught:
        motet.train(chosen, output=path)
    message = f"{path}/cache/train cannot be written: File too large; make room for it, then "
    assert str(caught.value) == message + "start again"
    assert not path.exists()
    shutil.copytree(begun, path)
    (path / "cache/index.json").unlink()
    with full_disk(monkeypatch, at), pytest.raises(TrainingError) as caught:
        motet.resume(path)
    assert str(caught.value) == message + f"continue with: motet resume {path}"
    assert ends_as_if_it_had_not_stopped(path, whole)


def test_other_rows_are_recognised_when_a_run_continues(source, tmp_path, monkeypatch):
    chosen = config(source, training={"epochs": 2, "batch_size": 64, "checkpoint_every": 5})
    with monkeypatch.context() as patched:
        stop_at(patched, 10)
        with pytest.raises(KeyboardInterrupt):
            motet.train(chosen, output=tmp_path / "run")
    pq.write_table(table(seed=1), source)
    with pytest.raises(InputError, match="the data are not those that the run began with"):
        motet.resume(tmp_path / "run")


def test_the_cache_stays_on_request(source, tmp_path):
    chosen = config(source, stream={"cache": "keep", "buffer": 500}, training={"epochs": 1})
    motet.train(chosen, output=tmp_path / "run")
    assert {each.name for each in (tmp_path / "run/cache").iterdir()} == {
        "train",
        "validation",
        "test",
        "index.json",
    }


def test_validation_needs_no_run_folder(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepared = check(config(source))
    assert prepared.counts["train"] == 2094
    assert [each.name for each in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_mistake_in_the_rows_leaves_no_run_folder(source, tmp_path):
    pq.write_table(pa.table({"x0": [1.0] * 50, "y": ["a"] * 50}), source)
    chosen = config(source) | {"inputs": {"x0": "number"}, "tasks": {"y": "classification"}}
    with pytest.raises(ConfigError, match="'a' in every labelled training row"):
        motet.train(chosen, output=tmp_path / "run")
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_errors_name_the_row_in_the_file(tmp_path):
    values = ["1.5"] * 70_000
    values[69_000] = "many"
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"x": values, "y": np.arange(70_000) % 7}), path)
    chosen = config(path) | {"inputs": {"x": "number"}, "tasks": {"y": {"type": "regression"}}}
    with pytest.raises(ConfigError, match="'many' in row 69,000"):
        prepare(chosen)


def test_conditions_and_weights(source, tmp_path):
    tasks = {
        "spend": {"type": "regression", "row_weight": "weight"},
        "kind": {"type": "classification", "rows": "counted > 1"},
    }
    said = []
    chosen = config(source, training={"epochs": 1}) | {"tasks": tasks}
    run = motet.train(chosen, output=tmp_path / "run", say=said.append)
    marked = pa.table(table())
    text = "\n".join(said)
    assert "where counted > 1" in text
    counts = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])["tasks"]
    predictions = pq.read_table(tmp_path / "run/predictions/test.parquet")
    rows = marked.take(predictions["row"])
    assert counts["kind"]["count"] == int((rows["counted"].to_numpy() > 1).sum())
    assert run.evaluate(source, split="test")["kind"]["count"] == counts["kind"]["count"]


def test_texts_and_auxiliary_tasks_are_streamed(tmp_path):
    draws = np.random.default_rng(0)
    words = ["good", "bad", "fine", "poor", "very", "so"]
    texts = [" ".join(draws.choice(words, draws.integers(1, 30))) for _ in range(400)]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": texts, "y": ["good" in t for t in texts]}), path)
    chosen = config(path) | {
        "inputs": {"text": "text"},
        "tasks": {"y": "classification", "masked": "masked_language_modelling"},
    }
    run = motet.train(chosen, output=tmp_path / "run")
    assert run.evaluate(path, split="test")["y"]["auroc"] > 0.8


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"data": {"split": {"time": "x0"}}}, "data.split.time: found 'x0' beside stream"),
        ({"data": {"split": {"stratify": "kind"}}}, "stratify needs all rows"),
        ({"data": {"split": {"folds": 3}}}, "folds trains on all rows several times"),
        ({"tasks": {"r": {"type": "ranking", "column": "weight", "query": "counted"}}}, "compares"),
        ({"scheduling": {"type": "task_balanced"}}, "TaskBalanced and a stream; expected rows in"),
        ({"training": {"cache_frozen": True}}, "found true beside stream"),
        ({"data": {"split": {"validation": 1e-9}}}, "none of which is in the validation split"),
    ],
)
def test_what_needs_all_rows_is_refused_with_the_reason(source, more, message):
    chosen = config(source)
    for section, content in more.items():
        chosen[section] = {**chosen.get(section, {}), **content}
    with pytest.raises(ConfigError, match=message):
        check(chosen)


def test_several_sources_are_refused(source):
    chosen = config(source)
    chosen["data"] = {"stream": True, "sources": {n: {"source": str(source)} for n in "ab"}}
    for name, task in zip("ab", chosen["tasks"].values(), strict=True):
        task["source"] = name
    with pytest.raises(ConfigError, match="found 2 sources, whose rows cannot be streamed yet"):
        check(chosen)


def test_sources_of_ones_own_say_what_they_lack(source, tmp_path):
    class Mine(motet.data.sources.Source):
        def read(self, strings=()):
            return table()

    chosen = config(source)
    del chosen["data"]["source"]
    with pytest.raises(ConfigError, match="Mine cannot be read in parts; define stream"):
        check(chosen, data=Mine())
    run = motet.train(chosen, data=table(), output=tmp_path / "run")
    assert run.evaluate(table(), split="test")["kind"]["auroc"] > 0.9
