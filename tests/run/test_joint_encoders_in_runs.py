"""One encoder of all inputs in a config, and encoders of vectors that take bins or do not."""

import numpy as np
import pytest
import torch
from torch import nn

import motet
from motet.config import ConfigError
from motet.data.inputs.shapes import BranchShape, InputShapes, NumberColumn, TableShape, TextSizes
from motet.encoders import Encoder
from motet.registry import KINDS
from motet.run import check

RNG = np.random.default_rng(0)
Y = RNG.normal(size=60)
ROWS = {
    "age": Y + 1,
    "kind": np.where(Y > 0, "a", "b"),
    "t": ["good shoe" if each > 0 else "" for each in Y],
    "s": [[[each, each]] * (1 + row % 3) if row % 4 else None for row, each in enumerate(Y)],
    "y": Y,
}
CONFIG = {
    "inputs": {
        "kind": "category",
        "t": {"type": "text", "tokenizer": "words"},
        "s": {"type": "sequence"},
        "age": "number",
    },
    "tasks": {"y": "regression"},
    "model": {"encoder": {"type": "joint", "width": 3}},
    "training": {"epochs": 1, "batch_size": 16, "early_stopping": None},
}


class Joint(Encoder):
    """A layer over the number, the words and the frames."""

    reads = "inputs"

    def __init__(self, shapes: InputShapes, *, width: int = 4) -> None:
        super().__init__()
        self.shapes, self.width, self.seen = shapes, width, []
        self.words = nn.Embedding(shapes.texts["t"].vocabulary, width)
        self.layer = nn.Linear(2 + shapes.by_name["s"].arguments[0], width)

    def forward(self, inputs):
        given = self.shapes.split(inputs)
        self.seen.append(given)
        numbers = [given["age"]["numbers"], given["kind"]["categories"]]
        frames = given["s"]["frames"].sum(1) * given["s"]["present"][:, None]
        return self.layer(torch.cat([*numbers, frames], dim=1)) + self.words(given["t"]["ids"]).sum(
            1
        )


class Plain(Encoder):
    """Reads vectors, without any bins."""

    reads = "vector"

    def __init__(self, width: int, *, size: int = 2) -> None:
        super().__init__()
        self.layer, self.width = nn.Linear(width, size), size

    def forward(self, inputs):
        return self.layer(inputs)


@pytest.fixture(autouse=True)
def registered():
    motet.register("encoder", "joint", Joint)
    motet.register("encoder", "plain", Plain)
    yield
    for name in ("joint", "plain"):
        KINDS["encoder"]._places.pop(name)
        KINDS["encoder"].version += 1


def test_an_encoder_of_all_inputs_is_made_with_their_shapes_and_gets_each_by_its_name(tmp_path):
    run = motet.train(CONFIG, ROWS, output=tmp_path / "run")
    encoder = next(each for each in run.model.modules() if isinstance(each, Joint))
    shapes = encoder.shapes.by_name
    assert list(shapes) == ["kind", "t", "s", "age"]
    kinds = {"kind": TableShape, "t": TextSizes, "s": BranchShape, "age": TableShape}
    assert all(isinstance(shapes[name], kind) for name, kind in kinds.items())
    encoder.seen.clear()
    again = motet.load(tmp_path / "run")
    predicted = run.predict(ROWS)
    assert again.predict(ROWS).equals(predicted)
    (seen,) = encoder.seen
    assert list(seen["age"]) == ["numbers"]
    assert list(seen["kind"]) == ["categories"]
    assert seen["age"]["numbers"].shape == seen["kind"]["categories"].shape == (60, 1)
    assert seen["s"]["present"].sum() == 45
    assert run.model.fusion is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"encoder": "joint", "fusion": "attention"}}, "model.fusion.*reads all inputs"),
        (
            {"inputs": {**CONFIG["inputs"], "t": {"type": "text", "encoder": "transformer"}}},
            "inputs.t.encoder.*joint reads all inputs itself.*no encoder of its own; remove it",
        ),
        (
            {"inputs": {**CONFIG["inputs"], "t": {"type": "text", "encoder": "joint"}}},
            "inputs.t.encoder",
        ),
    ],
)
def test_what_an_encoder_of_all_inputs_leaves_without_effect_is_refused(change, message):
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        check({**CONFIG, **change}, data=ROWS)


def test_a_source_that_lacks_inputs_gives_none_in_their_place():
    number, text = TableShape(tuple(map(NumberColumn, "ab"))), TextSizes(9)
    shapes = InputShapes.of({"pair": number, "t": text, "image": BranchShape("image", (1, 2, 2))})
    numbers = torch.zeros(2, 2)
    found = shapes.split({"numbers": numbers, "texts": {"t": None}})
    assert found == {"pair": {"numbers": found["pair"]["numbers"]}, "t": None, "image": None}
    assert shapes.split({"numbers": None, "texts": None, "image": numbers})["pair"] is None


def test_an_encoder_of_vectors_without_bins_gets_plain_numbers_and_one_with_them_its_bins(tmp_path):
    vectors = {**ROWS, "v": RNG.normal(size=(60, 3)).tolist()}
    widths = {}
    for encoder in ("plain", "identity"):
        inputs = {"v": {"type": "vector", "scaling": "piecewise", "bins": 4, "encoder": encoder}}
        run = motet.train(
            {**CONFIG, "inputs": inputs, "model": {}}, vectors, output=tmp_path / encoder
        )
        assert motet.load(run.path).predict(vectors).equals(run.predict(vectors))
        widths[encoder] = run.model.describe()["width"]
    assert widths["plain"] == 2
    assert widths["identity"] > 3
