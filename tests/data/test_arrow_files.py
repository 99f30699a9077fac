"""Arrow IPC files, in both of their formats, and folders saved by Hugging Face datasets."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from motet.data.sources import absolute, as_source, read
from motet.problems import InputError
from motet.run.initialising import initial_config

TABLE = pa.table({"age": [30, None, 50], "job": ["cook", "nurse", ""]})


def message(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


def stream(path, table):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def saved(folder, tables, features=()):
    """Write what ``Dataset.save_to_disk`` of datasets 5.2 does, a file for each table."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05}-of-{len(tables):05}.arrow" for n in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        stream(folder / name, table)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": dict(features)}))


def saved_splits(folder, **splits):
    for name, table in splits.items():
        saved(folder / name, [table])
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))


@pytest.mark.parametrize("name", ["rows.arrow", "rows.feather"])
@pytest.mark.parametrize("kind", ["file", "stream", "compressed"])
def test_arrow_files_of_both_formats_are_read(tmp_path, name, kind):
    path = tmp_path / name
    if kind == "stream":
        stream(path, TABLE)
    else:
        compression = "zstd" if kind == "compressed" else "uncompressed"
        pa.feather.write_feather(TABLE, str(path), compression)
    expected = {"age": [30, None, 50], "job": ["cook", "nurse", None]}
    assert read(path).to_pydict() == expected
    parts = list(as_source(path).stream().tables(2))
    assert [len(part) for part in parts] == [2, 1]
    assert pa.concat_tables(parts).to_pydict() == expected
    twice = as_source([path, tmp_path / "more.csv"])
    (tmp_path / "more.csv").write_text("age,job\n1,x\n")
    assert len(twice.read()) == 4
    assert twice.row_name(2) == "row 2"
    assert twice.row_name(3) == f"row 3 (line 2 of {tmp_path / 'more.csv'})"


def test_a_damaged_arrow_file_is_an_error_that_says_so(tmp_path):
    path = tmp_path / "rows.arrow"
    pa.feather.write_feather(TABLE, str(path))
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    assert "is a damaged Arrow file" in message(read, path)
    path.write_text("age,job\n1,x\n")
    assert "is not an Arrow file, despite its name; if it is text" in message(read, path)
    path.write_bytes(b"FEA1 and so on")
    assert "is a Feather file of version 1" in message(read, path)


def test_offsets_that_leave_the_file_are_found_before_anything_reads_them(tmp_path):
    offsets = pa.py_buffer(np.array([0, 1 << 30, 4], np.int32))
    bad = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"okno")])
    stream(tmp_path / "rows.arrow", pa.table({"job": bad}))
    assert "is a damaged Arrow file" in message(read, tmp_path / "rows.arrow")


def test_a_saved_data_set_is_read_in_the_order_of_its_files_with_names_of_classes(tmp_path):
    features = {
        "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
        "tags": {"feature": {"names": ["O", "B-x"], "_type": "ClassLabel"}, "_type": "List"},
        "old": [{"names": ["O", "B-x"], "_type": "ClassLabel"}],
        "text": {"dtype": "string", "_type": "Value"},
    }
    rows = {
        "text": ["a b", "c", "d"],
        "label": [0, 1, -1],
        "tags": [[0, 1], None, []],
        "old": [[1], [0, -1], [0]],
    }
    table = pa.table(rows)
    saved(tmp_path / "reviews", [table[2:], table[:2]], features)
    assert read("reviews", tmp_path).to_pydict() == {
        "text": ["d", "a b", "c"],
        "label": [None, "neg", "pos"],
        "tags": [[], ["O", "B-x"], None],
        "old": [["O"], ["B-x"], ["O", None]],
    }
    source = as_source(absolute("reviews/", tmp_path))
    assert pa.concat_tables(source.stream().tables(2)).equals(source.read())


def test_a_class_without_a_name_is_refused(tmp_path):
    label = {"names": ["neg", "pos"], "_type": "ClassLabel"}
    saved(tmp_path / "reviews", [pa.table({"label": [0, 2]})], {"label": label})
    said = message(read, tmp_path / "reviews")
    assert "column 'label' has the class 2, but 2 have names" in said


def test_splits_are_one_table_with_a_column_that_names_them(tmp_path):
    saved_splits(tmp_path / "reviews", train=TABLE, test=TABLE[:1])
    source = as_source(tmp_path / "reviews")
    assert source.read()["split"].to_pylist() == ["train", "train", "train", "test"]
    assert source.split_column == "split"
    assert pa.concat_tables(source.stream().tables(3)).equals(source.read())
    (names,) = source.stream().tables(9, ["split"])
    assert names.to_pydict() == {"split": ["train", "train", "train", "test"]}
    one = as_source([tmp_path / "reviews" / "train"])
    assert one.read().column_names == ["age", "job"]
    assert one.split_column is None
    assert "split: {column: split}  # marks train and test" in initial_config(
        str(tmp_path / "reviews"), ["age"]
    )


def test_a_single_split_needs_no_column(tmp_path):
    saved_splits(tmp_path / "reviews", train=TABLE)
    assert read(tmp_path / "reviews").column_names == ["age", "job"]


def test_splits_whose_rows_have_such_a_column_are_refused(tmp_path):
    table = TABLE.append_column("split", [["x"] * 3])
    saved_splits(tmp_path / "reviews", train=table, test=table)
    said = message(read, "reviews", tmp_path)
    assert "has a column 'split'" in said
    assert "give the folders of the splits instead, such as reviews/train" in said


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("state.json", {"_data_files": [{"filename": "../rows.arrow"}]}, "names without folders"),
        ("state.json", {"_data_files": [{"filename": "/etc/passwd"}]}, "names without folders"),
        ("state.json", {"_data_files": [{"filename": ".."}]}, "names without folders"),
        ("state.json", {"_data_files": [{}]}, "has no list '_data_files'"),
        ("state.json", [], "is not what save_to_disk"),
        ("state.json", {"_data_files": [], "_indices_data_files": [1]}, "a choice of them"),
        ("dataset_dict.json", {"splits": ["a/../.."]}, "names without folders"),
        ("dataset_dict.json", {"splits": ["train"]}, "there is no data set in"),
        ("dataset_dict.json", {"splits": 3}, "has no list 'splits'"),
    ],
)
def test_a_folder_may_not_name_files_elsewhere(tmp_path, file, content, expected):
    saved(tmp_path / "reviews", [TABLE])
    (tmp_path / "reviews" / file).write_text(json.dumps(content))
    assert expected in message(read, tmp_path / "reviews")


def test_another_folder_is_refused_with_the_pattern_of_its_files(tmp_path):
    for name in ("a.arrow", "b.arrow"):
        stream(tmp_path / name, TABLE)
    assert f"for all of them give {tmp_path / '*.arrow'}" in message(read, tmp_path)
