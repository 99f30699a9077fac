"""One draw serves pixels and labels; it depends on (seed, epoch, row) and on nothing else."""

import pytest
import torch
from torch.testing import assert_close

from motet.data.images.augmentation import Augmentation, Drawn

EVERYTHING = {
    "horizontal_flip": 0.5,
    "vertical_flip": 0.5,
    "random_crop": 2,
    "random_resized_crop": {"scale": (0.4, 1.0)},
    "rotation": 30.0,
    "color_jitter": {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3},
    "random_erasing": {"probability": 0.7},
}
ROWS = torch.arange(40)


def _batch(count=40, channels=3, height=6, width=10):
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", list(EVERYTHING))
def test_every_option_changes_images_and_not_all_alike(name):
    batch = _batch(1).expand(40, -1, -1, -1).contiguous()
    options = {name: EVERYTHING[name]}
    drawn = Augmentation(options, (6, 10)).draw(ROWS, seed=0, epoch=0)
    changed = drawn.pixels(batch)
    assert changed.shape == batch.shape
    assert len(changed.flatten(1).unique(dim=0)) > 1
    assert not torch.equal(changed, batch)


def test_a_row_is_changed_alike_in_whatever_batch_it_is():
    augmentation, batch = Augmentation(EVERYTHING, (6, 10)), _batch()
    whole = augmentation.draw(ROWS, seed=3, epoch=2).pixels(batch)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    for own in order.split(7):
        part = augmentation.draw(own, seed=3, epoch=2).pixels(batch[own])
        assert_close(part, whole[own], rtol=0, atol=0)


def test_another_epoch_or_seed_draws_anew():
    augmentation, batch = Augmentation(EVERYTHING, (6, 10)), _batch()
    first = augmentation.draw(ROWS, seed=3, epoch=2).pixels(batch)
    for seed, epoch in ((3, 3), (4, 2)):
        other = augmentation.draw(ROWS, seed=seed, epoch=epoch).pixels(batch)
        assert not torch.equal(first, other)


def test_a_flip_is_that_of_torch_and_labels_flip_with_it():
    drawn = Augmentation({"horizontal_flip": 1.0}, (6, 10)).draw(ROWS, seed=0, epoch=0)
    batch = _batch()
    assert_close(drawn.pixels(batch), batch.flip(-1), rtol=0, atol=0)
    maps = torch.arange(40 * 60).reshape(40, 6, 10)
    assert_close(drawn.labels(maps), maps.flip(-1), rtol=0, atol=0)


def test_a_crop_moves_by_whole_pixels_with_black_and_missing_labels_outside():
    drawn = Augmentation({"random_crop": 2}, (6, 10)).draw(ROWS, seed=0, epoch=0)
    batch = _batch()
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2))
    moved, labels = drawn.pixels(batch), drawn.labels((batch[:, 0] * 100).long())
    seen = set()
    for row in range(40):
        fits = [
            (down, right)
            for down in range(5)
            for right in range(5)
            if torch.equal(moved[row], padded[row, :, down : down + 6, right : right + 10])
        ]
        (place,) = fits
        seen.add(place)
        inside = torch.zeros(6, 10, dtype=torch.bool)
        inside[max(2 - place[0], 0) : 8 - place[0], max(2 - place[1], 0) : 12 - place[1]] = True
        expected = torch.where(inside, (moved[row, 0] * 100).long(), -100)
        assert torch.equal(labels[row], expected)
    assert len(seen) > 12


@pytest.mark.parametrize("name", ["rotation", "random_resized_crop"])
def test_labels_are_where_the_pixels_are_that_they_belong_to(name):
    augmentation = Augmentation({name: EVERYTHING[name], "horizontal_flip": 0.5}, (32, 48))
    drawn = augmentation.draw(torch.arange(8), seed=0, epoch=0)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
    maps = torch.stack([y, x]).expand(8, 2, 32, 48)
    pixels, labels = drawn.pixels(maps), drawn.labels(maps)
    known = ~labels.isnan()
    inner = known & (labels > 0)
    inner[:, 0] &= labels[:, 0] < 31
    inner[:, 1] &= labels[:, 1] < 47
    both = inner.all(dim=1, keepdim=True).expand_as(labels)
    assert both.float().mean() > 0.5
    assert (pixels[both] - labels[both]).abs().max() <= 0.51  # interpolated, and the nearest


def test_labels_of_another_resolution_follow_at_their_own():
    drawn = Augmentation({"vertical_flip": 1.0}, (32, 32)).draw(ROWS[:2], seed=0, epoch=0)
    maps = torch.arange(32.0).reshape(2, 4, 4)
    assert torch.equal(drawn.labels(maps), maps.flip(1))


def test_rotation_turns_without_distortion_whatever_the_proportions():
    places = torch.tensor([[[0.0, -10 / 20, 0.0], [20 / 10, 0.0, 0.0]]], dtype=torch.float64)
    image = torch.zeros(1, 1, 10, 20)
    image[0, 0, 4:6, 7:13] = 1.0  # 2 x 6 pixels in the middle, turned by a right angle
    turned = Drawn((10, 20), places).labels(image)
    assert int(turned.nansum()) == 12
    assert torch.equal(turned[0, 0].nan_to_num().nonzero().amin(0), torch.tensor([2, 9]))


def test_erasing_leaves_the_fill_and_touches_neither_labels_nor_the_rest():
    options = {"random_erasing": {"probability": 1.0, "scale": (0.1, 0.2)}}
    drawn = Augmentation(options, (20, 20)).draw(ROWS, seed=0, epoch=0)
    batch = _batch(40, 3, 20, 20)
    changed = drawn.pixels(batch, fill=torch.tensor([2.0, 3.0, 4.0]))
    erased = changed[:, 0] == 2
    shares = erased.flatten(1).float().mean(1)
    assert shares.min() > 0.07
    assert shares.max() < 0.25
    assert torch.equal(changed[:, 2] == 4, erased)
    kept = ~erased[:, None].expand_as(batch)
    assert torch.equal(changed[kept], batch[kept])
    maps = torch.zeros(40, 20, 20)
    assert drawn.labels(maps) is maps


def test_colours_are_those_of_a_calculation_by_hand():
    jitter = {"color_jitter": {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5}}
    drawn = Augmentation(jitter, (6, 10)).draw(ROWS, seed=0, epoch=0)
    batch = _batch()
    expected = batch
    for name, factor in drawn.factors.items():
        f = factor[:, None, None, None]
        assert 0.5 <= factor.min() < 0.7
        assert 1.3 < factor.max() <= 1.5
        grey = (0.299 * expected[:, 0] + 0.587 * expected[:, 1] + 0.114 * expected[:, 2])[:, None]
        if name == "brightness":
            expected = expected * f
        elif name == "contrast":
            mean = grey.mean(dim=(1, 2, 3), keepdim=True)
            expected = mean * (1 - f) + expected * f
        else:
            expected = grey * (1 - f) + expected * f
        expected = expected.clamp(0, 1)
    assert_close(drawn.pixels(batch), expected)


@pytest.mark.parametrize("padding", [2, 9])
def test_moving_whole_pixels_is_looking_up_the_nearest_ones(padding):
    options = {"horizontal_flip": 0.5, "vertical_flip": 0.5, "random_crop": padding}
    drawn = Augmentation(options, (6, 10)).draw(ROWS, seed=0, epoch=0)
    batch = (_batch() * 255).to(torch.uint8)
    assert torch.equal(drawn.moved(batch), drawn.labels(batch, missing=0))
