"""Predictions written to a file are read back as they were."""

import json

import pyarrow as pa
import pytest

from motet.data.sources import read
from motet.run import write_predictions

TABLE = pa.table(
    {
        "churn": ["yes", "nö", 'a "quoted"\nline'],
        "churn_probability_yes": [0.9, 0.1, 1 / 3],
        "spend": [1.5, float("nan"), 3.0],
        "tags": [["red", "big"], [], ["red"]],
        "digit": [7, 8, 9],
    }
)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_what_is_written_is_read_back(tmp_path, suffix):
    path = tmp_path / f"predictions{suffix}"
    write_predictions(TABLE, path)
    expected = {**TABLE.to_pydict(), "spend": [1.5, None, 3.0]}
    assert read(path).to_pydict() == expected


def test_json_lines_are_strict_json_one_object_per_row(tmp_path):
    path = tmp_path / "predictions.jsonl"
    write_predictions(TABLE, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert "NaN" not in lines[1]
    assert json.loads(lines[1])["spend"] is None
    assert "nö" in lines[1]


def test_csv_joins_the_labels_of_a_list(tmp_path):
    path = tmp_path / "predictions.csv"
    write_predictions(TABLE, path)
    assert read(path)["tags"].to_pylist() == ["red;big", None, "red"]
