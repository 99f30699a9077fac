"""JSON values become columns that inputs read as those of files, each kind by its own rules."""

import base64
import io
import json

import numpy as np
import pyarrow as pa
import pytest

from motet import InputError
from motet.data.inputs.category import Category
from motet.data.inputs.image import Image
from motet.data.inputs.number import Number
from motet.data.inputs.sequence import FrameSequence
from motet.data.inputs.set import Set
from motet.data.inputs.text import Text
from motet.data.inputs.time import Time
from motet.data.inputs.vector import Vector
from motet.data.preprocessing import Preprocessing
from motet.data.sources import read
from motet.data.sources.frames import as_table
from motet.run.given_rows import GivenRows
from motet.serving.columns import columns_of
from motet.serving.kinds import Unfit


def fitted(given, values):
    preprocessing = Preprocessing({given.name: given}, {})
    preprocessing.fit(read(values))
    (column,) = columns_of(preprocessing).values()
    return preprocessing, column


CASES = {
    "number": (Number("x"), [1.0, 2.5, None], [3, 2.5, True, None]),
    "category": (Category("x", min_count=1), ["3", "2.5", "true", "no"], [3, 3.0, 2.5, True, "no"]),
    "set": (Set("x", min_count=1), [["a", "3"], ["b"], []], [["a"], [3], [], None]),
    "time": (Time("x"), ["2026-01-01", "2026-05-05"], ["2026-02-01T10:00:00Z", None]),
    "seconds": (Time("x", unit="s"), [0, 10**9], [5, None, 10**8]),
    "vector": (Vector("x"), [[1.0, 2.0], [3.0, 5.0]], [[1, 2.5], [1, None], None]),
    "frames": (FrameSequence("x"), [[[1.0, 2.0]], [[3.0, 5.0]]], [[[1, 2.5], [3, 4]], [], None]),
    "words": (Text("x", split="spaces", min_count=1), ["go to", "Rome"], [["go", "Rome"], None]),
    "text": (Text("x", min_count=1), ["go to", "Rome"], ["to Rome", None]),
}


def flat(tree):
    """Return all numbers of a tree of arrays."""
    if isinstance(tree, dict):
        return [number for each in tree.values() for number in flat(each)]
    if hasattr(tree, "values"):
        return [*tree.values.flatten().tolist(), *tree.lengths.tolist()]
    return np.asarray(tree).flatten().tolist()


@pytest.mark.parametrize("case", CASES)
def test_values_are_read_as_those_of_a_file_whatever_is_beside_them(case, tmp_path):
    given, known, values = CASES[case]
    preprocessing, column = fitted(given, {"x": known})
    together = column.kind.read(values)
    for row, value in enumerate(values):
        alone = column.kind.read([value])
        if value is not None and case != "words":
            assert alone.type == together.type
        found = preprocessing.inputs(pa.table({"x": alone}))
        sliced = preprocessing.inputs(pa.table({"x": together}).slice(row, 1))
        assert flat(found) == flat(sliced)
        file = tmp_path / f"{row}.jsonl"
        file.write_text(json.dumps({"x": value}))
        as_file = preprocessing.inputs(read(file, strings=preprocessing.strings))
        np.testing.assert_array_equal(flat(found), flat(as_file))


WRONG = {
    "number": ["3", [1], {"a": 1}, 10**400],
    "category": [["a"], {}],
    "set": ["a", [["a"]], {}],
    "time": [True, ["2026"], {}],
    "vector": [[1], [1, "2"], "1,2", [1, 10**400]],
    "frames": [[1, 2], [[1]], [[1, 2], None], "x"],
    "words": [3, [3], {}],
    "text": [3, ["a"], True],
}


@pytest.mark.parametrize("case", WRONG)
def test_other_values_are_refused_with_their_row(case):
    given, known, _ = CASES[case]
    _, column = fitted(given, {"x": known})
    for value in WRONG[case]:
        with pytest.raises(Unfit) as error:
            column.kind.read([None, value])
        assert error.value.row == 1


def png(pixels):
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_an_image_is_bytes_in_base64_or_pixels_and_never_a_path(tmp_path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    preprocessing, column = fitted(Image("x"), {"x": [png(pixels), png(pixels + 9)]})
    path = tmp_path / "scan.png"
    path.write_bytes(png(pixels))
    coded = base64.b64encode(png(pixels)).decode()
    first = preprocessing.inputs(pa.table({"x": column.kind.read([coded])}))
    second = preprocessing.inputs(pa.table({"x": column.kind.read([pixels.tolist()])}))
    for found in (first, second):
        (images,) = found["images"].values() if "images" in found else found.values()
        images = images["x"] if isinstance(images, dict) else images
        assert images[0:1]["pixels"].shape[-2:] == (3, 4)
    with pytest.raises(Unfit, match="base64"):
        column.kind.read([str(path)])
    long_enough = "/etc/passwd0"  # decodes as base64, and is bytes then
    assert column.kind.read([long_enough]).type == pa.binary()
    for wrong in ([[0, 256.5]], [[0], 1], [[[[0]]]], {"path": str(path)}, [["0"]], 7):
        with pytest.raises(Unfit):
            column.kind.read([wrong])


INPUTS = {
    "number": (Number("x"), [1.0, 2.5, None]),
    "category of texts": (Category("x", min_count=1), ["3", "cook", "2026-01-01", " cook"]),
    "category of numbers": (Category("x", min_count=1), [3.0, 2.5, 1e20]),
    "category of truths": (Category("x", min_count=1), [True, False, None]),
    "category of dates": (Category("x", min_count=1), pa.array([0, 1], pa.timestamp("s"))),
    "text": (Text("x", min_count=1, tokenizer="words"), ["go to", "Rome", "NA 3", "2026-01-01"]),
    "spaced words": (Text("x", split="spaces", min_count=1), ["go to", "Rome NA", "2026-01-01"]),
    "words": (Text("x", min_count=1), [["go", "NA"], ["Rome", "2026-01-01"]]),
    "set": (Set("x", min_count=1), [["a", "3", "NA", "null"], ["b", "2026-01-01", "true"]]),
    "time": (Time("x"), ["2026-01-01", "2026-05-05"]),
    "time elsewhere": (Time("x", zone="Europe/Berlin"), pa.array([0, 10**9], pa.timestamp("s"))),
    "time in seconds": (Time("x", unit="s"), [0, 10**9]),
    "vector": (Vector("x"), [[1.0, 2.0], [3.0, 5.0]]),
    "sequence": (FrameSequence("x"), [[[1.0, 2.0]], [[3.0, 5.0]]]),
}
VALUES = (
    *(None, "", " ", "NA", " NA ", "nan", "null", "None", "cook", " cook", "go  to", "3", "3.0"),
    *("true", "2026-01-01", "2026-01-01T10:00:00Z", "2026-01-01 10:00", "1970-01-01", "x\n\u2028y"),
    *("2026-07-01T10:00:00+02:00", "2026-07-01T10:00:00", "2026-07-01T10:00:00.5Z"),
    *(True, False, 0, 3, 3.0, -0.0, 2.5, 10**8, 2**53 + 1, 2**63 - 1, 2**63, 1e20, 1e-7),
    *([], [None], [""], ["NA"], ["a", "NA", " a ", None, "null"], ["2026-01-01"], ["go", "Rome"]),
    *([3], [3.0, 2.5], [True, False], [2**63], [1, 2], [1, None], [1.5, 2**60]),
    *([[1, 2]], [[1, None], [3, 4]], [[]]),
)


def of_file(preprocessing, file):
    """Return what inputs read of a file, as `motet predict` does, or why they cannot."""
    try:
        (part,) = GivenRows.of(file, preprocessing.strings, 100)
        return flat(preprocessing.inputs(part.table))
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("case", INPUTS)
def test_a_row_means_what_the_same_json_line_means(case, tmp_path):
    given, known = INPUTS[case]
    preprocessing, column = fitted(given, {"x": known})
    served, expected = {}, {}
    file = tmp_path / "row.jsonl"
    for value in VALUES:
        try:
            rows = pa.table({"x": column.kind.read([value])})
            found = flat(preprocessing.inputs(as_table(rows, preprocessing.strings)))
        except (Unfit, InputError):
            continue
        served[repr(value)] = found
        file.write_text(json.dumps({"x": value}))
        expected[repr(value)] = of_file(preprocessing, file)
    assert len(served) >= 4
    assert repr(served) == repr(expected)  # NaN is equal to NaN


def of_two_inputs(one, other, values):
    preprocessing = Preprocessing({"one": one, "other": other}, {})
    preprocessing.fit(read({"x": values}))
    (column,) = columns_of(preprocessing).values()
    return preprocessing, column


def test_a_column_of_two_inputs_takes_what_both_do_as_a_file_has_it(tmp_path):
    one, other = Category("one", column="x", min_count=1), Number("other", column="x")
    preprocessing, column = of_two_inputs(one, other, [True, False])
    assert column.inputs == ("one", "other")
    file = tmp_path / "row.jsonl"
    for value in (True, False, 3, 2.5, None):
        file.write_text(json.dumps({"x": value}))
        served = pa.table({"x": column.kind.read([value])})
        assert repr(flat(preprocessing.inputs(served))) == repr(of_file(preprocessing, file))
    for wrong in ("true", [1], [3, True]):
        with pytest.raises(Unfit):
            column.kind.read(wrong if isinstance(wrong, list) and len(wrong) > 1 else [wrong])


def test_a_column_of_an_image_and_another_input_takes_no_path(tmp_path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file in files:
        file.write_bytes(png(pixels))
    one, other = Category("one", column="x", min_count=1), Image("other", column="x")
    _, column = of_two_inputs(one, other, list(map(str, files)))
    with pytest.raises(Unfit, match="base64"):
        column.kind.read([str(files[0])])
