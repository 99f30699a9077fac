"""Tasks with your own loss, head, metrics and predictions, from Python and from a config."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import motet
from motet.config import ConfigError
from motet.problems import InputError
from motet.tasks import Custom, MultiLabel, Prediction
from motet.tasks.kinds import LabelKind

RNG = np.random.default_rng(0)
X = RNG.normal(size=300)
NOISE = RNG.normal(size=300)
ROWS = {
    "x": X,
    "price": [None if each < -1.5 else 50 + 5 * v for each, v in zip(NOISE, X, strict=True)],
    "kind": np.where(X + 0.3 * NOISE > 0, "high", "low"),
    "tags": [["a"] * int(v > 0) + ["b"] * int(v < 0.5) for v in X],
}


class Spread(nn.Module):
    """A Gaussian with a mean and a spread for each row, and a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.unit = nn.Parameter(torch.zeros(()))

    def forward(self, raw, target):
        scale = softplus(raw[:, 1]) * self.unit.exp() + 1e-3
        return ((target - 50 - 5 * raw[:, 0]) / scale).square() / 2 + scale.log()

    def decode(self, raw):
        return 50 + 5 * raw[:, 0].double()


class Deep(nn.Module):
    def __init__(self, width, outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 5), nn.Tanh(), nn.Linear(5, outputs))

    def forward(self, features):
        return self.layers(features)


def half_off(predictions, targets):
    return float((np.abs(predictions - targets) > 0.5).mean())


half_off.best = 0.0


def sure(raw, target):
    """Cross-entropy with a bonus for being sure."""
    losses = nn.functional.cross_entropy(raw, target, reduction="none")
    return losses + 0.01 * raw.softmax(-1).square().sum(-1)


@pytest.fixture(autouse=True)
def registered():
    motet.register("loss", "spread_of_rows", Spread)
    motet.register("loss", "sure_classes", sure)
    motet.register("head", "deep_head", Deep)
    motet.register("metric", "half_off", half_off)


def config(tasks):
    return {
        "inputs": {"x": "number"},
        "tasks": tasks,
        "model": {"encoder": {"type": "mlp", "hidden": [8]}},
        "training": {"epochs": 12, "batch_size": 16, "optimizer": {"learning_rate": 0.02}},
    }


def test_a_config_names_loss_head_and_metrics(tmp_path):
    tasks = {
        "price": {
            "type": "custom",
            "loss": "spread_of_rows",
            "raw_outputs": 2,
            "head": {"type": "deep_head"},
            "metrics": ["half_off", "mae"],
        },
        "kind": {"type": "custom", "labels": "class", "loss": "sure_classes"},
        "tags": {"type": "custom", "labels": "indicators", "loss": "binary_cross_entropy"},
    }
    run = motet.train(config(tasks), ROWS, output=tmp_path / "run")
    again = motet.load(run.path)
    found = again.evaluate(ROWS, split="test")
    assert found["price"]["mae"] < 2
    assert list(found["price"])[:2] == ["half_off", "mae"]
    assert found["kind"]["auroc"] > 0.9
    assert found["tags"]["average_precision"] > 0.9
    predicted = again.predict({"x": [-2.0, 2.0]})
    assert predicted["kind"].to_pylist() == ["low", "high"]
    assert predicted["tags"].to_pylist() == [["b"], ["a"]]
    assert predicted["price"][0].as_py() < predicted["price"][1].as_py()
    assert again.model.tasks["price"].loss_function.unit != 0  # trained and saved


def test_python_gives_modules_and_functions():
    task = Custom(
        "y",
        loss=lambda raw, target: (raw[:, 0] - target).abs() + raw[:, 1].square(),
        raw_outputs=2,
        decode=lambda raw: Prediction(raw[:, 0].double()),
        head=nn.Linear(1, 2),
        metrics=[half_off],
    )
    model = motet.MultiTaskModel(nn.Identity(), [task], width=1)
    trainer = motet.Trainer(model, learning_rate=0.05, batch_size=32)
    x, y = X.astype(np.float32)[:, None], 2 * X.astype(np.float32)
    trainer.fit((x, {"y": y}), epochs=20)
    assert trainer.evaluate((x, {"y": y}))["y"]["half_off"] < 0.05
    assert trainer.predict(x)["y"].shape == (300,)


class Angles(LabelKind):
    """Angles (B,), NaN where missing."""

    name = "angles"
    flat = True
    default_metrics = (half_off,)

    def present(self, target):
        return ~target.isnan()


def test_a_kind_of_label_of_your_own_needs_a_way_to_decode():
    def loss(raw, target):
        return 1 - torch.cos(raw - target)

    task = Custom("a", labels=Angles(), loss=loss, decode=lambda raw: raw.double())
    total, count = task.loss(torch.tensor([0.0, 1.0]), torch.tensor([torch.pi, torch.nan]))
    assert (total.item(), count.item()) == (2, 1)
    assert task.metrics == (half_off,)
    with pytest.raises(InputError, match="nothing makes predictions"):
        Custom("a", labels=Angles(), loss=loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "mse", "raw_outputs": 2}, "raw_outputs: nothing makes predictions"),
        ({"loss": "mse", "classes": 3}, "applies only with labels: class or indicators"),
        ({"loss": "sure_clases"}, "is not known; did you mean 'sure_classes'"),
        ({"loss": "mse", "labels": "clas"}, "labels"),
        ({}, "loss: missing"),
        ({"loss": "mse", "metrics": ["auroc"]}, "'auroc' does not suit custom"),
    ],
)
def test_mistakes_in_a_config_are_reported_at_their_key(tmp_path, options, message):
    tasks = {"price": {"type": "custom", **options}}
    with pytest.raises(ConfigError, match=message) as caught:
        motet.train(config(tasks), ROWS, output=tmp_path / "run")
    assert "tasks.price" in str(caught.value)


def test_what_decode_returns_is_checked():
    task = Custom("a", loss="mse", decode=lambda raw: 3)
    with pytest.raises(InputError, match="decode returned 3, expected a tensor"):
        task.decode(torch.zeros(2))


def test_models_are_combined_as_for_the_built_in_task_with_such_labels():
    raw = torch.tensor([[2.0, -1.0], [-3.0, 0.5]])
    own = Custom("tags", loss="binary_cross_entropy", labels="indicators", classes=2)
    members = [own.decode(raw), own.decode(-0.5 * raw)]
    found = own.combine(members)
    expected = MultiLabel("tags", classes=2).combine(members)
    assert torch.equal(found.value, expected.value)
    assert torch.equal(found.probabilities, expected.probabilities)


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("poisson", "number"),
        ("binary_cross_entropy", "number"),
        ("cross_entropy", "number"),
        ("mse", "indicators"),
        ("mse", "class"),
    ],
)
def test_a_built_in_loss_whose_raw_outputs_would_be_taken_for_labels_is_refused(loss, labels):
    with pytest.raises(InputError, match=f"task 'a': loss: found {loss}, .* labels: {labels}; exp"):
        Custom("a", loss=loss, labels=labels)


def test_a_built_in_loss_with_a_way_to_decode_fits_other_labels():
    task = Custom("a", loss="poisson", decode=lambda raw: raw.double().exp())
    assert task.loss(torch.zeros(2), torch.tensor([2.0, 3.0])) == (2, 2)
    assert task.decode(torch.zeros(1)).value.tolist() == [1.0]
    with pytest.raises(InputError, match="found cross_entropy"):
        Custom("a", loss="cross_entropy", decode=lambda raw: raw)


class Places(LabelKind):
    """A class for every place of a map, (B, H, W)."""

    name = "places"
    default_metrics = (half_off,)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 3.0, 2.0])])
def test_a_loss_of_labels_with_more_axes_sees_the_rows_that_have_some(weights):
    def loss(raw, target):
        assert len(raw) == len(target) == 2  # of three rows
        return nn.functional.cross_entropy(raw, target, reduction="none")

    task = Custom("a", labels=Places(), loss=loss, decode=lambda raw: raw.argmax(dim=1))
    raw = torch.randn(3, 4, 2, 5, generator=torch.Generator().manual_seed(0))
    target = torch.full((3, 2, 5), -100)
    target[0, 1, 2], target[2, 0, 3] = 3, 1
    each = -torch.stack([raw[0, :, 1, 2].log_softmax(0)[3], raw[2, :, 0, 3].log_softmax(0)[1]])
    own = torch.ones(2) if weights is None else weights[[0, 2]]
    total, count = task.loss(raw, target, weights)
    torch.testing.assert_close((total, count), ((each * own).sum(), own.sum()))
