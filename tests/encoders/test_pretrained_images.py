"""Vision models from a folder give maps, learn, and are saved without the folder."""

import json
import sys
import types

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn
from torch.testing import assert_close

import motet
from motet.data.inputs.image import Image
from motet.encoders import PretrainedImages, create
from motet.problems import InputError
from motet.run.building import check

transformers = pytest.importorskip("transformers")
SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
VIT = {"model_type": "vit", **SIZES, "num_attention_heads": 2, "image_size": 16, "patch_size": 4}
DINO = {**VIT, "model_type": "dinov2"}
REGISTERS = {**VIT, "model_type": "dinov2_with_registers"}
CONV = {"hidden_sizes": [4, 8, 8, 16], "depths": [1, 1, 1, 1]}
NEXT = {"model_type": "convnext", **CONV}
RESNET = {"model_type": "resnet", **CONV, "embedding_size": 4}


@pytest.mark.parametrize(
    ("architecture", "size", "places"),
    [(VIT, 16, 4), (VIT, 24, 6), (DINO, 24, 6), (REGISTERS, 16, 4), (NEXT, 64, 2), (RESNET, 64, 2)],
    ids=lambda each: each["model_type"] if isinstance(each, dict) else str(each),
)
def test_states_become_a_map_and_the_whole_of_it_is_trained(architecture, size, places):
    torch.manual_seed(0)
    encoder = PretrainedImages(3, size, size, architecture=architecture)
    found = encoder(torch.randn(2, 3, size, size))
    assert found.shape == (2, 16, places, places)
    found.square().sum().backward()
    trained = [each for each in encoder.parameters() if each.requires_grad]
    assert all(each.grad is not None for each in trained)
    assert sum(each.numel() for each in trained) > 0.8 * sum(
        p.numel() for p in encoder.parameters()
    )


def test_the_places_of_a_map_are_those_of_the_patches():
    torch.manual_seed(0)
    encoder = PretrainedImages(3, 16, 16, architecture=REGISTERS).eval()
    images = torch.randn(2, 3, 16, 16)
    states = encoder.model(pixel_values=images).last_hidden_state
    found = encoder(images)
    for line in range(4):
        for column in range(4):
            assert_close(found[:, :, line, column], states[:, 5 + 4 * line + column])


def folder(tmp_path, architecture=VIT, **more):
    torch.manual_seed(1)
    options = {name: each for name, each in architecture.items() if name != "model_type"}
    config = transformers.AutoConfig.for_model(architecture["model_type"], **options)
    path = tmp_path / "model"
    transformers.AutoModel.from_config(config).save_pretrained(path)
    said = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], **more}
    (path / "preprocessor_config.json").write_text(json.dumps(said))
    return str(path)


def test_a_folder_gives_its_weights_its_learning_rate_and_fewer_layers_if_asked(tmp_path):
    path = folder(tmp_path)
    encoder = PretrainedImages(3, 16, 16, path=path).eval()
    model = transformers.AutoModel.from_pretrained(path).eval()
    images = torch.randn(2, 3, 16, 16)
    states = model(pixel_values=images).last_hidden_state[:, 1:]
    assert_close(encoder(images).flatten(2).transpose(1, 2), states)
    assert encoder.own_learning_rate == 2e-5
    cut = PretrainedImages(3, 16, 16, path=path, layers=1, learning_rate=0.5, checkpointing=True)
    assert len(cut.model.layers if hasattr(cut.model, "layers") else cut.model.encoder.layer) == 1
    assert cut.own_learning_rate == 0.5
    again = PretrainedImages(3, 16, 16, **{**cut.portable_options(), "layers": None})
    again.load_state_dict(cut.state_dict())
    assert_close(again.eval()(images), cut.eval()(images))


@pytest.mark.parametrize(
    ("sizes", "options", "told"),
    [
        ((3, 16, 16), {}, "found neither of path and architecture"),
        (
            (1, 16, 16),
            {"architecture": VIT},
            "images have 1 channel, but the model reads 3; give t",
        ),
        ((3, 18, 16), {"architecture": VIT}, r"patches are 4 x 4: give the input size: \[16, 16\]"),
        ((3, 16, 16), {"architecture": {"model_type": "bert"}}, "bert reads input_ids, expected a"),
        ((3, 16, 16), {"architecture": VIT, "layers": 3}, "found 3, but the model has 2"),
        (
            (3, 64, 64),
            {"architecture": RESNET, "checkpointing": True},
            "cannot recompute its layers",
        ),
        ((3, 16, 16), {"path": "nowhere"}, "not a folder here; models are not downloaded"),
        ((3, 16, 16), {"architecture": VIT, "pool": "first"}, "pool"),
    ],
)
def test_what_does_not_fit_is_refused(sizes, options, told):
    with pytest.raises(InputError, match=told):
        PretrainedImages(*sizes, **options)


def config_of(encoder, **more):
    return {
        "inputs": {"photo": {"type": "image", "encoder": encoder, **more}},
        "tasks": {"dark": "regression", "half": {"type": "segmentation", "classes": 2}},
        "training": {"epochs": 1, "batch_size": 8},
    }


def rows(count=24):
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 255, (count, 16, 16, 3))
    halves = np.repeat((np.arange(16) > 7)[None].astype(int), 16, axis=0)
    return pa.table(
        {
            "photo": pixels.tolist(),
            "dark": pixels.mean(axis=(1, 2, 3)),
            "half": [halves.tolist()] * count,
        }
    )


def test_a_run_normalises_as_the_model_needs_and_is_loaded_without_its_folder(tmp_path):
    path = folder(tmp_path)
    run = motet.train(
        config_of({"type": "pretrained", "path": path}), rows(), output=tmp_path / "run"
    )
    state = json.loads((run.path / "model" / "preprocessing.json").read_text())
    assert state["inputs"]["photo"]["state"]["mean"] == [0.5, 0.4, 0.3]
    before = run.predict(rows())
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    again = motet.load(run.path / "model")
    assert again.predict(rows()).equals(before)
    assert np.array(before["half"].to_pylist()).shape == (24, 16, 16)


def test_other_means_than_those_of_the_model_are_refused(tmp_path):
    path = folder(tmp_path)
    encoder = {"type": "pretrained", "path": path}
    with pytest.raises(
        InputError, match=r"\[0.5, 0.4, 0.3\], as its preprocessor_config.json says"
    ):
        check(config_of(encoder, mean=[0.1, 0.4, 0.3], std=[0.2, 0.3, 0.4]), data=rows())
    check(config_of(encoder, mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4]), data=rows())


# timm, which may not be installed ------------------------------------------------------------


class Levels(nn.Module):
    def __init__(self, channels, last=False):
        super().__init__()
        self.one, self.two = nn.Conv2d(channels, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)
        self.feature_info = types.SimpleNamespace(channels=lambda: [4, 6])
        self.last = last

    def forward(self, images):
        fine = self.one(images)
        maps = [fine, self.two(fine)]
        return [each.movedim(1, -1) for each in maps] if self.last else maps


@pytest.fixture
def stand_in(monkeypatch):
    calls = []

    def create_model(name, **options):
        calls.append((name, options))
        return Levels(options["in_chans"], last=name == "swin")

    def get_pretrained_cfg(name):
        if name == "small.wrong":
            raise RuntimeError("Invalid pretrained tag")
        moments = types.SimpleNamespace(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
        return moments if name in ("small", "swin") else None

    made = types.ModuleType("timm")
    made.create_model, made.is_model = create_model, lambda name: name in ("small", "swin")
    made.get_pretrained_cfg = get_pretrained_cfg
    made.__version__ = "1.0"
    monkeypatch.setitem(sys.modules, "timm", made)
    return calls


def test_a_model_of_timm_gives_one_of_its_maps(stand_in):
    encoder = create("timm", 1, 8, 8, model="small")
    assert encoder(torch.zeros(2, 1, 8, 8)).shape == (2, 6, 2, 2)
    assert encoder.width == 6
    assert encoder.own_learning_rate is None
    fine = create("timm", 1, 8, 8, model="small", level=1, weights="w.safetensors")
    assert fine(torch.zeros(2, 1, 8, 8)).shape == (2, 4, 4, 4)
    assert fine.own_learning_rate == 2e-5
    assert fine.portable_options() == {"weights": None, "learning_rate": 2e-5}
    given = [options for _, options in stand_in]
    assert [each["pretrained"] for each in given] == [False, True]
    assert given[1]["pretrained_cfg_overlay"] == {"file": "w.safetensors"}
    assert all(each["features_only"] and each["in_chans"] == 1 for each in given)


@pytest.mark.usefixtures("stand_in")
def test_maps_of_timm_whose_channels_come_last_are_turned():
    encoder = create("timm", 3, 8, 16, model="swin")
    found = encoder(torch.ones(2, 3, 8, 16))
    assert (encoder.width, tuple(found.shape)) == (6, (2, 6, 2, 4))
    assert torch.equal(found, encoder.model.two(encoder.model.one(torch.ones(2, 3, 8, 16))))


@pytest.mark.usefixtures("stand_in")
def test_pixels_are_normalised_as_timm_knows_of_the_model():
    def moments(channels, encoder, **options):
        made = Image("photo", size=(8, 8), channels=channels, encoder=encoder, **options)
        table = rows().select(["photo"])
        made.observe(table)
        made.finish()
        return made.state()["mean"], made.state()["std"]

    pretrained = {"type": "timm", "model": "small", "weights": "w.safetensors"}
    assert moments(3, pretrained) == ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    assert moments(1, pretrained) == ([pytest.approx(0.4)], [pytest.approx(0.3)])
    assert moments(3, pretrained, mean=0.1, std=0.2) == ([0.1] * 3, [0.2] * 3)
    learned = moments(3, "cnn")
    assert moments(3, {"type": "timm", "model": "small"}) == learned
    for name in ("unknown", "small.wrong"):
        assert moments(3, {**pretrained, "model": name}) == learned


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "large"}, "has no model 'large'"),
        ({"model": "small", "level": 3}, "found 3, but small gives 2 maps"),
        ({"model": "small", "level": 0}, "found 0"),
        ({"model": "small", "weights": "w.bin"}, "others are pickles"),
    ],
)
@pytest.mark.usefixtures("stand_in")
def test_what_timm_cannot_do_is_refused(options, told):
    with pytest.raises(InputError, match=told):
        create("timm", 1, 8, 8, **options)


def test_without_timm_one_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r'pip install "motet\[timm\]"'):
        create("timm", 1, 8, 8, model="small")
