"""Rows that other libraries hold, each with the real library."""

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

import motet
from motet.data.sources import read
from motet.problems import InputError

X = np.random.default_rng(0).normal(size=60)
COLUMNS = {
    "x": X.tolist(),
    "job": ["cook" if x > 0 else "nurse" for x in X],
    "a": (2 * X).tolist(),
    "seen": [int(x > 0) for x in X],
}
TABLE = read(COLUMNS)


class Rows(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, place):
        row = {name: values[place] for name, values in COLUMNS.items()}
        return row | {"x": torch.tensor(row["x"], dtype=torch.float64), "a": np.float64(row["a"])}


class OneByOne(IterableDataset):
    def __len__(self):
        return len(X)

    def __iter__(self):
        return (Rows()[place] for place in range(len(X)))


class Endless(Dataset):
    def __getitem__(self, place):
        return {"x": place}


class Pairs(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, place):
        return torch.tensor([X[place]]), torch.tensor(2 * X[place])


@pytest.fixture
def dataset(tmp_path):
    pyarrow.parquet.write_table(TABLE, tmp_path / "rows.parquet")
    return pyarrow.dataset.dataset(tmp_path / "rows.parquet")


def same(given):
    return read(given).equals(TABLE)


def test_data_sets_of_pytorch_are_read_row_by_row():
    assert same(Rows())
    assert same(OneByOne())
    assert same([Rows()[place] for place in range(len(X))])


def test_a_name_that_some_rows_lack_is_missing_there():
    assert read([{"x": 1.0}, {"x": 2.0, "y": "b"}]).to_pydict() == {"x": [1, 2], "y": [None, "b"]}


def test_values_of_rows_keep_their_meaning():
    times = read([{"t": np.datetime64("2020-01-01T10:00", "ns")}, {"t": None}])
    assert pa.types.is_timestamp(times.schema.field("t").type)
    assert times["t"].to_pylist()[0].hour == 10
    half = torch.tensor(1.5, dtype=torch.bfloat16, requires_grad=True)
    rows = [{"x": half, "words": [torch.tensor(1), torch.tensor(2)]}, {"words": []}]
    assert read(rows).to_pydict() == {"x": [1.5, None], "words": [[1, 2], []]}


def test_images_of_pillow_are_read_as_arrays_are():
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    found = read([{"photo": image.fromarray(pixels)}, {"photo": pixels}])["photo"].to_pylist()
    assert found == [pixels.tolist()] * 2


def test_what_arrow_holds_is_read(dataset):
    assert same(TABLE.to_reader())
    assert same(TABLE.to_batches()[0])
    assert same(dataset)
    assert same(dataset.scanner())


def test_frames_of_polars_are_read_lazy_ones_too():
    polars = pytest.importorskip("polars")
    assert same(polars.DataFrame(COLUMNS))
    assert same(polars.LazyFrame(COLUMNS).filter(True))


def test_relations_of_duckdb_are_read_and_connections_refused():
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.register("rows", TABLE)
    assert same(connection.sql("select * from rows"))
    with pytest.raises(InputError, match=r"expected a relation: connection.sql\(query\)"):
        read(connection)


@pytest.fixture
def hugging_face():
    found = pytest.importorskip("datasets", reason="pip install datasets")
    if not hasattr(found, "Dataset"):
        pytest.skip("found tests/datasets in place of the package")
    found.disable_progress_bars()
    return found


def test_data_sets_of_hugging_face_are_read(hugging_face):
    rows = hugging_face.Dataset.from_dict(COLUMNS)
    assert same(rows)
    assert same(rows.with_format("torch"))
    assert same(rows.to_iterable_dataset())
    assert read(rows.select([3, 1])).to_pydict()["x"] == [X[3], X[1]]
    assert read(rows.with_format("torch", columns=["x"])).column_names == ["x"]
    doubled = rows.with_transform(lambda batch: {"y": [2 * x for x in batch["x"]]})
    assert read(doubled).to_pydict() == {"y": (2 * X).tolist()}


def test_numbers_of_named_classes_become_names(hugging_face):
    seen = hugging_face.ClassLabel(names=["no", "yes"])
    rows = hugging_face.Dataset.from_dict(COLUMNS).cast_column("seen", seen)
    for each in (rows, rows.to_iterable_dataset()):
        assert set(read(each)["seen"].to_pylist()) == {"no", "yes"}


def test_the_splits_of_a_dict_are_one_table_whose_splits_a_config_must_use(hugging_face, tmp_path):
    rows = hugging_face.Dataset.from_dict(COLUMNS)
    splits = {"train": rows.select(range(40)), "validation": rows.select(range(40, 60))}
    given = hugging_face.DatasetDict(splits)
    assert read(given)["split"].to_pylist() == ["train"] * 40 + ["validation"] * 20
    config = {"tasks": {"a": "regression"}, "training": {"epochs": 1, "device": "cpu"}}
    with pytest.raises(InputError, match="is split already"):
        motet.train(config, given, output=tmp_path / "run")
    config |= {"data": {"split": {"column": "split"}}}
    run = motet.train(config, given, output=tmp_path / "run")
    predicted = run.predict(splits["validation"])
    assert len(predicted) == 20


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (DataLoader(Rows()), "give loader.dataset"),
        (Endless(), "without a length; expected __len__, or an IterableDataset"),
        (Pairs(), r"row 0 of the data is a tuple \(Tensor, Tensor\); expected mappings"),
        (({"x": x} for x in X), r"yields its rows once.*give list\(rows\)"),
        ([1, 2], "found a|the data are a list, .* rows are mappings"),
    ],
)
def test_what_is_no_table_is_refused_with_what_to_give(given, message):
    with pytest.raises(InputError, match=message):
        read(given)


def test_a_reader_gives_its_rows_once():
    reader = pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches())
    assert same(reader)
    with pytest.raises(InputError, match=r"possible once; give reader.read_all\(\)"):
        read(reader)


@pytest.mark.parametrize("given", [Rows(), OneByOne()])
def test_fit_asks_for_batches_of_a_data_set(given):
    model = motet.MultiTaskModel(torch.nn.Linear(1, 2), [motet.tasks.Regression("a")])
    with pytest.raises(InputError, match=r"expected batches: torch.utils.data.DataLoader\(dataset"):
        motet.Trainer(model).fit(given, epochs=1)
