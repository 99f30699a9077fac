"""From a table to arrays."""

from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Pillow

from motet.data.fitting import Observed
from motet.data.inputs.category import Category
from motet.data.inputs.number import Number
from motet.data.inputs.text import Text
from motet.data.inputs.vector import Vector
from motet.data.preprocessing import Preprocessing
from motet.data.sources import read
from motet.data.targets import ClassTarget, NumberTarget, TagTarget, Target
from motet.data.targets.pixel_classes import PixelClassTarget
from motet.problems import InputError
from tests.data.small_tables import TABLE, made


@pytest.mark.parametrize(
    ("inputs", "targets", "said"),
    [
        ({"n": Number("n", column="job")}, {}, "input 'n': column 'job' has 'cook' in row 0"),
        (
            {"j": Category("j", column="job", size=1, min_count=1)},
            {},
            "input 'j': size: found 1, but",
        ),
        ({}, {"c": ClassTarget("c", column="job", classes=["a", "a"])}, "task 'c': classes: found"),
        ({}, {"s": NumberTarget("s", column="job")}, "task 's': column 'job' has 'cook' in row 0"),
    ],
)
def test_an_error_names_the_input_or_task_and_its_option(inputs, targets, said):
    preprocessing = Preprocessing({"age": Number("age"), **inputs}, targets)
    with pytest.raises(InputError) as caught:
        preprocessing.fit(TABLE)
    assert str(caught.value).startswith(said)


def test_inputs_are_one_matrix_of_numbers_and_one_of_categories():
    preprocessing = made()
    inputs = preprocessing.inputs(TABLE)
    assert {name: (array.dtype, array.shape) for name, array in inputs.items()} == {
        "numbers": (np.float32, (4, 5)),
        "categories": (np.int64, (4, 1)),
    }
    table = preprocessing.shapes().table
    assert table.categories == (3,)
    assert table.names == (
        "age",
        "age_missing",
        "clip_0",
        "clip_1",
        "size",
    )
    np.testing.assert_array_equal(inputs["numbers"][:, 1], [0, 1, 0, 0])


def test_each_column_of_numbers_says_over_which_bins_it_can_be_spread():
    bins = [each and len(each.starts) for each in made().shapes().table.expansions]
    assert bins == [2, None, 3, 3, 2]  # age, age_missing, clip, clip, size


def test_a_kind_of_array_without_columns_is_left_out():
    only = Preprocessing({"job": Category("job")}, {})
    only.fit(TABLE)
    assert list(only.inputs(TABLE)) == ["categories"]


def test_rows_to_predict_need_no_labels_and_tasks_without_columns_are_left_out():
    later = TABLE.drop_columns(["churn", "t_a", "t_b"])
    preprocessing = made()
    assert preprocessing.inputs(later)["numbers"].shape == (4, 5)
    assert list(preprocessing.targets(later)) == ["spend"]


def test_a_task_with_only_some_of_its_columns_is_a_mistake():
    with pytest.raises(InputError, match="task 'tags': the data have no column 't_b'"):
        made().targets(TABLE.drop_columns(["t_b"]))


def test_all_absent_input_columns_are_named_at_once():
    with pytest.raises(InputError, match=r"no column 'age', 'clip'.*; columns: job, size"):
        made().inputs(TABLE.select(["job", "size"]))
    preprocessing = Preprocessing({"job": Category("job")}, {"spend": NumberTarget("spend")})
    with pytest.raises(InputError, match="no column 'job', 'spend'"):
        preprocessing.fit(TABLE.select(["age"]))


def test_a_label_must_not_be_an_input():
    leaking = Preprocessing({"all": Vector("all", columns="t_*")}, {"t_a": ClassTarget("t_a")})
    with pytest.raises(InputError, match="input 'all' reads the column 't_a', which task 't_a'"):
        leaking.fit(TABLE)


def test_errors_of_all_parts_can_be_collected():
    inputs = {"job": Number("job"), "age": Number("age"), "clip": Number("clip")}
    found = []

    @contextmanager
    def at(section, name):
        try:
            yield
        except InputError as error:
            found.append((section, name, str(error)))

    preprocessing = Preprocessing(inputs, {"churn": NumberTarget("churn")})
    preprocessing.fit(TABLE, at)
    assert [where[:2] for where in found] == [
        ("inputs", "job"),
        ("inputs", "clip"),
        ("tasks", "churn"),
    ]


def test_no_input_is_a_mistake():
    with pytest.raises(InputError, match="name at least one column"):
        Preprocessing({}, {})


def test_words_that_cannot_be_read_and_their_tags_are_told_together():
    table = read({"words": [[1, 2], [3]], "tags": [["O", "B-x"], ["O"]]})
    found = []

    @contextmanager
    def at(*place):
        try:
            yield
        except InputError as error:
            found.append((place, str(error)))

    Preprocessing({"words": Text("words")}, {"tags": TagTarget("tags")}).fit(table, at)
    ((place, said),) = found
    assert place == ("inputs", "words")
    assert "lists of numbers, expected texts or lists of words" in said


class PerUnit(Target):
    """A price, whose number of units is in another column."""

    beside = ("units",)

    def fit(self, table, inputs=None):
        self.seen = table["units"].to_pylist()

    def encode(self, table, inputs=None):
        return table["price"].to_numpy() / table["units"].to_numpy()

    def predictions(self, value, *_):
        return {self.name: pa.array(value)}


def test_a_task_of_several_sources_learns_from_all_that_its_target_reads():
    table = read({"x": [1.0, 2.0], "price": [3.0, 8.0], "units": [2, 4]})
    target = PerUnit("price")
    Preprocessing({"x": Number("x")}, {"price": target}).fit_all(
        [Observed(table, table, ["x"], ["price"])] * 2
    )
    assert target.seen == [2, 4, 2, 4]


def test_paths_of_labels_start_at_the_folder_that_sources_share(tmp_path):
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        mask = np.array([[0, 1], [1, 0]], np.uint8)
        Pillow.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
        (tmp_path / f"{name}.csv").write_text(f"x,mask\n1,masks/{name}.png\n")
    preprocessing = Preprocessing({"x": Number("x")}, {"mask": PixelClassTarget("mask")})
    tables = [read(tmp_path / f"{name}.csv") for name in ("a", "b")]
    preprocessing.fit_all([Observed(each, each, ["x"], ["mask"]) for each in tables])
    assert preprocessing.target("mask").names == ("0", "1")
