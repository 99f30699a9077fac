"""A finished run reads rows in parts, and gives what it gives for all rows at once."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from quick_cases import others_slow

import motet
from motet.data.sources import Source, read
from motet.problems import InputError
from motet.run import predict_to_file
from motet.run.origin_rows import Fingerprint, _digest

ROWS = 10_000


def table(rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pa.table(
        {
            "x": x,
            "city": np.array(["Kyoto", "Lima"])[rng.integers(0, 2, rows)],
            "spend": x + rng.normal(size=rows),
            "churn": np.where(x > 0.3, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = {
        "tasks": {"spend": "regression", "churn": {"type": "classification", "metrics": ["auroc"]}},
        "training": {"epochs": 1},
    }
    return motet.train(config, data=table(600, 1), output=tmp_path_factory.mktemp("run") / "run")


@pytest.fixture
def in_parts(monkeypatch):
    return lambda size: monkeypatch.setattr("motet.run.runs.ROWS_OF_TABLES", size)


def test_predictions_in_parts_of_whole_batches_are_those_at_once_to_the_last_bit(run, in_parts):
    whole = run.predict(table())
    in_parts(4096)
    assert run.predict(table()).equals(whole)


def test_an_evaluation_in_parts_is_that_at_once(run, in_parts):
    whole = run.evaluate(table())
    in_parts(4096)
    found = run.evaluate(table())
    for task in ("spend", "churn"):
        assert found[task] == pytest.approx(whole[task], rel=1e-12)


@pytest.mark.parametrize("suffix", others_slow([".csv", ".jsonl"], [".csv", ".parquet", ".jsonl"]))
def test_a_file_is_predicted_part_by_part(run, in_parts, tmp_path, suffix):
    in_parts(4096)
    pq.write_table(table(), tmp_path / "rows.parquet")
    lines = []
    path = tmp_path / f"found{suffix}"
    assert predict_to_file(run, tmp_path / "rows.parquet", path, step=lines.append) == ROWS
    assert lines == ["4,096 of 10,000 rows", "8,192 of 10,000 rows", "10,000 of 10,000 rows"]
    found, expected = read(path).to_pydict(), run.predict(table()).to_pydict()
    assert list(found) == list(expected)
    assert found["churn"] == expected["churn"]
    np.testing.assert_allclose(found["spend"], expected["spend"], rtol=1e-12)


def test_a_row_of_a_later_part_is_named_by_its_line_and_leaves_no_file(run, in_parts, tmp_path):
    in_parts(4096)
    rows = table().to_pandas()
    rows.loc[9000, "x"] = np.inf
    rows.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(InputError, match=r"row 9,000 \(line 9,002 of .*rows.csv\)"):
        predict_to_file(run, tmp_path / "rows.csv", tmp_path / "found.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_notes_and_unseen_labels_add_up_over_parts(run, in_parts, tmp_path):
    in_parts(4096)
    rows = table().to_pandas()
    rows.loc[[10, 9000], "churn"] = "maybe"
    rows.loc[5000, "churn"] = "never"
    rows.loc[:4999, "city"] = "Oslo"
    rows.to_csv(tmp_path / "rows.csv", index=False)
    report = run.evaluate(tmp_path / "rows.csv")
    assert report.notes["churn"] == (
        "labels that no training row has count as missing: 'maybe' (2), 'never' (1)"
    )
    assert report["churn"]["count"] == ROWS - 3
    assert any("5,000 of 10,000 rows" in note for note in run.notes)


def test_rows_of_training_are_recognised_in_parts(run, in_parts):
    in_parts(100)
    with pytest.warns(UserWarning, match="trained on 420 of these 600 rows"):
        run.evaluate(table(600, 1))
    assert run.evaluate(table(600, 1), split="test")["spend"]["count"] == 90


def test_lists_of_labels_are_recognised_whatever_the_longest_of_a_part():
    tags = np.array([[1, -100, -100], [0, 1, 1], [1, 1, -100]], np.int32)
    known = Fingerprint(3, 2, "", {"tags": _digest(tags)})
    assert known.like_parts(lambda: iter([{"tags": tags[:1, :1]}, {"tags": tags[1:]}]), 3)
    other = tags[1:].copy()
    other[1, 1] = 0
    assert not known.like_parts(lambda: iter([{"tags": tags[:1, :1]}, {"tags": other}]), 3)


def test_a_source_of_ones_own_needs_no_stream(run):
    class Mine(Source):
        def read(self, strings=()):
            return table(20)

    assert run.predict(Mine()).equals(run.predict(table(20)))


def test_rankings_are_evaluated_with_all_rows_at_once(in_parts, tmp_path):
    rng = np.random.default_rng(0)
    rows = {"x": rng.normal(size=300), "query": np.tile(np.arange(30), 10)}
    rows["click"] = (rows["x"] + rng.normal(size=300) > 0).astype(int)
    task = {"click": {"type": "ranking", "query": "query"}}
    config = {"tasks": task, "inputs": {"x": "number"}, "training": {"epochs": 1}}
    run = motet.train(config, data=rows, output=tmp_path / "run")
    new = {**rows, "x": rows["x"] + 0.1, "click": rows["click"][::-1]}
    whole, scores = run.evaluate(new), run.predict(new)
    in_parts(64)
    assert run.evaluate(new)["click"] == whole["click"]
    assert run.predict(new)["click"].to_pylist() == pytest.approx(scores["click"].to_pylist())


def test_an_ensemble_reads_parts_too(in_parts, tmp_path):
    config = {
        "tasks": {"spend": "regression", "churn": "classification"},
        "data": {"split": {"folds": 2}},
        "training": {"epochs": 1},
    }
    run = motet.train(config, data=table(300, 2), output=tmp_path / "run")
    whole, predicted = run.evaluate(table(200)), run.predict(table(200))
    in_parts(64)
    found = run.evaluate(table(200))
    for task in ("spend", "churn"):
        assert found[task] == pytest.approx(whole[task], rel=1e-5)
    spend = run.predict(table(200))["spend"].to_pylist()
    assert spend == pytest.approx(predicted["spend"].to_pylist(), rel=1e-5)
