"""An input of any kind has a branch of the model, under its own name, and an encoder to itself."""

import numpy as np
import pytest
import torch
from torch import nn

import motet
from motet.config import ConfigError
from motet.data.inputs.base import Input
from motet.data.inputs.shapes import BranchShape, InputShapes
from motet.data.notes import Notes
from motet.data.values import as_matrix
from motet.encoders import Encoder
from motet.options import Annotated, Any, Chosen, Mapping
from motet.problems import InputError
from motet.registry import KINDS

RNG = np.random.default_rng(0)
ROWS = {
    "wave": RNG.normal(size=(90, 5)),
    "age": RNG.normal(size=90),
    "spend": RNG.normal(size=90),
}


class Wave(Input):
    """A list of five numbers per row, as a mapping of two arrays."""

    def __init__(
        self, name: str, *, encoder: Annotated[Mapping[str, Any] | str, Chosen("encoder")] = "mean"
    ) -> None:
        self.name = name

    def columns(self, available):
        return (self.name,)

    def apply(self, rows):
        values = as_matrix(rows[self.name], self.name, 5).astype(np.float32)
        return {"values": values, "high": values.max(axis=1)}, Notes(len(rows))

    def shape(self):
        return BranchShape("wave", (5,))

    def declared(self):
        return self.shape()

    def state(self):
        return {}

    def load(self, state):
        pass


class Mean(Encoder):
    """One layer over the numbers and the largest."""

    reads = "wave"

    def __init__(self, length: int) -> None:
        super().__init__()
        self.layer, self.width = nn.Linear(length + 1, 3), 3

    def forward(self, wave):
        return self.layer(torch.cat([wave["values"], wave["high"][:, None]], dim=1))


class Encoderless(Wave):
    """A kind whose class has no option that chooses an encoder."""

    def __init__(self, name: str) -> None:
        super().__init__(name)


@pytest.fixture(autouse=True)
def members():
    added = (("encoder", "mean", Mean), ("input", "wave", Wave), ("input", "bare", Encoderless))
    for each in added:
        motet.register(*each)
    yield
    for kind, name, _ in added:
        del KINDS[kind]._places[name]
        KINDS[kind].version += 1


def config(**inputs):
    return {
        "inputs": inputs,
        "tasks": {"spend": "regression"},
        "training": {"epochs": 2, "batch_size": 32},
    }


@pytest.mark.parametrize("others", [{}, {"age": "number"}])
def test_a_branch_serves_alone_and_beside_a_table(others, tmp_path):
    run = motet.train(config(wave="wave", **others), ROWS, output=tmp_path / "run")
    inputs = run.preprocess(ROWS)
    assert set(inputs) == {"wave", *(["numbers"] if others else [])}
    assert inputs["wave"]["high"].tolist() == ROWS["wave"].astype(np.float32).max(axis=1).tolist()
    (encoder,) = (module for module in run.model.modules() if isinstance(module, Mean))
    assert encoder.layer.weight.shape == (3, 6)
    predicted = run.predict(ROWS)
    assert motet.load(tmp_path / "run").predict(ROWS).equals(predicted)
    moved = run.predict({**ROWS, "wave": ROWS["wave"] + 1})
    assert not moved.equals(predicted)


def test_a_branch_has_a_model_without_data():
    model = motet.MultiTaskModel.from_config(config(wave="wave"))
    wave = {"values": torch.zeros(4, 5), "high": torch.zeros(4)}
    assert model({"wave": wave})["spend"].shape == (4,)


def test_the_encoder_of_a_branch_must_read_its_kind(tmp_path):
    with pytest.raises(ConfigError, match=r"inputs\.wave\.encoder: .*expected mean"):
        motet.train(config(wave={"type": "wave", "encoder": "mlp"}), ROWS, output=tmp_path / "run")
    with pytest.raises(ConfigError, match="bare has no option `encoder`"):
        motet.train(config(wave="bare"), ROWS, output=tmp_path / "run")


def test_a_branch_cannot_have_the_name_of_a_leaf_that_others_share():
    with pytest.raises(InputError, match="input 'numbers': the name is used for other inputs"):
        InputShapes.of({"numbers": BranchShape("wave")})
