"""Task gradients are measured while a model trains, and training does not change by it."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

import motet
from motet.training import Trainer
from motet.training.layer_groups import layer_groups
from motet.training.looks import Looks
from motet.training.pairs import Pairs
from motet.training.statistics import Measured

EVERY_STEP = {"every": 1, "affinity": "exact"}
X = torch.randn(48, 6, generator=torch.Generator().manual_seed(0))
Y = {"a": (X[:, 0] > 0).long(), "b": X[:, 1] + X[:, 2], "c": -X[:, 1] + X[:, 3]}


def tasks():
    return [
        motet.tasks.Classification("a", classes=2),
        motet.tasks.Regression("b"),
        motet.tasks.Regression("c"),
    ]


def trainer(balancer="equal", encoder=None, **options):
    torch.manual_seed(0)
    if encoder is None:
        encoder = nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 7)
        )
    else:
        encoder = encoder()
    model = motet.MultiTaskModel(encoder, tasks(), width=7)
    return Trainer(model, balancer, batch_size=16, learning_rate=0.01, **options)


class Recomputed(nn.Module):
    """Computes its layers again in every backward pass."""

    width = 7

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7), nn.Dropout(0.3))

    def forward(self, x):
        return checkpoint(self.layers, x, use_reentrant=False)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad", "graddrop", "famo"])
def test_measuring_changes_no_bit_of_training(balancer, accumulate):
    if accumulate > 1 and balancer in ("graddrop", "famo"):
        pytest.skip("the same passes as above")
    measuring = trainer(balancer, accumulate=accumulate, analysis=EVERY_STEP)
    plain = trainer(balancer, accumulate=accumulate, analysis=None)
    for each in (measuring, plain):
        each.fit((X, Y), epochs=2)
    assert_close(measuring.model.state_dict(), plain.model.state_dict(), rtol=0, atol=0)
    assert measuring.statistics()["pairs"]["steps"][0][1] == 6


def test_batch_norm_of_recomputed_layers_moves_no_further():
    """A look makes backward passes, and each of them computes the layers again."""
    measuring = trainer(encoder=Recomputed, analysis=EVERY_STEP)
    plain = trainer(encoder=Recomputed, analysis=None)
    for each in (measuring, plain):
        each.fit((X, Y), epochs=2)
    assert_close(measuring.model.state_dict(), plain.model.state_dict(), rtol=0, atol=0)
    assert measuring.statistics()["pairs"] is not None


def test_inner_products_are_those_of_the_gradients_and_add_up_over_layers():
    encoder = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 7), nn.Tanh())
    one = trainer(encoder=lambda: encoder, analysis={"every": 1})
    twin = copy.deepcopy(one.model).double()
    found = one.train_step({"inputs": X, "targets": Y}).measured
    losses = twin.losses(twin(X.double()), Y)
    shared = list(twin.sharing.parameters())
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, shared, retain_graph=True)])
        for loss in losses.values()
    ]
    gradients = torch.stack(rows)
    assert_allclose(found.gramian, (gradients @ gradients.T).numpy(), rtol=1e-4, atol=1e-7)
    assert list(found.by_group) == ["layer 1", "layer 2"]
    first = gradients[:, : 6 * 8 + 8]
    assert_allclose(found.by_group["layer 1"], (first @ first.T).numpy(), rtol=1e-4, atol=1e-7)
    assert_allclose(sum(found.by_group.values()), found.gramian, rtol=1e-12)


def test_records_of_the_steps_that_measure_have_cosines_by_group_and_affinity():
    records = []
    one = trainer(analysis={"every": 2}, on_record=records.append)
    one.fit((X, Y), epochs=3)  # 9 steps
    steps = [record for record in records if record["event"] == "step"]
    assert [record["step"] for record in steps] == [2, 4, 6, 8]
    for record in steps:
        assert record["compared"] == ["a", "b", "c"]
        assert np.shape(record["cosines"]) == np.shape(record["affinity"]) == (3, 3)
        assert all(np.shape(each) == (3, 3) for each in record["cosines_by_group"].values())
        assert record["tasks"]["a"]["gradient_norm"] > 0


def test_balancers_that_read_inner_products_are_measured_at_every_step():
    one = trainer("pcgrad", analysis={"affinity": "none", "layers": False})
    one.fit((X, Y), epochs=3)
    found = one.statistics()
    assert found["pairs"]["steps"] == [[9] * 3] * 3
    assert "affinity" not in found["pairs"]
    assert found["gradients"]["a"]["count"] == 9


def test_a_resumed_trainer_continues_the_statistics():
    whole, first, second = (trainer("pcgrad", analysis=EVERY_STEP) for _ in range(3))
    whole.fit((X, Y), epochs=3)
    first.fit((X, Y), epochs=1)
    second.load_state(first.state())
    second.fit((X, Y), epochs=3)
    first.fit((X, Y), epochs=3)
    assert first.statistics()["pairs"]["steps"][0][0] == 9
    half = trainer("pcgrad", analysis=EVERY_STEP)
    half.load_state(first.state())
    assert half.statistics() == first.statistics()


def test_cosines_of_steps_are_averaged_and_not_gradients():
    pairs = Pairs()
    for first, second in (([1.0, 0.0], [-1.0, 0.01]), ([-1.0, 0.0], [1.0, 0.01])):
        rows = np.array([first, second])
        pairs.add(Measured(("a", "b"), rows @ rows.T))
    assert pairs.cosines()[0, 1] == pytest.approx(-0.9999, abs=1e-4)
    assert pairs.summary()["conflicts"][0][1] == 1.0


@pytest.mark.parametrize("steps", [1, 7, 300])
def test_the_mean_of_a_constant_cosine_is_that_cosine_at_every_step(steps):
    pairs = Pairs()
    for _ in range(steps):
        pairs.add(Measured(("a", "b"), np.array([[4.0, 0.6], [0.6, 1.0]])))
    assert pairs.cosines()[0, 1] == pytest.approx(0.3)


@pytest.mark.parametrize("steps", [2, 30, 400])
def test_standard_errors_are_those_of_the_mean_over_steps(steps):
    random = np.random.default_rng(0)
    cosines, effects = random.uniform(-0.5, 0.9, steps), random.normal(size=steps)
    pairs = Pairs()
    for cosine, effect in zip(cosines, effects, strict=True):
        gramian = np.array([[1.0, cosine], [cosine, 1.0]])
        pairs.add(Measured(("a", "b"), gramian), np.full((2, 2), effect))
    found = pairs.summary()
    assert found["affinity_steps"][0][1] == steps
    assert found["affinity_errors"][0][1] == pytest.approx(
        effects.std(ddof=1) / steps**0.5, rel=1e-5
    )
    weights = 0.99 ** np.arange(steps)[::-1]
    weights /= weights.sum()
    variance = weights @ (cosines - weights @ cosines) ** 2
    effective = 1 / (weights @ weights)
    expected = (variance / (effective - 1)) ** 0.5
    assert found["cosine_errors"][0][1] == pytest.approx(expected, rel=1e-5)


def test_one_step_has_no_standard_error():
    pairs = Pairs()
    pairs.add(Measured(("a", "b"), np.eye(2)), np.full((2, 2), 0.5))
    found = pairs.summary()
    assert found["affinity_errors"] == found["cosine_errors"] == [[None] * 2] * 2


def test_a_step_counts_for_the_pairs_that_take_part():
    pairs = Pairs()
    pairs.add(Measured(("a", "b"), np.eye(2)))
    pairs.add(Measured(("c", "a"), np.array([[1.0, -0.5], [-0.5, 1.0]])), np.full((2, 2), 0.5))
    found = pairs.summary()
    assert found["tasks"] == ["a", "b", "c"]
    assert found["steps"] == [[2, 1, 1], [1, 1, 0], [1, 0, 1]]
    assert found["cosines"][0] == [1.0, 0.0, -0.5]
    assert found["cosines"][1][2] is None
    assert found["affinity"][0] == [0.5, None, 0.5]


def test_a_task_with_an_infinite_gradient_does_not_count():
    pairs = Pairs()
    gramian = np.array([[1.0, np.inf, 0.5], [np.inf, np.inf, np.inf], [0.5, np.inf, 1.0]])
    pairs.add(Measured(("a", "b", "c"), gramian))
    assert pairs.tasks == ("a", "c")
    assert pairs.cosines().tolist() == [[1.0, 0.5], [0.5, 1.0]]


@pytest.mark.parametrize(("affinity", "passes"), [("first_order", 2 / 3), ("exact", 1.0)])
@pytest.mark.parametrize("count", [2, 3, 8, 30, 128])
def test_auto_adds_at_most_three_percent_of_the_passes(affinity, passes, count):
    every = Looks({"affinity": affinity}).every(count)
    assert count * passes / every <= 0.03
    assert every % 50 == 0
    assert count * passes / max(every - 50, 1) > 0.03  # and no less than it can


def test_layers_are_counted_from_the_inputs_and_others_named_by_module():
    hard = motet.MultiTaskModel(nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 7)), tasks())
    groups = layer_groups(hard, hard.shared_parameters())
    assert {name: len(each) for name, each in groups.items()} == {"layer 1": 2, "layer 2": 2}
    experts = motet.MultiTaskModel(
        nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 7)),
        tasks(),
        sharing=motet.sharing.create("ple", experts=2, levels=2, expert_width=4),
    )
    groups = layer_groups(experts, experts.shared_parameters())
    assert any(name.startswith("levels.0") for name in groups)
    assert sum(map(len, groups.values())) == len(experts.shared_parameters())
