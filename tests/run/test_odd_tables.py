"""Tables at the edge of what is sensible, by name; `test_fuzz` looks for more."""

import pyarrow as pa
import pytest
import yaml

import motet
from motet.problems import InputError
from motet.run import check, initialise

TINY = {
    "model": {"encoder": {"hidden": [4]}},
    "training": {"epochs": 1, "batch_size": 16, "device": "cpu", "monitor": "loss"},
}


def config(**tasks):
    return {"tasks": tasks, **TINY}


def refused(table, settings):
    with pytest.raises(InputError) as caught:
        check(settings, data=table)
    return str(caught.value)


@pytest.mark.slow
def test_two_thousand_columns_are_begun_checked_and_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = {f"c{place}": [row * place % 7 for row in range(40)] for place in range(2000)}
    columns["y"] = ["a", "b"] * 20
    pa.csv.write_csv(pa.table(columns), "wide.csv")
    path = initialise("wide.csv", ["y"], "wide.yaml")
    settings = {**yaml.safe_load(path.read_text()), **TINY}
    run = motet.train(settings, output=tmp_path / "run")
    assert run.predict(pa.table(columns)).num_rows == 40


def test_one_row_and_one_column_are_refused():
    assert "1 rows are too few" in refused({"x": [1], "y": [2]}, config(y="regression"))
    found = refused({"y": ["a", "b"] * 9}, config(y="classification"))
    assert "at least one column that the model can see" in found


def test_constant_columns_are_not_used_and_constant_targets_refused():
    numbers = [(7 * row) % 97 for row in range(30)]
    table = {"x": numbers, "same": [1] * 30, "y": [3] * 30, "z": ["a", "b"] * 15}
    prepared = check(config(z="classification"), data={**table, "y": numbers})
    assert list(prepared.config.inputs) == ["x", "y"]
    assert "nothing to learn" in refused(table, config(y="regression"))


def test_labels_and_categories_that_training_had_not_are_missing_and_unknown(tmp_path):
    part = ["train"] * 20 + ["validation"] * 4 + ["test"] * 4
    table = {
        "part": part,
        "job": ["cook", "nurse"] * 12 + ["pilot"] * 4,
        "y": ["a", "b"] * 11 + ["c"] * 2 + ["a", "b"] * 2,
    }
    settings = {**config(y="classification"), "data": {"split": {"column": "part"}}}
    run = motet.train(settings, data=table, output=tmp_path / "run", say=(said := []).append)
    assert any("labels that no training row has" in line for line in said)
    later = {"job": ["astronaut", None, "cook"], "part": part[:3]}
    assert set(run.predict(later)["y"].to_pylist()) <= {"a", "b"}


def test_files_by_a_pattern_are_trained_on_and_stay_a_pattern(tmp_path):
    for place in range(3):
        rows = [f"{row},{'ab'[row % 2]}" for row in range(place, place + 15)]
        (tmp_path / f"part{place}.csv").write_text("\n".join(["x,y", *rows]))
    path = tmp_path / "config.yaml"
    for source in ("part*.csv", ["part0.csv", "part[12].csv"]):
        settings = {"data": {"source": source}, **config(y="classification")}
        path.write_text(yaml.safe_dump(settings))
        said = []
        run = motet.train(path, output=tmp_path / str(len(source)), say=said.append)
        assert "45 rows" in said[0]
        resolved = run.path / "config.yaml"
        assert len(check(resolved).rows.table) == 45
        assert str(tmp_path) in resolved.read_text()
        assert "*" in resolved.read_text() or "[12]" in resolved.read_text()
