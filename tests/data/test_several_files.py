"""Patterns and lists of files: one table, in a known order, of files that go together."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from motet.data.sources import absolute, read
from motet.data.sources.uniting import unite
from motet.problems import InputError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b.csv").write_text("x,y\n3,c\n")
    (tmp_path / "a.csv").write_text("y,x\na,1\nb,2.5\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.csv").write_text("x,y\n9,z\n")
    return tmp_path


def message(call, *args):
    with pytest.raises(InputError) as caught:
        call(*args)
    return str(caught.value)


def test_a_pattern_reads_its_files_in_the_order_of_their_names(folder):
    assert read("*.csv", folder).to_pydict() == {"y": ["a", "b", "c"], "x": [1.0, 2.5, 3.0]}
    assert read("**/*.csv", folder)["y"].to_pylist() == ["a", "b", "c", "z"]
    assert read(folder / "[b]*.csv")["y"].to_pylist() == ["c"]


def test_a_list_reads_its_files_in_its_own_order(folder):
    expected = ["c", "a", "b"]
    assert read(["b.csv", "a.csv"], folder)["y"].to_pylist() == expected
    assert read((folder / "b.csv", folder / "a.csv"))["y"].to_pylist() == expected
    assert read(["sub/*.csv", "b.csv"], folder)["y"].to_pylist() == ["z", "c"]


def test_a_file_whose_very_name_has_brackets_is_no_pattern(tmp_path):
    (tmp_path / "rows[1].csv").write_text("x\n1\n")
    assert read("rows[1].csv", tmp_path)["x"].to_pylist() == [1]


def test_patterns_work_in_a_folder_whose_name_has_brackets(tmp_path):
    odd = tmp_path / "run[1]"
    odd.mkdir()
    (odd / "a.csv").write_text("x\n1\n")
    assert read("*.csv", odd)["x"].to_pylist() == [1]
    assert read(absolute("*.csv", odd))["x"].to_pylist() == [1]


def test_what_is_text_in_one_csv_file_is_text_in_all(tmp_path):
    (tmp_path / "a.csv").write_text("zip\n007\n012\n")
    (tmp_path / "b.csv").write_text("zip\n1a\n")
    assert read("*.csv", tmp_path)["zip"].to_pylist() == ["007", "012", "1a"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, None], [2.5], [1.0, None, 2.5]),
        ([None], ["a"], [None, "a"]),
        ([True], [None], [True, None]),
        ([[1]], [[0.5, 2.0]], [[1.0], [0.5, 2.0]]),
        ([2**60], [0.5], [float(2**60), 0.5]),
    ],
)
def test_types_that_go_together_become_one(one, other, expected):
    assert (
        unite({"a": pa.table({"x": one}), "b": pa.table({"x": other})})["x"].to_pylist() == expected
    )


def test_files_that_do_not_go_together_are_named_with_the_column(folder):
    (folder / "d.csv").write_text("x,z\n1,2\n")
    found = message(read, ["a.csv", "d.csv"], folder)
    assert "d.csv has no 'y', and a.csv has no 'z'" in found
    pq.write_table(pa.table({"x": ["one"], "y": ["a"]}), folder / "e.parquet")
    pq.write_table(pa.table({"x": [True], "y": ["a"]}), folder / "f.parquet")
    found = message(read, ["e.parquet", "f.parquet"], folder)
    assert "the column 'x' holds truth values in f.parquet, but texts" in found


def test_no_match_and_a_file_twice_are_refused(folder):
    assert "no file matches the pattern" in message(read, "*.parquet", folder)
    assert "a.csv twice" in message(read, ["*.csv", "./a.csv"], folder)
    assert "expected a path" in message(read, [])
    assert "expected a path" in message(read, [1])


def test_absolute_places_mean_the_same_from_any_folder(folder, monkeypatch):
    places = absolute(["*.csv", "a.csv", "motet://adult", str(folder / "b.csv")], folder)
    assert places == [
        str(folder / "*.csv"),
        str(folder / "a.csv"),
        "motet://adult",
        str(folder / "b.csv"),
    ]
    monkeypatch.chdir(Path("/"))
    assert len(read(absolute("*.csv", folder))) == 3
    (folder / "new.csv").write_text("x,y\n4,n\n")
    assert len(read(absolute("*.csv", folder))) == 4
