"""Options of precision and memory in combination: the same steps, and none is ignored."""

from functools import cache

import pytest
import torch
from covering import pairwise_covering
from gloo import in_processes
from quick_cases import others_slow
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from motet.balancing import create
from motet.balancing.engine import check_pass
from motet.encoders import Transformer
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.registry import BALANCERS
from motet.tasks import Classification, Regression
from motet.training import Trainer
from motet.training.passes import check_micro_batches
from motet.training.stages import BalancerStages

X = torch.randn(12, 5, generator=torch.Generator().manual_seed(0)) / 4
BATCH = {"inputs": X, "targets": {"a": (X[:, 0] > 0).long(), "b": X[:, 1], "c": X[:, 2] - X[:, 3]}}
OPTIONS = {"manual": {"weights": {"a": 1.0, "b": 0.5, "c": 2.0}}, "gradnorm": {"layer": "all"}}
METHOD = ("balancer", "at", "heads", "normalize_losses", "clip_norm")
"""What changes the steps; everything else must not."""
FACTORS = {
    "balancer": list(BALANCERS),
    "precision": ["float32", "bfloat16", "float16"],
    "accumulate": [1, 3],
    "at": [None, "representation"],
    "heads": [None, "weighted"],
    "memory": [None, "low"],
    "gramian": [None, "rows"],
    "checkpointing": [False, True],
    "normalize_losses": [None, "initial"],
    "clip_norm": [None, 0.05],
    "deterministic": [False, True],
}


class Checkpointed(nn.Module):
    """A user's encoder that may compute a layer again in the backward pass."""

    def __init__(self, on):
        super().__init__()
        self.on, self.width = on, 6
        self.first, self.second = nn.Linear(5, 8), nn.Linear(8, 6)
        self.calls, self.dtypes = [], set()

    def forward(self, inputs):
        self.calls.append("encoder")
        if not self.on:
            return self._layers(inputs)
        return checkpoint(self._layers, inputs, use_reentrant=False)

    def _layers(self, inputs):
        self.calls.append("layers")
        hidden = self.first(inputs)
        self.dtypes.add(hidden.dtype)
        return torch.tanh(self.second(torch.tanh(hidden)))


def made(row):
    torch.manual_seed(0)
    backward = {key: row[key] for key in ("at", "heads", "memory", "gramian") if row.get(key)}
    name = row.get("balancer", "upgrad")
    model = MultiTaskModel(
        Checkpointed(row.get("checkpointing", False)),
        [Classification("a", classes=2), Regression("b"), Regression("c")],
    )
    names = ("precision", "accumulate", "normalize_losses", "clip_norm", "deterministic")
    return Trainer(
        model,
        {"type": name, **OPTIONS.get(name, {}), **backward},
        optimizer={"type": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        batch_size=12,
        device="cpu",
        **{key: row[key] for key in names if key in row},
    )


@cache
def balancer_of(name):
    return create(name, ["a", "b", "c"], **OPTIONS.get(name, {}))


def possible(row):
    """Whether options go together, by the checks that a trainer makes."""
    given = {key: row[key] for key in ("at", "heads", "memory", "gramian") if row.get(key)}
    balancer = balancer_of(row.get("balancer", "upgrad"))
    try:
        check_pass(balancer, **given)
        if row.get("accumulate", 1) > 1:
            check_micro_batches(BalancerStages([balancer], (), [given]), MODEL)
    except InputError:
        return False
    return True


MODEL = made({}).model
ROWS = pairwise_covering(FACTORS, possible)


@pytest.mark.parametrize(
    "row", others_slow(ROWS[::3], ROWS), ids=lambda row: "-".join(str(v) for v in row.values() if v)
)
def test_the_steps_are_those_without_and_every_option_is_in_use(row):
    trainer, exact = made(row), made({key: row[key] for key in METHOD})
    if row["precision"] == "float16":  # a scale at which nothing overflows
        tensors, header = trainer.state()
        tensors["scale/_extra_state"][0] = 256
        trainer.load_state(tensors, header)
    data = BATCH["inputs"], BATCH["targets"]
    for each in (trainer, exact):
        if each.balancer.needs.looks_ahead:
            each.fit(data, data, epochs=3)
        else:
            for _ in range(3):
                result = each.train_step(BATCH)
                assert not result.skipped
    half = row["precision"] != "float32"
    for name, value in exact.model.state_dict().items():
        tolerance = {"rtol": 0.05, "atol": 0.01} if half else {"rtol": 1e-4, "atol": 1e-5}
        assert_close(trainer.model.state_dict()[name], value, msg=name, **tolerance)
    encoder = next(m for m in trainer.model.modules() if isinstance(m, Checkpointed))
    assert getattr(torch, row["precision"]) in encoder.dtypes
    assert (encoder.calls.count("layers") > encoder.calls.count("encoder")) == row["checkpointing"]
    assert encoder.calls.count("encoder") >= 3 * row["accumulate"]
    if trainer.balancer.needs.looks_ahead:
        return
    result = trainer.train_step(BATCH).balanced
    if trainer.balancer.needs.reads != "losses" and row["accumulate"] == 1:
        paths = [row["at"], row["memory"] and "pieces", row["gramian"], result.path]
        assert result.path == next(filter(None, paths))


def test_every_two_values_that_go_together_meet():
    met = {
        (one, repr(row[one]), other, repr(row[other]))
        for row in ROWS
        for one in FACTORS
        for other in FACTORS
        if one != other
    }
    for name in BALANCERS:
        for precision in FACTORS["precision"]:
            assert ("balancer", repr(name), "precision", repr(precision)) in met
        assert ("balancer", repr(name), "checkpointing", "True") in met
    assert ("precision", "'float16'", "accumulate", "3") in met
    assert ("at", "'representation'", "precision", "'bfloat16'") in met
    assert ("memory", "'low'", "checkpointing", "True") in met


def through_checkpoints(dropout, **options):
    torch.manual_seed(0)
    encoder = Transformer(20, width=8, heads=2, layers=2, dropout=dropout, checkpointing=True)
    model = MultiTaskModel(encoder, [Classification("a", classes=2), Regression("b")]).double()
    trainer = Trainer(model, "upgrad", optimizer="sgd", **options)
    ids = torch.randint(1, 20, (12, 5), generator=torch.Generator().manual_seed(0))
    targets = {"a": BATCH["targets"]["a"], "b": BATCH["targets"]["b"].double()}
    for _ in range(2):
        trainer.train_step({"inputs": ids, "targets": targets})
    return model.state_dict()


@pytest.mark.parametrize(
    ("pieces", "dropout"), others_slow([(2, 0.3)], [(1, 0.0), (2, 0.0), (1, 0.3), (2, 0.3)])
)
def test_several_processes_train_through_checkpoints_as_one(pieces, dropout):
    """A module that is computed again in the backward pass draws what it drew."""
    one = through_checkpoints(dropout, accumulate=pieces)
    for each in in_processes(2, lambda: through_checkpoints(dropout, accumulate=pieces)):
        for name, value in one.items():
            assert_close(each[name], value, rtol=1e-12, atol=1e-12, msg=name)
