"""Rows in parts: the same rows, of the same types, as the whole table has."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from motet.data.sources import Source, as_source, read
from motet.data.sources.streams import TableStream, TakenRows
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


CELLS = [["1", "0"], ["true"], ["2", "77"], ["1.5", "inf"], ["2020-01-01"], ["2020-01-01 10:00"]]
CELLS += [["2020-01-01T10:00:00Z"], ["10:00"], ["NA", ""], ['"NA"', '""'], ["x", "007"], ["  3 "]]
VALUES = [["1", "0"], ["true"], ["1.5", "1e3"], ['"2020-01-01"'], ["null"], ['"NA"', '""'], ['"x"']]
VALUES += [["[1]", "[]"], ["[1.5]"], ['["2020-01-01"]', '["a"]'], ['{"q": 1}'], ['{"r": "x"}']]


def mostly(rng: random.Random, kinds: list[list[str]], count: int) -> list[str]:
    """Draw cells of one kind, and a few of others, which change the type of the whole column."""
    usual, *others = rng.sample(kinds, rng.choice([1, 2, 3]))
    kind = [rng.choice([usual, *others]) if rng.random() < 0.04 else usual for _ in range(count)]
    return [rng.choice(each) for each in kind]


@pytest.mark.parametrize("seed", range(60))
def test_csv_files_have_the_types_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    columns = [mostly(rng, CELLS, 80) for _ in range(4)]
    path = tmp_path / "rows.csv"
    path.write_text(
        "a,b,c,d\n" + "".join(",".join(row) + "\n" for row in zip(*columns, strict=True))
    )
    whole = read(path, strings=("d",))
    monkeypatch.setattr("motet.data.sources.csv_files._BLOCK", 200)
    assert in_parts(path, 33, ("d",)).equals(whole)


@pytest.mark.parametrize("seed", range(60))
def test_json_lines_have_the_types_of_the_whole_or_the_same_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    columns = [mostly(rng, VALUES, 50) for _ in range(3)]
    rows = [
        [f'"{name}": {value}' for name, value in zip("abc", row, strict=True) if rng.random() < 0.9]
        for row in zip(*columns, strict=True)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join("{" + ", ".join(row) + "}\n" for row in rows))

    def found(reading: Callable[..., pa.Table], *more: object) -> pa.Table | str:
        try:
            return reading(path, *more)
        except InputError as error:
            return str(error)

    whole = found(lambda path: read(path, strings=("c",)))
    monkeypatch.setattr("motet.data.sources.json_lines._BLOCK", 100)
    parts = found(in_parts, 33, ("c",))
    assert type(parts) is type(whole)
    if isinstance(whole, pa.Table):
        assert parts.equals(whole)


def test_a_file_that_is_not_csv_is_refused_as_when_it_is_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    for content in ("a,b\n1,2\n1,2,3\n", "a;b\n1;2\n", "a,b\n", '{"a": 1}\n', "a\n\xff\n"):
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(InputError) as whole:
            read(path)
        with pytest.raises(InputError) as parts:
            as_source(path).stream()
        assert str(parts.value) == str(whole.value)


def test_a_column_of_texts_in_another_encoding_is_refused_when_it_is_to_stay_text(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("a\ncaf\u00e9\n".encode("latin-1"))
    for reading in (read, in_parts):
        with pytest.raises(InputError, match=r"is not UTF-8 text \(first seen in line 2\)"):
            reading(path, strings=("a",))


def test_some_rows_of_a_stream() -> None:
    table = pa.table({"x": np.arange(100), "y": np.arange(100) * 2})
    rows = np.array([0, 7, 8, 50, 99])
    taken = TakenRows(TableStream(table), rows)
    assert taken.count == 5
    assert [each["x"].to_pylist() for each in taken.tables(3)] == [[0, 7, 8], [50, 99]]
    assert [each.column_names for each in taken.tables(9, ["y"])] == [["y"]]
