"""The residual network computes maps of the size asked for, and of a row the same in any batch."""

import pytest
import torch
from torch.testing import assert_close

from motet.encoders import CNN, create
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.sharing import Stages
from motet.sharing import create as create_sharing
from motet.tasks import Classification, Regression

DRAW = torch.Generator().manual_seed(0)
IMAGES = torch.randn(4, 3, 9, 14, generator=DRAW)


def made(height=9, width=14, **options):
    torch.manual_seed(0)
    return CNN(3, height, width, **{"widths": (8, 16), "blocks": 1, **options})


@pytest.mark.parametrize(
    ("size", "stride", "places"),
    [(8, 2, 4), (28, 4, 7), (32, 8, 4), (33, 8, 5), (3, 1, 3), (224, 16, 14)],
)
def test_the_stride_follows_from_the_size_of_images(size, stride, places):
    encoder = CNN(1, size, size, widths=(2, 2, 4), blocks=1)
    assert encoder.stride == stride
    assert encoder(torch.zeros(1, 1, size, size)).shape == (1, 4, places, places)


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_a_place_of_the_map_stands_for_stride_pixels_rounded_up_at_the_edge(stride):
    found = made(stride=stride)(IMAGES)
    assert found.shape == (4, 16, -(-9 // stride), -(-14 // stride))


@pytest.mark.parametrize(("stride", "wide"), [(4, 25), (2, 29), (1, 31)])
def test_a_place_sees_as_far_as_filters_and_dilation_let_it(stride, wide):
    encoder = CNN(1, 65, 65, widths=(2, 2, 2), blocks=1, stride=stride).double()
    for layer in encoder.modules():  # a norm would let a place see all of the image
        if isinstance(layer, torch.nn.GroupNorm):
            layer.forward = lambda state: state
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.data.abs_()
    image = torch.ones(1, 1, 65, 65).double().requires_grad_()
    middle = encoder(image)[0, 0]
    middle[len(middle) // 2, len(middle) // 2].backward()
    rows = image.grad[0, 0].any(dim=1).nonzero().flatten()
    # 3 for the stem, then two layers of each stage, whose filters reach 1, 2 and 4 pixels; those
    # that halve the map still reach as far as on the finer one
    assert int(rows[-1] - rows[0]) + 1 == wide


def test_a_row_is_encoded_alike_in_any_batch_unless_rows_are_normalised_together():
    encoder = made()
    assert_close(encoder(IMAGES)[:1], encoder(IMAGES[:1]))
    batch = made(norm="batch")
    assert not torch.allclose(batch(IMAGES)[:1], batch(IMAGES[:1]))
    batch.eval()
    assert_close(batch(IMAGES)[:1], batch(IMAGES[:1]))


def test_gradients_of_micro_batches_add_up_to_those_of_the_batch():
    one, two = made(), made()
    one(IMAGES).square().sum().backward()
    for part in IMAGES.split(1):
        two(part).square().sum().backward()
    for whole, parts in zip(one.parameters(), two.parameters(), strict=True):
        assert_close(whole.grad, parts.grad, rtol=1e-4, atol=1e-3)


def test_dropout_is_drawn_in_training_alone():
    encoder = made(dropout=0.5)
    assert not torch.equal(encoder(IMAGES), encoder(IMAGES))
    encoder.eval()
    assert torch.equal(encoder(IMAGES), encoder(IMAGES))


def test_stages_are_the_stem_and_one_for_each_width():
    encoder = made(widths=(8, 16, 4))
    stages = Stages.of(encoder)
    assert len(stages) == 4
    assert [stages.features(place).width for place in range(3)] == [8, 8, 16]
    state = IMAGES
    for stage in stages:
        state = stage(state)
    assert torch.equal(state, encoder(IMAGES))


@pytest.mark.parametrize("scheme", ["soft", "cross_stitch", "attention", "ple", "progressive"])
def test_sharing_schemes_split_it(scheme):
    tasks = [Classification("a", classes=3), Regression("b")]
    model = MultiTaskModel(made(widths=(8, 8, 8)), tasks, sharing=create_sharing(scheme))
    found = model(IMAGES)
    assert {name: tuple(raw.shape) for name, raw in found.items()} == {"a": (4, 3), "b": (4,)}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"stride": 3}, r"found 3, expected a power of two .*: 1, 2, 4, 8"),
        ({"stride": 16}, r"found 16, .* 3 stages can make and 9 pixels have room for: 1, 2, 4, 8"),
        ({"widths": ()}, "at least one stage"),
        ({"norm": "layer"}, "'group' or 'batch'"),
        ({"width": 3}, "no option 'width'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, told):
    with pytest.raises(InputError, match=told):
        create("cnn", 3, 9, 14, **options)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (torch.zeros(2, 1, 9, 14), r"found images \(2, 1, 9, 14\), expected a tensor \(B, 3, H, W"),
        (torch.zeros(2, 9, 14), r"found images \(2, 9, 14\)"),
        (torch.zeros(2, 3, 9, 14, dtype=torch.uint8), r"uint8, expected normalised numbers"),
    ],
)
def test_other_images_are_refused(images, told):
    with pytest.raises(InputError, match=told):
        made()(images)
