"""Rows in parts: the same rows, of the same types, as the whole table has."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from motet.data.sources import Source, as_source, read
from motet.problems import InputError


def in_parts(given: object, rows: int = 7, strings: tuple[str, ...] = ()) -> pa.Table:
    """Read a source in parts, and check that each has the rows and types it should have."""
    stream = as_source(given).stream(strings)
    parts = list(stream.tables(rows))
    assert all(part.schema == stream.schema for part in parts)
    assert [len(part) for part in parts[:-1]] == [rows] * (len(parts) - 1)
    found = pa.concat_tables(parts)
    assert len(found) == stream.count
    return found


def test_parts_of_a_frame_are_its_rows() -> None:
    rows = {"x": np.arange(20.0), "word": ["a", ""] * 10}
    assert in_parts(rows).equals(read(rows))


def test_parts_of_parquet_files_are_those_of_the_whole(tmp_path: Path) -> None:
    rows = 300_000
    texts = [str(n % 7) for n in range(rows)]
    late = [*texts[:-1], " "]  # only now the texts are numbers
    columns = {
        "number": np.where(np.arange(rows) % 5 == 0, np.nan, np.arange(rows)),
        "word": pa.array(["a", "NA", " "] * (rows // 3)).dictionary_encode(),
        "digits": texts,
        "late": late,
        "code": [*("007", "")] * (rows // 2),
        "none": [""] * rows,
        "wide": pa.array([1] * (rows - 1) + [2**63], pa.uint64()),
        "narrow": pa.array([1] * rows, pa.uint64()),
        "list": pa.array([[1.0, 2.0]] * rows, pa.large_list(pa.float32())),
    }
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=100_000)
    whole = read(path)
    assert in_parts(path, 70_001).equals(whole)
    assert [str(whole[name].type) for name in ("digits", "late", "wide", "narrow")] == [
        "string",
        "int64",
        "double",
        "int64",
    ]
    assert in_parts(path, 70_001, ("late",)).equals(read(path, strings=("late",)))


def test_files_agree_on_types(tmp_path: Path) -> None:
    for name, values in (("a", [1, 2]), ("b", [2.5, None])):
        pq.write_table(pa.table({"x": values, "y": values}), tmp_path / f"{name}.parquet")
    for name, values in (("c", ["7", ""]), ("d", ["seven", ""])):
        pq.write_table(pa.table({"y": [0, 1], "x": values}), tmp_path / f"{name}.parquet")
    for pattern in ("[ab].parquet", "[cd].parquet", "[abc].parquet"):
        places = str(tmp_path / pattern)
        assert in_parts(places, 3).equals(read(places))


def test_a_source_without_parts_says_what_to_do() -> None:
    class Mine(Source):
        def read(self, strings: object = ()) -> pa.Table:
            return pa.table({"x": [1]})

    with pytest.raises(
        InputError, match=r"Mine cannot be read in parts; define stream\(\) in Mine"
    ):
        Mine().stream()


def test_texts_of_other_encodings_are_named_by_their_row_in_the_file(tmp_path: Path) -> None:
    good = pa.array(["é"] * 70_000)
    bad = pa.array([b"\xe9"], pa.binary()).view(pa.string())
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"x": pa.chunked_array([good, bad])}), path)
    with pytest.raises(InputError, match="row 70,000 that is not UTF-8"):
        as_source(path).stream()
