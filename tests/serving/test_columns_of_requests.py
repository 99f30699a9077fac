"""JSON values become columns that inputs read as those of files, each kind by its own rules."""

import base64
import io
import json

import numpy as np
import pyarrow as pa
import pytest

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
from motet.serving.columns import Unfit, columns_of


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
