"""Images are the pixels of a pipeline written by hand with Pillow; bad ones are named by row."""

import io
import re

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.testing import assert_close

from motet.data.arrays import ArrayData
from motet.data.blocks import Blocks, Writer
from motet.data.images.reading import FORMATS
from motet.data.inputs.image import Image
from motet.data.row_folders import with_folder
from motet.data.sources import read
from motet.data.stream import StreamData
from motet.problems import InputError, RowError

PIL = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)


def _photo(height=13, width=17, mode="RGB"):
    values = RNG.integers(0, 256, (height, width, 3), np.uint8)
    return PIL.fromarray(values).convert(mode)


def _bytes(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _fitted(rows, **options):
    made = Image("scan", **options)
    made.observe(rows)
    made.finish()
    return made


def _pixels(rows, made=None, **options):
    made = made or _fitted(rows, **options)
    found = made.apply(rows)[0]
    return made, found[0 : len(rows)]["pixels"]


def _by_hand(images, size, mean=(0.0,), std=(1.0,), mode="RGB"):
    found = []
    for each in images:
        shown = each.convert(mode)
        if shown.size != size[::-1]:
            shown = shown.resize(size[::-1], PIL.Resampling.BILINEAR)
        values = np.asarray(shown, np.float32).reshape(*size, -1) / 255
        found.append(torch.from_numpy((values - np.float32(mean)) / np.float32(std)).movedim(-1, 0))
    return torch.stack(found)


def _table(values, kind=None):
    return pa.table({"scan": pa.array(values, kind)})


# Pixels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["bytes", "paths", "struct", "arrays"])
@pytest.mark.parametrize("cache", [1.0, 0.0])
def test_pixels_are_those_of_a_pipeline_written_by_hand(tmp_path, way, cache):
    images = [_photo() for _ in range(5)]
    for number, each in enumerate(images):
        each.save(tmp_path / f"{number}.png")
    names = [f"{number}.png" for number in range(5)]
    rows = _table(
        {
            "bytes": [_bytes(each) for each in images],
            "paths": names,
            "struct": [
                {"bytes": None if n % 2 else _bytes(each), "path": names[n]}
                for n, each in enumerate(images)
            ],
            "arrays": [np.asarray(each).tolist() for each in images],
        }[way]
    )
    if way in ("paths", "struct"):
        schema = with_folder(rows.schema, [tmp_path])
        rows = rows.replace_schema_metadata(schema.metadata)
    made, pixels = _pixels(rows, size=(8, 9), cache=cache)
    plain = _by_hand(images, (8, 9)).double()
    mean, std = plain.mean(dim=(0, 2, 3)), plain.std(dim=(0, 2, 3), correction=0)
    assert_close(torch.tensor(made.state()["mean"]).double(), mean, rtol=0, atol=1e-6)
    assert_close(torch.tensor(made.state()["std"]).double(), std, rtol=0, atol=1e-6)
    expected = _by_hand(images, (8, 9), made.state()["mean"], made.state()["std"])
    assert_close(pixels, expected, rtol=0, atol=2e-6)
    assert made.shape().arguments == (3, 8, 9)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_of_an_image_is_read_as_pillow_converts_it(mode, channels):
    grey = _photo(mode="L")
    if mode == "I;16":
        image = PIL.fromarray(np.asarray(grey).astype(np.uint16) * 257)
        reference = grey
    else:
        image = reference = _photo(mode="RGB").convert(mode)
    form = "TIFF" if mode == "CMYK" else "PNG"
    rows = _table([_bytes(image, form)])
    _, pixels = _pixels(rows, channels=channels, mean=0.0, std=1.0)
    if mode == "P":
        reference = reference.convert("RGB")
    expected = _by_hand([reference], (13, 17), mode="L" if channels == 1 else "RGB")
    assert_close(pixels, expected, rtol=0, atol=1e-7)


def test_a_palette_with_transparency_gives_no_warning():
    image = _photo().convert("P")
    rows = _table([_bytes(image, transparency=bytes(range(256)))])
    _, pixels = _pixels(rows, mean=0.0, std=1.0)
    assert_close(pixels, _by_hand([image.convert("RGB")], (13, 17)), rtol=0, atol=1e-7)


def test_images_are_grey_if_all_training_images_are():
    grey, coloured = _bytes(_photo(mode="L")), _bytes(_photo())
    assert _fitted(_table([grey, grey])).shape().arguments == (1, 13, 17)
    assert _fitted(_table([grey, coloured])).shape().arguments == (3, 13, 17)


def test_images_are_turned_as_their_exif_data_ask_for():
    image, exif = _photo(), PIL.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    rows = _table([_bytes(image, exif=exif)])
    made, pixels = _pixels(rows, mean=0.0, std=1.0)
    assert made.shape().arguments == (3, 17, 13)
    upright = image.transpose(PIL.Transpose.ROTATE_270)
    assert_close(pixels, _by_hand([upright], (17, 13)), rtol=0, atol=1e-7)


def test_crop_keeps_the_centre_and_pad_the_whole():
    white = PIL.new("L", (20, 10), 255)
    white.paste(0, (0, 0, 5, 10))  # the left quarter is black
    rows = _table([_bytes(white)])
    options = {"size": (10, 10), "mean": 0.0, "std": 1.0}
    _, cropped = _pixels(rows, resize="crop", **options)
    assert bool((cropped == 1).all())
    _, padded = _pixels(rows, resize="pad", **options)
    assert bool((padded[0, 0, :2] == 0).all() & (padded[0, 0, 8:] == 0).all())
    assert padded[0, 0, 5, 9] == 1


def test_numpy_arrays_of_numbers_are_only_normalised():
    values = RNG.normal(3, 5, (6, 4, 5)).astype(np.float32)
    made, pixels = _pixels(read({"scan": values}))
    assert made.shape().arguments == (1, 4, 5)
    expected = (values - values.mean()) / values.std()
    assert_close(pixels[:, 0], torch.from_numpy(expected), rtol=0, atol=1e-5)
    with pytest.raises(InputError, match=r"color_jitter: applies to pixels of 8 bits"):
        _fitted(read({"scan": values}), augmentation={"color_jitter": {"contrast": 0.1}})


def test_imagenet_and_given_numbers_normalise():
    image = _photo()
    rows = _table([_bytes(image)])
    _, pixels = _pixels(rows, mean="imagenet")
    expected = _by_hand([image], (13, 17), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert_close(pixels, expected, rtol=0, atol=2e-6)
    for options, message in (
        ({"mean": 0.5}, "std: found mean alone"),
        ({"std": 0.5}, "mean: found std alone"),
        ({"mean": (0.1, 0.2), "std": (1.0, 1.0)}, "found 2 numbers"),
    ):
        with pytest.raises(InputError, match=message):
            Image("scan", **options)


# Bad images ----------------------------------------------------------------------------------


def _bad(tmp_path):
    whole = _bytes(_photo())
    (tmp_path / "good.png").write_bytes(whole)
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no image at all")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "small.png").write_bytes(_bytes(_photo(3, 3)))
    (tmp_path / "vector.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    return {
        "cut.png": "cannot be decoded",
        "text.png": "is not an image of the formats PNG, JPEG",
        "empty.png": "is empty",
        "small.png": "has 3 x 3 pixels, expected 13 x 17",
        "vector.png": "is not an image of the formats",
        "gone.png": "does not exist",
    }


def _rows_in(tmp_path, names):
    rows = _table(names)
    return rows.replace_schema_metadata(with_folder(rows.schema, [tmp_path]).metadata)


@pytest.mark.parametrize("cache", [1.0, 0.0])
def test_a_bad_image_is_named_by_its_row_and_skipped_by_choice(tmp_path, cache):
    good = _fitted(_rows_in(tmp_path, ["good.png"]), cache=cache) if _bad(tmp_path) else None
    skipping = _fitted(_rows_in(tmp_path, ["good.png"]), corrupt="skip", cache=cache)
    for name, problem in _bad(tmp_path).items():
        rows = _rows_in(tmp_path, ["good.png", "good.png", name])
        with pytest.raises(RowError, match=rf"row 2: .*{re.escape(name)} {problem}") as caught:
            good.apply(rows)
        assert "corrupt: skip" in str(caught.value)
        images, notes = skipping.apply(rows)
        batch = images[0:3]
        assert batch["present"].tolist() == [True, True, False]
        assert bool((batch["pixels"][2] == 0).all())
        (count, example) = notes.lines("input 'scan'")
        assert "1 of 3 rows have an image that cannot be used" in count
        assert problem in example


def test_bad_training_images_are_named_or_left_out_of_what_is_learned(tmp_path):
    _bad(tmp_path)
    names = ["good.png", "cut.png", "good.png", "text.png", "gone.png"]
    with pytest.raises(RowError, match=r"row 3: .*text.png .*\(2 rows have such images\)"):
        _fitted(_rows_in(tmp_path, names))
    made = _fitted(_rows_in(tmp_path, names), corrupt="skip")
    clean = _fitted(_rows_in(tmp_path, ["good.png", "good.png"]))
    assert made.state()["mean"] == clean.state()["mean"]


def test_rows_without_an_image_are_marked_and_have_zeros():
    rows = _table([_bytes(_photo()), None, _bytes(_photo())])
    made = _fitted(rows)
    images, notes = made.apply(rows)
    batch = images.index_select(0, torch.tensor([1, 2]))
    assert batch["present"].tolist() == [False, True]
    assert not batch["pixels"][0].any()
    assert list(notes.lines("x")) == ["x: 1 of 3 rows have no image"]
    assert "present" in made.apply(rows.slice(0, 1))[0][0:1]  # as in training
    complete = _fitted(rows.slice(0, 1))
    assert "present" not in complete.apply(rows.slice(0, 1))[0][0:1]
    with pytest.raises(InputError, match="has no image in the 2 training rows; remove it"):
        _fitted(_table([None, None], pa.binary()))


def test_decompression_bombs_and_huge_files_are_refused(monkeypatch):
    bomb = _bytes(PIL.new("1", (12000, 12000)))
    assert len(bomb) < 50_000
    with pytest.raises(RowError, match="expected at most 80,000,000"):
        _fitted(_table([bomb]))
    monkeypatch.setattr("motet.limits.IMAGE_BYTES", 100)
    with pytest.raises(RowError, match=r"has [\d,]+ bytes, expected at most 100"):
        _fitted(_table([_bytes(_photo())]))


def test_formats_that_start_other_programs_are_not_opened():
    assert not {"EPS", "PDF", "WMF", "FITS"} & set(FORMATS)


def test_sizes_that_differ_need_a_size_and_columns_of_no_images_are_refused(tmp_path):
    rows = _table([_bytes(_photo()), _bytes(_photo(20, 20))])
    with pytest.raises(InputError, match=r"size: missing; .* 2 sizes.*give the one to resize"):
        _fitted(rows)
    with pytest.raises(InputError, match="column 'scan' holds numbers, expected images"):
        _fitted(_table([1, 2]))
    several = _table(["a.png"])
    schema = with_folder(several.schema, [tmp_path, tmp_path.parent])
    several = several.replace_schema_metadata(schema.metadata)
    with pytest.raises(InputError, match="several folders; give root"):
        _fitted(several)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        ([[[1, 2], [3]]], "is not an array"),
        (np.zeros((1, 3, 5, 6), np.int64).tolist(), "as the last axis"),
        ([[[1, 300]]], "outside 0 to 255"),
        ([[[1.0, None]]], "missing or infinite|not an array"),
    ],
)
def test_arrays_that_are_no_images_are_named(array, problem):
    with pytest.raises(RowError, match=rf"row 0: the array .*({problem})"):
        _fitted(_table(array))


# State, and where rows come from -------------------------------------------------------------


def test_a_loaded_input_gives_the_same_pixels_and_its_state_has_no_path(tmp_path):
    _bad(tmp_path)
    rows = _rows_in(tmp_path, ["good.png"])
    made, pixels = _pixels(rows, root=str(tmp_path))
    again = Image("scan")
    again.load(made.state())
    assert str(tmp_path) not in str(made.state())
    assert_close(_pixels(rows, again)[1], pixels, rtol=0, atol=0)


def test_paths_start_from_the_folder_of_the_file_or_from_root(tmp_path, monkeypatch):
    _bad(tmp_path)
    (tmp_path / "rows.csv").write_text("scan,y\ngood.png,1\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "rows.csv").write_text("scan,y\ngood.png,1\n")
    monkeypatch.chdir(elsewhere)
    _fitted(read(tmp_path / "rows.csv"))
    with pytest.raises(RowError, match=r"good\.png does not exist"):
        _fitted(read(elsewhere / "rows.csv"))
    _fitted(read(elsewhere / "rows.csv"), root=str(tmp_path))


def test_an_image_that_changes_while_a_model_trains_is_an_error(tmp_path):
    _bad(tmp_path)
    images = _fitted(_rows_in(tmp_path, ["good.png"]), cache=0.0).apply(
        _rows_in(tmp_path, ["good.png"])
    )[0]
    (tmp_path / "good.png").write_bytes(_bytes(_photo()))
    with pytest.raises(InputError, match=r"good\.png has changed since it was checked"):
        images[0:1]


def test_a_model_without_data_needs_size_and_channels():
    assert Image("scan", size=(4, 5), channels=3).declared().arguments == (3, 4, 5)
    with pytest.raises(InputError, match=r"scan.*size: the size of the images is unknown"):
        Image("scan", channels=3).declared()


# Batches of training -------------------------------------------------------------------------

AUGMENTATION = {
    "horizontal_flip": 0.5,
    "random_crop": 2,
    "rotation": 20.0,
    "color_jitter": {"brightness": 0.2},
    "random_erasing": {"probability": 0.5},
}


def _training(rows, targets, **options):
    made = _fitted(rows, augmentation=AUGMENTATION, **options)
    return ArrayData({"scan": made.apply(rows)[0]}, targets)


def _epoch(data, size=4, number=0, done=0):
    return list(data.epoch(size, seed=0, number=number, done=done))


@pytest.mark.parametrize("cache", [1.0, 0.0])
def test_training_batches_are_the_same_however_many_threads_decode(cache):
    rows = _table([_bytes(_photo()) for _ in range(11)])
    targets = {"a": torch.arange(11)}
    one = _epoch(_training(rows, targets, workers=1, cache=cache))
    three = _epoch(_training(rows, targets, workers=3, cache=1 - cache))
    for left, right in zip(one, three, strict=True):
        assert torch.equal(left.inputs["scan"]["pixels"], right.inputs["scan"]["pixels"])
        assert torch.equal(left.targets["a"], right.targets["a"])


def test_an_epoch_that_is_resumed_goes_on_with_the_same_pixels():
    rows = _table([_bytes(_photo()) for _ in range(11)])
    data = _training(rows, {"a": torch.arange(11)})
    whole, rest = _epoch(data, number=3), _epoch(data, number=3, done=2)
    assert torch.equal(rest[0].inputs["scan"]["pixels"], whole[2].inputs["scan"]["pixels"])
    other = _epoch(data, number=4)
    order = [torch.cat([batch.targets["a"] for batch in each]) for each in (whole, other)]
    pixels = [torch.cat([b.inputs["scan"]["pixels"] for b in each]) for each in (whole, other)]
    sorted_ = [each[o.argsort()] for each, o in zip(pixels, order, strict=True)]
    assert not torch.equal(*sorted_)


def test_evaluation_sees_images_as_they_are():
    rows = _table([_bytes(_photo()) for _ in range(5)])
    data = _training(rows, {"a": torch.arange(5)})
    plain = _fitted(rows).apply(rows)[0][0:5]["pixels"]
    seen = torch.cat([batch.inputs["scan"]["pixels"] for _, batch in data.once(2)])
    assert torch.equal(seen, plain)


def test_labels_per_pixel_follow_the_pixels():
    values = RNG.integers(0, 200, (9, 12, 12))
    rows = read({"scan": values.astype(np.uint8)})
    made = _fitted(
        rows,
        augmentation={"horizontal_flip": 0.5, "vertical_flip": 0.5, "random_crop": 3},
        mean=0.0,
        std=1.0,
    )
    targets = {"map": torch.from_numpy(values), "class": torch.arange(9)}
    moved = 0
    for batch in ArrayData({"scan": made.apply(rows)[0]}, targets).epoch(4, seed=0, number=0):
        labels = batch.targets["map"]
        known = labels != -100
        pixels = (batch.inputs["scan"]["pixels"][:, 0] * 255).round().long()
        assert torch.equal(pixels[known], labels[known])
        assert not pixels[~known].any()
        moved += int((labels != torch.from_numpy(values)[batch.targets["class"]]).sum())
    assert moved


def test_rows_on_disk_train_as_images_with_labels_that_follow(tmp_path):
    values = RNG.integers(1, 200, (40, 6, 6)).astype(np.uint8)
    rows = _table([_bytes(PIL.fromarray(each)) for each in values] + [None])
    made = _fitted(rows, augmentation={"horizontal_flip": 0.5, "random_crop": 1}, mean=0.0, std=1.0)
    maps = np.concatenate([values, np.zeros((1, 6, 6), np.uint8)]).astype(np.int64)
    with Writer(tmp_path / "train", rows=8) as writer:
        writer.add({"inputs": {"scan": made.apply(rows)[0]}, "targets": {"map": maps}}, 41)
        blocks = writer.finish()
    again = Blocks.of(tmp_path / "train", blocks.state())
    data = StreamData(again, lanes=4, buffer=16)
    whole = list(data.epoch(4, seed=0, number=1))
    for batch in whole:
        labels, pixels = batch.targets["map"], batch.inputs["scan"]["pixels"][:, 0]
        known = (labels != -100) & batch.inputs["scan"]["present"][:, None, None]
        assert torch.equal((pixels * 255).round().long()[known], labels[known])
    assert sum(map(len, whole)) == 41
    rest = list(data.epoch(4, seed=0, number=1, done=5))
    assert torch.equal(rest[0].inputs["scan"]["pixels"], whole[5].inputs["scan"]["pixels"])
    seen = torch.cat([batch.inputs["scan"]["pixels"] for _, batch in data.once(7)])
    assert torch.equal((seen[:40, 0] * 255).round().to(torch.uint8), torch.from_numpy(values))


@pytest.mark.parametrize("content", [b"no image", b"\0" * 50, b"\x89PNG\r\n\x1a\nxxxx", b"BM"])
def test_bytes_that_are_no_image_name_their_row(content):
    rows = pa.table({"scan": [_bytes(_photo()), content]})
    with pytest.raises(RowError, match=r"row 1: the image is not an image of the formats PNG"):
        _fitted(rows)


def test_a_file_that_makes_pillow_warn_is_damaged_where_warnings_are_errors():
    with pytest.raises(RowError, match=r"row 0: the image cannot be decoded \(Corrupt EXIF"):
        _fitted(pa.table({"scan": [b"II*\0aaaaaaaa"]}))
