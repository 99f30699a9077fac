"""Fusions join the features of several encoders; users may bring their own."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import motet
from motet import registry
from motet.config import ConfigError
from motet.encoders import LSTM, MLP, Fusion, Joined, fusion
from motet.model import MultiTaskModel
from motet.options import PositiveInt, checked
from motet.problems import InputError
from motet.run import check
from motet.run.building import build_trainer
from motet.tasks import Generation, Regression, SequenceLabelling, WordRegression

X = {"x": torch.randn(5, 3), "y": torch.randn(5, 2)}


class Gated(Fusion):
    """A sum of projections, each weighted by a learned number.

    Args:
        widths: The width of each encoder's features.
        size: Width of the sum.
    """

    @checked
    def __init__(self, widths, *, size: PositiveInt = 4):
        super().__init__()
        self.width = size
        self.maps = nn.ModuleList(nn.Linear(width, size) for width in widths)

    def forward(self, features, present):
        return sum(layer(each) for layer, each in zip(self.maps, features, strict=True))


@pytest.fixture
def gated():
    registry.register("fusion", "gated", Gated)
    yield
    registry.FUSIONS._places.pop("gated")
    registry.FUSIONS.version += 1


NEEDED = {"hierarchical": {"groups": {"g": ["a", "b"]}}, "cross_attention": {"heads": 1}}
"""Options without which a fusion cannot be made."""


def made_of(name, widths, **options):
    names = [*"abcdef"[: len(widths)]]
    chosen = {"type": name, **NEEDED.get(name, {}), **options}
    return fusion.create(chosen, widths, names, names)


@pytest.mark.parametrize("name", fusion.available())
@pytest.mark.parametrize("shape", [(5,), (5, 3)], ids=["rows", "words"])
def test_every_fusion_joins_features_of_rows_and_of_words(name, shape):
    made = made_of(name, [2, 4])
    found = made([torch.randn(*shape, 2), torch.randn(*shape, 4)], None)
    assert found.shape == (*shape, made.width)


def test_concat_has_no_parameter_and_keeps_the_order():
    made = fusion.create({"type": "concat"}, [1, 1])
    assert made([torch.zeros(1, 1), torch.ones(1, 1)], None).tolist() == [[0.0, 1.0]]
    assert made.state_dict() == {}


def test_an_unknown_fusion_is_rejected_with_the_nearest_name():
    with pytest.raises(InputError, match="no fusion is named 'concatt'; did you mean 'concat'"):
        fusion.create("concatt", [1])


def encoders():
    torch.manual_seed(0)
    return {"x": nn.Sequential(nn.Linear(3, 4), nn.ReLU()), "y": nn.Linear(2, 5)}


def test_a_model_of_several_encoders_concatenates_their_features():
    made = encoders()
    model = MultiTaskModel(encoders=made, tasks=[Regression("a")])
    expected = torch.cat([made["x"](X["x"]), made["y"](X["y"])], dim=1)
    assert_close(model.represent(X), expected)
    assert model.heads["a"].head.layers[-1].in_features == 9


@pytest.mark.parametrize("given", [Gated, lambda widths: Gated(widths, size=4), {"type": "gated"}])
def test_a_fusion_of_a_users_own_is_trained_with_the_model(gated, given):
    model = MultiTaskModel(encoders=encoders(), fusion=given, tasks=[Regression("a")])
    assert model.represent(X).shape == (5, 4)
    trainer = motet.Trainer(model)
    before = [parameter.clone() for parameter in model.sharing.stages[0].fusion.parameters()]
    trainer.train_step({"inputs": X, "targets": {"a": torch.arange(5.0)}})
    after = model.sharing.stages[0].fusion.parameters()
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_any_state_of_an_only_input_is_passed_on():
    torch.manual_seed(0)
    images = nn.Conv2d(3, 4, 3)
    images.gives = "map"
    joined = Joined(None, {}, branches={"image": images}, fusion=fusion.create("concat", [4]))
    assert joined.gives == "map"
    assert joined({"image": torch.zeros(2, 3, 5, 5)}).shape == (2, 4, 3, 3)


def test_words_are_fused_with_the_features_of_the_other_inputs():
    inputs = {"text": torch.tensor([[5, 6, 7], [8, 0, 0]]), "y": torch.randn(2, 2)}
    made = {"text": LSTM(10, width=4), "y": nn.Linear(2, 5)}
    slots = SequenceLabelling("slots", classes=["O", "x"])
    model = MultiTaskModel(encoders=made, tasks=[slots, Regression("a")]).eval()
    assert model.states(inputs)["slots"].states.shape == (2, 3, 9)
    assert model(inputs)["a"].shape == (2,)
    both = {"one": LSTM(10, width=4), "two": LSTM(10, width=4)}
    with pytest.raises(InputError, match="'slots' reads tokens, and several encoders give them: o"):
        MultiTaskModel(encoders=both, tasks=[slots])


@pytest.mark.parametrize(
    "task",
    [
        SequenceLabelling("t", classes=3, input="two"),
        WordRegression("t", input="two"),
        Generation("t", vocabulary_size=5, max_length=2, input="two"),
    ],
)
def test_a_task_names_the_text_whose_words_it_reads_among_several(task):
    made = {"one": LSTM(10, width=4), "two": LSTM(10, width=4)}
    model = MultiTaskModel(encoders=made, tasks=[task]).eval()
    inputs = {"one": torch.tensor([[5, 6]]), "two": torch.tensor([[7, 8, 9]])}
    assert model.states(inputs)["t"].states.shape == (1, 3, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "found neither of encoder and encoders"),
        ({"encoder": nn.Linear(3, 4), "encoders": {"x": nn.Linear(3, 4)}}, "found both of encoder"),
        ({"encoder": nn.Linear(3, 4), "fusion": "concat"}, "fusion: found one encoder, expected"),
        ({"encoders": {"x": nn.Flatten()}}, "encoders: the width of 'x' cannot be read"),
    ],
)
def test_encoders_that_do_not_fit_are_rejected(arguments, message):
    with pytest.raises(InputError, match=message):
        MultiTaskModel(tasks=[Regression("a")], **arguments)


def test_an_encoder_that_returns_no_features_is_explained():
    model = MultiTaskModel(
        encoders={"x": nn.GRU(3, 4), "y": nn.Linear(2, 4)}, tasks=[Regression("a")]
    )
    with pytest.raises(InputError, match="an encoder returned tuple, expected features"):
        model(X)


CONFIG = {
    "inputs": {"age": "number", "note": {"type": "text", "encoder": {"type": "lstm", "width": 4}}},
    "tasks": {"a": "regression"},
}


def test_a_config_names_the_fusion_of_its_inputs(gated):
    config = {**CONFIG, "model": {"fusion": {"type": "gated", "size": 3}}}
    rows = {"age": [1.0, 2.0] * 8, "note": ["a b", "b c"] * 8, "a": [0.5, 1.0] * 8}
    prepared = check(config, data=rows)
    model = build_trainer(prepared).model
    assert model.sharing.width == 3
    with pytest.raises(
        ConfigError, match=r"model\.fusion.*it joins several encoders, and there is"
    ):
        check({**config, "inputs": {"age": "number"}}, data=rows)
    with pytest.raises(ConfigError, match=r"model.fusion.*did you mean 'concat'"):
        check({**CONFIG, "model": {"fusion": "concatt"}}, data=rows)


def test_features_of_a_table_and_a_text_have_the_parameters_that_they_had():
    joined = Joined(MLP(2, hidden=(4,)), {"note": LSTM(9, width=4)})
    assert {name.split(".")[0] for name in joined.state_dict()} == {"table", "encoders"}
