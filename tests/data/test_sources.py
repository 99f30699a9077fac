"""Reading rows from files, frames and arrays, and what is said when they cannot be read."""

import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from motet.data.inference import infer_inputs
from motet.data.selection import matching, require_columns
from motet.data.sources import read
from motet.problems import InputError

CSV = "age,job\n30,cook\n,nurse\n"


def message(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


def written(folder, content, name="rows.csv"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_path_may_be_a_text_and_is_relative_to_the_base(tmp_path):
    written(tmp_path, CSV)
    assert read("rows.csv", tmp_path).to_pydict() == {"age": [30, None], "job": ["cook", "nurse"]}


@pytest.mark.parametrize("name", ["rows.parquet", "rows.pq", "ROWS.PARQUET"])
def test_parquet_is_read_by_its_suffix(tmp_path, name):
    pq.write_table(pa.table({"age": [30, None]}), tmp_path / name)
    assert read(tmp_path / name).to_pydict() == {"age": [30, None]}


def test_lists_of_categories_in_several_row_groups_are_read(tmp_path):
    kind = pa.list_(pa.dictionary(pa.int32(), pa.string()))
    tags = [["a"], ["b", "a"], None, [], ["c"]]
    table = pa.table({"tags": pa.array(tags, kind)})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=2)
    assert read(tmp_path / "rows.parquet").to_pydict() == {"tags": tags}


@pytest.mark.parametrize("kind", ["texts", "words"])
def test_a_text_of_a_parquet_file_that_is_not_utf8_is_named_by_its_row(tmp_path, kind):
    offsets = pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0")
    bad = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"ok\xff\xfe")])
    if kind == "words":
        bad = pa.ListArray.from_arrays([0, 1, 2], bad)
    pq.write_table(pa.table({"review": bad}), tmp_path / "rows.parquet")
    said = message(read, tmp_path / "rows.parquet")
    assert "column 'review' has a text in row 1 that is not UTF-8; read it in its own" in said


def test_a_bundled_data_set_has_a_name():
    assert len(read("motet://adult")) == 48_842
    assert "did you mean 'adult'" in message(read, "motet://adlut")


def test_na_is_missing_without_quotes_and_a_text_in_quotes(tmp_path):
    path = written(tmp_path, 'country\nNA\n"NA"\n""\nNaN\nDE\n')
    assert read(path)["country"].to_pylist() == [None, "NA", None, None, "DE"]


SPELLINGS = [" ", "\t ", "NA", "N/A", "n/a", "nan", "NaN", "null", "NULL", "<NA>", ""]


def as_csv(folder, columns):
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    return written(folder, "\n".join(lines) + "\n")


def as_parquet(folder, columns):
    texts = {name: list(map(str, values)) for name, values in columns.items()}
    pq.write_table(pa.table({**texts, "row": columns["row"]}), folder / "rows.parquet")
    return folder / "rows.parquet"


def as_json_lines(folder, columns):
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return written(folder, "\n".join(map(json.dumps, rows)), "rows.jsonl")


def as_pandas(folder, columns):
    return pytest.importorskip("pandas").DataFrame(columns)


@pytest.mark.parametrize("form", [as_csv, as_parquet, as_json_lines, as_pandas, lambda _, c: c])
def test_an_empty_cell_is_the_same_in_all_forms_of_data(tmp_path, form):
    count = len(SPELLINGS)
    columns = {
        "row": list(range(100, 100 + count + 2)),
        "number": [1.5, *SPELLINGS, 2.5],
        "word": ["cook", *SPELLINGS, "nurse"],
        "never": [*SPELLINGS, " ", "NA"],
    }
    table = read(form(tmp_path, columns))
    assert table["number"].to_pylist() == [1.5, *[None] * count, 2.5]
    assert table["word"].to_pylist() == ["cook", *[None] * count, "nurse"]
    assert table["never"].to_pylist() == [None] * (count + 2)
    assert {guess.column: guess.type for guess in infer_inputs(table)} == {
        "row": "number",
        "number": "number",
        "word": "category",
        "never": None,
    }


def test_texts_that_look_like_numbers_stay_texts_where_the_data_have_types():
    table = read({"zip": ["7", "12", "3"], "code": ["007", "", "012"], "kept": ["7", "", "8"]})
    assert table["zip"].to_pylist() == ["7", "12", "3"]
    assert table["code"].to_pylist() == ["007", None, "012"]
    assert read({"kept": ["7", "", "8"]}, strings=["kept"])["kept"].to_pylist() == ["7", None, "8"]


def test_a_quoted_na_is_missing_among_numbers(tmp_path):
    assert read(written(tmp_path, '"a"\n"1"\n"NA"\n" "\n'))["a"].to_pylist() == [1, None, None]


def test_a_blank_cell_among_truth_values_or_dates_of_a_csv_file_hides_none(tmp_path):
    table = read(written(tmp_path, "a,b\ntrue,2020-01-01\n ,  \nfalse,2020-01-02\n"))
    assert table["a"].to_pylist() == [True, None, False]
    assert pa.types.is_date(table["b"].type)


def test_numbers_in_quotes_are_numbers_even_with_empty_ones_among_them(tmp_path):
    table = read(written(tmp_path, '"a","b"\n"1","0.5"\n"",""\n"3","2"\n'))
    assert table.to_pydict() == {"a": [1, None, 3], "b": [0.5, None, 2.0]}


def test_columns_named_as_strings_stay_texts(tmp_path):
    path = written(tmp_path, 'zip,n\n"007",1\n012,2\n"",3\n')
    assert read(path, strings=["zip", "absent"])["zip"].to_pylist() == ["007", "012", None]


def test_line_breaks_and_commas_within_quotes_belong_to_the_value(tmp_path):
    assert read(written(tmp_path, 'a,b\n"x\ny","p,q"\n')).to_pydict() == {
        "a": ["x\ny"],
        "b": ["p,q"],
    }


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    assert read(written(tmp_path, "\ufeffage\n1\n")).column_names == ["age"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ["is empty"]),
        ("\n \n", ["is empty"]),
        ("a,b\n", ["has no rows", "a, b"]),
        ("a,b\n1,2\n1,2,3\n", ["row 1 (line 3 of the file) has 3 values, expected 2", "quotes"]),
        ('a,b\n"x\n",2\n\n1,2,3\n', ["row 1 (line 5 of the file) has 3 values, expected 2"]),
        ("a,a\n1,2\n", ["more than one column named 'a'", "rename"]),
        ("a,\n1,2\n", ["column 2 of 2 has no name"]),
        ("a;b\n1;2\n", ["semicolons", "expected commas"]),
        ("a\tb\n1\t2\n", ["tabs"]),
        ("a,b\n1,x\n2,\u00e9\n".encode("latin-1"), ["not UTF-8", "line 3", "iconv"]),
        ("\u00e9,b\n1,x\n".encode("latin-1"), ["not UTF-8", "line 1"]),
        ("a\n1\n".encode("utf-16"), ["UTF-16"]),
        (b"PK\x03\x04rest", ["Excel", "not CSV"]),
        (b"a,b\n\x00\x01,\x02\n", ["binary"]),
    ],
)
def test_a_bad_csv_file_is_named_with_the_place_and_the_remedy(tmp_path, content, said):
    path = written(tmp_path, content)
    found = message(read, path)
    assert all(part in found for part in [*said, "rows.csv"]), found


def test_a_file_that_is_not_what_its_suffix_says_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    parquet = (tmp_path / "a.parquet").read_bytes()
    assert "is a Parquet file, not CSV" in message(read, written(tmp_path, parquet))
    assert "rename it to .csv" in message(read, written(tmp_path, CSV, "b.parquet"))
    damaged = written(tmp_path, parquet[:-20], "c.parquet")
    assert "damaged Parquet file" in message(read, damaged)


def test_a_file_that_is_not_there_is_told_with_its_neighbours(tmp_path):
    written(tmp_path, CSV, "customers.csv")
    assert "customers.csv?" in message(read, "custmers.csv", tmp_path)
    assert "data files in" in message(read, "zzz.csv", tmp_path)
    assert "nor the folder" in message(read, "none/rows.csv", tmp_path)
    assert "expected a file; give " in message(read, tmp_path)
    assert ".csv or .parquet" in message(read, "rows.xlsx", tmp_path)


def test_arrays_become_columns_and_matrices_become_lists():
    table = read({"x": np.array([1.5, np.nan]), "m": np.ones((2, 3), np.float32), "s": ["a", None]})
    assert table["x"].to_pylist() == [1.5, None]
    assert table.schema.field("m").type == pa.list_(pa.float32(), 3)
    assert table["s"].to_pylist() == ["a", None]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"a": [1, 2], "b": [1]}, "different lengths: 'a' 2, 'b' 1"),
        ({"a": np.zeros((2, 2, 2, 2, 2))}, "shape (2, 2, 2, 2, 2)"),
        ({"a": 3}, "expected an array"),
        ({"a": [1, "x", 2]}, "column 'a' mixes numbers (2) and texts (1), first 'x' in row 1"),
        ({"a": [1, [2]]}, "column 'a' cannot be read"),
        ({"a": []}, "has no rows"),
        ({}, "no rows"),
        ({1: [1], "1": [2]}, "more than one column named '1'"),
    ],
)
def test_arrays_that_are_no_columns_are_refused(columns, said):
    assert said in message(read, columns)


def test_what_is_no_table_at_all_is_refused():
    assert "expected a path, a frame" in message(read, 5)


RARE = {
    "dictionary": pa.array(["a", None]).dictionary_encode(),
    "large": pa.array(["a", None], pa.large_string()),
    "view": pa.array(["a", None], pa.string_view()),
    "decimal": pa.array([Decimal("1.50"), None]),
    "half": pa.array([1.5, float("nan")], pa.float16()),
    "nan": pa.array([1.5, float("nan")]),
    "infinite": pa.array([float("inf"), 1.0]),
    "large_list": pa.array([[1.0], None], pa.large_list(pa.float64())),
    "view_list": pa.array([[1.0], None], pa.list_view(pa.float64())),
    "words": pa.array([["a"], None], pa.large_list(pa.large_string())),
}
PLAIN = {
    "dictionary": (pa.string(), ["a", None]),
    "large": (pa.string(), ["a", None]),
    "view": (pa.string(), ["a", None]),
    "decimal": (pa.float64(), [1.5, None]),
    "half": (pa.float32(), [1.5, None]),
    "nan": (pa.float64(), [1.5, None]),
    "infinite": (pa.float64(), [float("inf"), 1.0]),
    "large_list": (pa.list_(pa.float64()), [[1.0], None]),
    "view_list": (pa.list_(pa.float64()), [[1.0], None]),
    "words": (pa.list_(pa.string()), [["a"], None]),
}


@pytest.mark.parametrize("name", list(RARE))
def test_rare_types_become_plain_ones_with_the_same_values(name):
    column = read(pa.table({name: RARE[name]}))[name]
    assert (column.type, column.to_pylist()) == PLAIN[name]


def test_run_end_encoding_is_undone():
    encoded = pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["a", "b"]))
    assert read(pa.table({"a": encoded}))["a"].to_pylist() == ["a", "a", "b"]


def test_a_frame_of_pandas_loses_its_index_and_its_nans():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "x": [1.0, float("nan")],
            "job": pandas.Categorical(["cook", None]),
            "n": pandas.array([1, None], dtype="Int64"),
            3: ["a", None],
        },
        index=["r1", "r2"],
    )
    table = read(frame)
    assert table.to_pydict() == {
        "x": [1.0, None],
        "job": ["cook", None],
        "n": [1, None],
        "3": ["a", None],
    }
    assert table.schema.metadata is None


def test_frames_of_pandas_that_are_no_tables_are_refused_with_the_column():
    pandas = pytest.importorskip("pandas")
    twice = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    assert "more than one column named 'a'" in message(read, twice)
    mixed = pandas.DataFrame({"good": [1, 2], "bad": [1, "x"]})
    assert "column 'bad' mixes numbers (1) and texts (1), first 'x'" in message(read, mixed)
    assert "expected a frame" in message(read, mixed["bad"])


def test_a_frame_of_polars_is_read_and_a_lazy_one_too():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"x": [1.0, float("nan")], "s": ["a", None]})
    frame = frame.with_columns(c=polars.Series(["u", "v"], dtype=polars.Categorical))
    assert read(frame).to_pydict() == {"x": [1.0, None], "s": ["a", None], "c": ["u", "v"]}
    assert read(frame.lazy()).equals(read(frame))


def test_all_missing_columns_are_named_at_once_with_near_matches():
    table = pa.table({"age": [1], "job": ["a"]})
    found = message(require_columns, table, ["agee", "age", "salary"], "inputs")
    assert found == (
        "inputs: the data have no column 'agee' (did you mean 'age'?), 'salary'; columns: age, job"
    )


def test_many_columns_are_not_all_listed():
    table = pa.table({f"c{number}": [1] for number in range(500)})
    assert "and 480 more" in message(require_columns, table, ["zzz"], "inputs")


def test_a_pattern_takes_columns_in_their_order_and_a_very_name_is_no_pattern():
    there = ["b_1", "a", "b_0", "b_*"]
    assert matching("b_*", there, "x") == ("b_*",)
    assert matching("b_?", there, "x") == ("b_1", "b_0", "b_*")
    assert matching(["a", "b_[01]", "a"], there, "x") == ("a", "b_1", "b_0")
    assert "no column matches 'z_*'" in message(matching, "z_*", there, "x")


def test_a_parquet_file_whose_names_are_no_text_is_damaged(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"abcd": [1, 2]}), path)
    path.write_bytes(path.read_bytes().replace(b"abcd", b"\xff\xffcd"))
    assert "damaged Parquet file" in message(read, path)
