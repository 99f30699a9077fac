"""Labels of pixels are read from arrays, files and JSON alike; what is wrong names its row."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Pillow

from motet.data.inputs.image import Image
from motet.data.targets.pixel_classes import PixelClassTarget
from motet.data.targets.pixel_numbers import PixelNumberTarget
from motet.problems import InputError

RNG = np.random.default_rng(0)
MASKS = RNG.integers(0, 3, (4, 5, 7))
MASKS[0, 0] = 255
DEPTHS = RNG.integers(1, 60_000, (4, 5, 7))
DEPTHS[1, 2] = 0


def png(array, mode=None):
    content, image = io.BytesIO(), Pillow.fromarray(array)
    if mode == "P":
        image = image.convert("P") if image.mode != "L" else image
        image.putpalette([each for n in range(256) for each in (n, 255 - n, 7)])
    image.save(content, "PNG")
    return content.getvalue()


def image_input(height=5, width=7, **options):
    found = Image("photo", **options)
    found.observe(pa.table({"photo": RNG.integers(0, 255, (2, height, width)).tolist()}))
    found.finish()
    return {"photo": found}


def column(form, arrays, folder):
    if form == "nested lists":
        return arrays.tolist()
    if form == "flat lists":
        return arrays.reshape(len(arrays), -1).tolist()
    if form == "json":
        return [json.dumps(each) for each in arrays.tolist()]
    files = [png(each.astype(np.uint16 if arrays.max() > 255 else np.uint8)) for each in arrays]
    if form == "bytes":
        return files
    if form == "palette":
        return [png(each.astype(np.uint8), "P") for each in arrays]
    for number, each in enumerate(files):
        (folder / f"{number}.png").write_bytes(each)
    return [str(folder / f"{number}.png") for number in range(len(files))]


@pytest.mark.parametrize(
    "form", ["nested lists", "flat lists", "json", "bytes", "palette", "paths"]
)
def test_classes_are_read_alike_from_every_form_of_cell(form, tmp_path):
    target = PixelClassTarget("mask", ignored=255, size=(5, 7))
    table = pa.table({"mask": [*column(form, MASKS, tmp_path), None]})
    target.fit(table)
    found = target.encode(table)
    assert target.learned() == {"classes": 3, "size": (5, 7)}
    assert found.dtype == np.int16
    assert (found[:4] == np.where(MASKS == 255, -100, MASKS)).all()
    assert (found[4] == -100).all()
    again = PixelClassTarget("mask")
    again.load(json.loads(json.dumps(target.state())))
    assert (again.encode(table) == found).all()
    assert again.learned() == target.learned()
    counts = [int((found == each).sum()) for each in range(3)]
    assert target.class_counts(found) == counts


@pytest.mark.parametrize("form", ["nested lists", "json", "bytes", "paths"])
def test_numbers_are_in_units_and_standardised_by_the_training_pixels(form, tmp_path):
    target = PixelNumberTarget("depth", missing=0, unit=0.001)
    table = pa.table({"depth": [*column(form, DEPTHS, tmp_path), None]})
    target.fit(table)
    true = np.where(DEPTHS == 0, np.nan, DEPTHS * 0.001)
    mean, std = target.learned()["scaling"]
    assert (mean, std) == pytest.approx((np.nanmean(true), np.nanstd(true)))
    found = target.encode(table)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:4] * std + mean, true, rtol=1e-5)
    assert np.isnan(found[4]).all()
    again = PixelNumberTarget("depth")
    again.load(json.loads(json.dumps(target.state())))
    np.testing.assert_array_equal(again.encode(table), found)


def test_a_null_among_the_numbers_of_a_list_is_a_pixel_without_a_label():
    table = pa.table({"mask": [[[0, None], [1, 2]]], "depth": [[[0.5, None], [1.0, 2.0]]]})
    mask, depth = PixelClassTarget("mask"), PixelNumberTarget("depth")
    mask.fit(table)
    depth.fit(table)
    assert mask.encode(table).tolist() == [[[0, -100], [1, 2]]]
    assert np.isnan(depth.encode(table)).tolist() == [[[False, True], [False, False]]]


def test_labels_have_the_size_of_the_images_whatever_their_own():
    big = np.kron(MASKS, np.ones((2, 2), np.int64))
    inputs = image_input(size=(5, 7))
    target = PixelClassTarget("mask", classes=3, ignored=255)
    target.fit(pa.table({"mask": big.tolist()}), inputs)
    found = target.encode(pa.table({"mask": big.tolist()}), inputs)
    assert (found == np.where(MASKS == 255, -100, MASKS)).all()


@pytest.mark.parametrize("size", [None, (6, 6), (6, 24), (24, 4)])
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_labels_are_resized_as_their_images_are(resize, size):
    # an image whose pixels say their class, so that both can be compared
    classes = np.repeat(np.arange(4), 5)[None].repeat(12, axis=0)  # 12 x 20, 4 upright stripes
    pixels = (classes * 60 + 30).astype(np.uint8)
    image = Image("photo", size=(12, 12), resize=resize, mean=0.0, std=1.0)
    rows = pa.table({"photo": [pixels.tolist()], "mask": [classes.tolist()]})
    image.observe(rows)
    image.finish()
    target = PixelClassTarget("mask", classes=4, size=size)
    target.fit(rows, {"photo": image})
    seen = image.apply(rows)[0][0:1]["pixels"][0, 0].numpy() * 255
    found = target.encode(rows, {"photo": image})[0]
    height, width = size or (12, 12)
    assert found.shape == (height, width)
    at = [((np.arange(side) + 0.5) * 12 / side).astype(int) for side in (height, width)]
    seen = seen[np.ix_(*at)]
    inside = found >= 0
    assert inside.all() == (resize != "pad")
    assert (np.abs(seen - (found * 60 + 30))[inside] <= 31).all()  # a stripe and half the next
    if resize == "pad":
        assert (seen[~inside] == 0).all()


def test_rows_without_any_label_and_no_rows_are_encoded():
    for target in (PixelClassTarget("mask"), PixelNumberTarget("mask")):
        fitted([GOOD], target)
        assert target.encode(pa.table({"mask": pa.array([], pa.null())})).shape == (0, 2, 2)
        assert target.encode(pa.table({"mask": pa.array([None])})).shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([[0, 255]], "labels from 0 to 0, and 255; write 1 for it, or give classes: 256"),
        ([[0, 1, 20, 255]], "from 0 to 20, and 255; give ignore_index: 255 if it means no label"),
    ],
)
def test_a_lonely_255_is_not_taken_for_the_last_of_256_classes(labels, told):
    with pytest.raises(InputError, match=told):
        fitted([labels], PixelClassTarget("mask"))
    assert fitted([labels], PixelClassTarget("mask", classes=256)).max() == 255


def test_predictions_are_nested_lists_of_the_same_size():
    mask, depth = PixelClassTarget("mask"), PixelNumberTarget("depth")
    (classes,) = mask.predictions(MASKS % 255).values()
    (numbers,) = depth.predictions(DEPTHS / 2).values()
    assert classes.to_pylist() == (MASKS % 255).tolist()
    assert numbers.to_pylist() == (DEPTHS / 2).tolist()
    assert mask.prediction_names(["mask"]) == ["mask", "mask_true"]


def fitted(cells, target=None, inputs=None):
    target = target or PixelClassTarget("mask", classes=3)
    target.fit(pa.table({"mask": cells}), inputs or {})
    return target.encode(pa.table({"mask": cells}), inputs or {})


GOOD = [[0, 1], [2, 0]]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([GOOD, [[0, 7], [0, 0]]], "row 1.*is 7 at line 0, column 1, expected a class from 0 to 2"),
        ([GOOD, [[0, 0], [-1, 0]]], "row 1.*is -1 at line 1, column 0.*or null"),
        ([[[0.5, 1.0]]], "row 0.*is 0.5 at line 0, column 0"),
        ([GOOD, [[0, 1, 1], [0, 1, 1]]], "row 1.*has 2 x 3 pixels, expected 2 x 2"),
        ([GOOD, [[0, 1], [0]]], "row 1.*not a list of lines of equal length"),
        ([[0, 1, 2, 0]], r"row 0.*flat list of 4 numbers.*give size: \[height, width\]"),
        ([None, None], "has no label in the 2 training rows"),
        ([3, 4], "holds numbers, expected labels of pixels"),
        ([{"x": 3}], "holds nested objects, expected labels of pixels"),
        ([b"no image"], "row 0: the label (is not an image|cannot be decoded)"),
        (["nowhere.png"], "row 0.*nowhere.png does not exist"),
        ([png(np.zeros((2, 2, 3), np.uint8))], "row 0.*has the channels RGB, expected one"),
    ],
)
def test_labels_that_cannot_be_used_name_their_row(cells, told):
    with pytest.raises(InputError, match=told):
        fitted(cells)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([[[0.0, np.inf]]], "is infinite at line 0, column 1"),
        ([[[2.0, 2.0]]], "is the same in every labelled pixel"),
        ([[[None, 2.0]]], "has 1 labelled pixels in the 1 training rows, expected at least 2"),
    ],
)
def test_numbers_that_cannot_be_used_are_reported(cells, told):
    with pytest.raises(InputError, match=told):
        fitted(cells, PixelNumberTarget("mask"))


def test_labels_of_another_size_than_images_that_are_not_resized_are_refused():
    with pytest.raises(InputError, match="has 2 x 2 pixels, expected 5 x 7 as the image has"):
        fitted([GOOD], inputs=image_input())
    target = PixelClassTarget("mask", classes=3, size=(10, 14))
    assert fitted([GOOD], target, image_input()).shape == (1, 10, 14)


def test_a_class_that_training_did_not_have_says_what_to_give():
    target = PixelClassTarget("mask")
    target.fit(pa.table({"mask": [GOOD]}))
    with pytest.raises(InputError, match="as the training rows have; give classes: 6, or ignore_"):
        target.encode(pa.table({"mask": [[[0, 5], [0, 0]]]}))


def test_one_of_several_images_must_be_named():
    both = {**image_input(), "scan": image_input()["photo"]}
    with pytest.raises(InputError, match="photo, scan"):
        fitted([MASKS[1].tolist()], inputs=both)
    with pytest.raises(InputError, match="found 'age', expected an input of images: photo"):
        fitted([MASKS[1].tolist()], PixelClassTarget("m", column="mask", input="age"), both)
    named = PixelClassTarget("m", column="mask", classes=3, input="scan")
    assert fitted([MASKS[1].tolist()], named, both).shape == (1, 5, 7)
