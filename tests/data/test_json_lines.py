"""Reading JSON lines, and what is said about lines that are none."""

import json

import pyarrow as pa
import pytest

from motet.data.sources import as_source, read, stream_of
from motet.problems import InputError


def written(folder, content, name="rows.jsonl"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def message(path):
    with pytest.raises(InputError) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "ROWS.JSONL"])
def test_a_line_is_a_row_and_its_keys_are_the_columns(tmp_path, name):
    path = written(tmp_path, '{"age": 30, "job": "cook"}\n{"job": null, "age": 2.5}\n', name)
    assert read(path).to_pydict() == {"age": [30.0, 2.5], "job": ["cook", None]}


def test_a_key_left_out_is_missing_and_lists_become_lists(tmp_path):
    table = read(written(tmp_path, '{"clip": [1, 2.5], "tags": ["red"]}\n{"clip": [3, 4]}\n'))
    assert table.to_pydict() == {"clip": [[1.0, 2.5], [3.0, 4.0]], "tags": [["red"], None]}


@pytest.mark.parametrize(
    "content", ['{"a": 1}\n\n  \n{"a": 2}', '\ufeff{"a": 1}\r\n\r\n{"a": 2}\r\n']
)
def test_empty_lines_and_byte_order_marks_are_nothing(tmp_path, content):
    assert read(written(tmp_path, content)).to_pydict() == {"a": [1, 2]}


def test_a_line_of_several_megabytes_is_read(tmp_path):
    rows = '{"a": "x"}\n' * 9 + '{"a": "' + "y" * 3_000_000 + '"}\n' + '{"a": "z"}\n' * 9
    assert read(written(tmp_path, rows))["a"].to_pylist()[-1] == "z"


def test_dates_stay_texts_where_training_had_texts(tmp_path):
    path = written(tmp_path, '{"a": "2020-01-01", "b": "2020-01-01"}\n')
    table = read(path, strings=["a", "absent"])
    assert table["a"].to_pylist() == ["2020-01-01"]
    assert pa.types.is_timestamp(table["b"].type)
    numbers = written(tmp_path, '{"a": 7}\n')
    assert read(numbers, strings=["a"])["a"].to_pylist() == [7]


def test_times_with_a_zone_and_dates_in_lists_stay_texts(tmp_path):
    """Arrow would forget the zone, and make other values of what other files have as texts."""
    zoned, plain = "2026-07-01T10:00:00+02:00", "2026-07-01T10:00:00"
    rows = [{"a": zoned, "b": plain, "c": ["2026-07-01"]}, {"a": plain, "b": None, "c": []}]
    path = written(tmp_path, "\n".join(map(json.dumps, rows)))
    (streamed,) = stream_of(as_source(path)).tables()
    for table in (read(path), streamed):
        assert table["a"].to_pylist() == [zoned, plain]
        assert pa.types.is_timestamp(table["b"].type)
        assert table["c"].to_pylist() == [["2026-07-01"], []]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ["is empty"]),
        ("null\n", ["line 1 is 'null'", "one object per line"]),  # alone it crashes Arrow
        ('{"a": 1}\n[1]\n', ["line 2 is '[1]'", "one object per line"]),
        ('[{"a": 1}]', ["line 1", "one object per line"]),
        ('{\n"a": 1\n}', ["line 1 is '{'", "one object per line"]),
        ('{"a": 1}\n\n{"a": tru}\n', ["line 3", "one object per line"]),
        ('{"a": 1}\n{"a": "x"}\n', ["column 'a' is a text in line 2, but a number in line 1"]),
        (
            '{"a": true}\n{"a": null}\n{"a": 0}\n',
            ["a number in line 3, but a truth value in line 1"],
        ),
        ('{"a": 1, "a": 2}\n', ["line 1", "the key 'a' is there twice"]),
        ('{"a": [1, "x"]}\n', ["correct that row"]),
        (b'{"a": "ok"}\n{"a": "\xff"}\n', ["line 2 is not UTF-8"]),
        (b'{"\xff": 1}\n', ["line 1 is not UTF-8"]),
        ('{"a": "\\ud800"}\n', ["surrogate", "correct that row"]),
        ("{}\n{}\n", ["has no rows (columns: none)"]),
        ("PAR1", ["a Parquet file, not JSON lines"]),
    ],
)
def test_a_bad_file_is_named_with_the_line_and_the_remedy(tmp_path, content, said):
    found = message(written(tmp_path, content))
    assert all(part in found for part in [*said, "rows.jsonl"]), found


def test_json_in_a_csv_file_is_told_to_be_renamed(tmp_path):
    assert "rename it to .jsonl" in message(written(tmp_path, '{"a": 1}\n{"a": 2}\n', "rows.csv"))


def test_nested_objects_can_be_read_and_are_refused_where_they_are_used(tmp_path):
    from motet.data.inference import infer_inputs

    table = read(written(tmp_path, '{"a": {"b": 1}, "c": 1}\n{"a": {"b": 2}, "c": 2}\n'))
    guesses = {guess.column: guess for guess in infer_inputs(table)}
    assert guesses["c"].type == "number"
    assert guesses["a"].type is None
    assert "nested objects" in guesses["a"].reason
