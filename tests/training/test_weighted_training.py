"""Weights of rows in training: the same step and optimum however rows are batched."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from motet.data.arrays import ArrayData
from motet.data.judged_rows import JudgedRows
from motet.data.several import Sources
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification, Prediction, Regression, Task, TaskMetrics
from motet.training import Trainer

N = 40


def data(seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(N, 3, generator=generator)
    targets = {
        "a": torch.randint(2, (N,), generator=generator),
        "b": torch.randn(N, generator=generator),
    }
    targets["b"][::5] = torch.nan
    weights = {task: torch.rand(N, generator=generator) * 5 for task in targets}
    weights["a"][::4] = 0
    return inputs, targets, weights


def model(seed=0):
    torch.manual_seed(seed)
    tasks = [Classification("a", classes=2), Regression("b")]
    return MultiTaskModel(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), tasks)


def step(given, balancer, **options):
    """Make one step on all rows with what training learned of them; return the parameters."""
    inputs, targets, weights = given
    trainer = Trainer(model(), balancer, optimizer="sgd", learning_rate=0.1, **options)
    for task in trainer.model.tasks:
        task.prepare(targets[task.name], weights[task.name])
    trainer.train_step({"inputs": inputs, "targets": targets, "weights": weights})
    return [each.detach() for each in trainer.model.parameters()]


BALANCERS = ["equal", "uncertainty", "pcgrad", "mgda", "famo", "db_mtl", "graddrop"]


@pytest.mark.parametrize("balancer", BALANCERS)
def test_micro_batches_make_the_weighted_step_of_the_whole_batch(balancer):
    whole, cut = step(data(), balancer), step(data(), balancer, accumulate=3)
    for one, other in zip(whole, cut, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("balancer", BALANCERS)
def test_a_step_with_weight_0_is_one_with_a_missing_label_bit_for_bit(balancer):
    inputs, targets, weights = data()
    blank = targets["a"].where(weights["a"] > 0, -100)
    other = {**weights, "a": weights["a"].where(weights["a"] > 0, 3.0)}
    found = step((inputs, targets, weights), balancer)
    wanted = step((inputs, {**targets, "a": blank}, other), balancer)
    assert all(map(torch.equal, found, wanted))


@pytest.mark.parametrize("size", [1, 7, N])
def test_the_weighted_optimum_is_the_same_for_every_batch_size(size):
    inputs, targets, weights = data()
    found = model()
    trainer = Trainer(found, batch_size=size)
    take = ArrayData(inputs, targets, weights)
    for task in found.tasks:
        task.prepare(targets[task.name], weights[task.name])
    gradients = [torch.zeros_like(each) for each in found.parameters()]
    for batch in take.epoch(size, seed=0, number=0):
        terms = found.loss_terms(found(batch.inputs), batch.targets, batch.weights)
        losses = [
            total / found.tasks[task].count(targets[task], weights[task])
            for task, (total, _) in terms.items()
        ]
        for gradient, more in zip(
            gradients, torch.autograd.grad(sum(losses), found.parameters()), strict=True
        ):
            gradient += more
    whole = found.losses(found(inputs), targets, weights)
    for gradient, wanted in zip(
        gradients, torch.autograd.grad(sum(whole.values()), found.parameters()), strict=True
    ):
        torch.testing.assert_close(gradient, wanted)
    assert trainer.step == 0


def test_batches_of_one_row_fit_the_weighted_mean():
    """Steps on single rows balance where the weighted mean is, not where the plain mean is."""
    torch.manual_seed(0)
    targets, weights = torch.tensor([0.0, 1.0] * 20), torch.tensor([1.0, 4.0] * 20)
    for size in (1, 8, 40):
        fitted = MultiTaskModel(nn.Linear(1, 1, bias=False), [Regression("a")], width=1)
        with torch.no_grad():
            for each in fitted.parameters():
                each.zero_()
        trainer = Trainer(fitted, optimizer="sgd", learning_rate=0.02, batch_size=size, seed=1)
        trainer.fit(
            (torch.zeros(40, 1), {"a": targets}, {"a": weights}), epochs=200 // (40 // size) + 10
        )
        value = float(fitted(torch.zeros(1, 1))["a"].detach())
        assert abs(value - 0.8) < 0.06


def test_weights_reach_training_from_tuples_loaders_and_single_batches():
    inputs, targets, weights = data()
    numpy = (
        {"a": targets["a"].numpy(), "b": targets["b"].numpy()},
        {t: w.numpy() for t, w in weights.items()},
    )
    losses = []
    batch = {"inputs": inputs, "targets": targets, "weights": weights}
    for given in ((inputs, targets, weights), (inputs.numpy(), *numpy), [batch]):
        trainer = Trainer(model(), learning_rate=0.01, batch_size=N)
        history = trainer.fit(given, given, epochs=2)
        losses.append(history.records[-1]["tasks"]["a"]["loss"])
        assert trainer.model.tasks["a"].row_weights.mean == pytest.approx(
            float(weights["a"].sum() / (weights["a"] > 0).sum())
        )
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)


def test_rows_of_weight_0_are_left_out_of_metrics_and_statistics():
    inputs, targets, weights = data()
    blank = {**targets, "a": targets["a"].where(weights["a"] > 0, -100)}
    reports = []
    for own in (targets, blank):
        trainer = Trainer(model(), seed=1)
        trainer.fit((inputs, own, weights), epochs=1)
        reports.append(trainer.evaluate((inputs, own, weights)))
    assert reports[0] == reports[1]
    assert reports[0].scores == reports[1].scores
    assert reports[0]["a"]["count"] == 30


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        (
            {"a": [-1.0] + [1.0] * (N - 1)},
            "task 'a': found the weight -1 in row 0, expected a numb",
        ),
        ({"a": [1.0, np.nan] + [1.0] * (N - 2)}, "found the weight nan in row 1, expected"),
        ({"a": [1.0, np.inf] + [1.0] * (N - 2)}, "found the weight inf in row 1, expected"),
        ({"a": [[1.0]] * N}, r"weights have the shape \(40, 1\), expected \(40,\)"),
        ({"A": [1.0] * N}, "have weights for 'A', which is not a task; did you mean 'a'"),
        ({"a": [1.0] * 3}, "numbers of rows differ: .*weights.*3"),
    ],
)
def test_wrong_weights_are_refused_with_the_row(weights, found):
    inputs, targets, _ = data()
    with pytest.raises(InputError, match=found):
        Trainer(model()).fit((inputs, targets, weights), epochs=1)


def test_batches_with_and_without_weights_are_refused():
    inputs, targets, weights = data()
    batches = [
        {"inputs": inputs, "targets": targets, "weights": weights},
        {"inputs": inputs, "targets": targets},
    ]
    with pytest.raises(InputError, match="batch 1: found no weights for 'a', unlike in earlier"):
        Trainer(model()).fit(batches, epochs=1)


class Own(Task):
    kind = "own"

    def loss(self, raw, target):
        return self.add_up(lambda raw, target: (raw - target) ** 2, raw, target)

    def decode(self, raw):
        return Prediction(raw.double())


def test_a_class_without_weights_trains_without_and_refuses_them_before_the_first_step():
    inputs, targets, weights = data()
    trainer = Trainer(MultiTaskModel(nn.Linear(3, 4), [Own("b")]))
    with pytest.raises(InputError, match=r"loss\(raw, target\) of Own does not take them"):
        trainer.fit((inputs, {"b": targets["b"]}, {"b": weights["b"]}), epochs=1)
    trainer.fit((inputs, {"b": targets["b"]}), epochs=1)
    assert trainer.step


def test_rows_of_a_source_without_weights_weigh_1_where_another_has_some():
    inputs, targets, weights = data()
    ones = {"a": torch.cat([weights["a"][:20], torch.ones(20)])}
    losses = []
    sources = Sources(
        {
            "x": (inputs[:20], {"a": targets["a"][:20]}, {"a": weights["a"][:20]}),
            "y": (inputs[20:], {"a": targets["a"][20:]}),
        }
    )
    for given in (sources, (inputs, {"a": targets["a"]}, ones)):
        found = model()
        found.disable_task("b")
        trainer = Trainer(found, optimizer="sgd", batch_size=N)
        history = trainer.fit(given, epochs=1)
        losses.append(history.records[-1]["tasks"]["a"]["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.parametrize(("size", "epochs"), [(8, 60), (32, 160), (64, 240)])
def test_class_weights_row_weights_and_conditions_have_one_optimum_for_every_batch_size(
    size, epochs
):
    """A bias alone ends where p_c is proportional to the weight of class c times that of its rows.

    The rows on which a condition is false are without a label, as `JudgedRows` makes them.
    """
    draw = torch.Generator().manual_seed(0)
    table = pa.table(
        {
            "y": torch.randint(3, (64,), generator=draw).numpy(),
            "w": (torch.rand(64, generator=draw) * 4).numpy() * (np.arange(64) % 7 > 0),
            "seen": torch.randint(4, (64,), generator=draw).numpy(),
        }
    )
    judged, classes = JudgedRows("a", "w", "seen > 0"), [1.0, 3.0, 0.5]
    kept = judged.holds(table)
    y = torch.from_numpy(np.where(kept, table["y"], -100))
    w = torch.from_numpy(judged.weights(table, kept))
    task = Classification("a", classes=3, class_weights=classes)
    fitted = MultiTaskModel(nn.Linear(1, 1, bias=False), [task], width=1)
    for each in fitted.parameters():
        nn.init.zeros_(each)
    trainer = Trainer(
        fitted,
        optimizer={"type": "sgd", "momentum": 0.0, "learning_rate": 1.0},
        lr_schedule="linear",
        batch_size=size,
    )
    trainer.fit((torch.zeros(64, 1), {"a": y}, {"a": w}), epochs=epochs)
    found = fitted(torch.zeros(1, 1))["a"].softmax(-1)[0]
    wanted = torch.stack([classes[c] * w[y == c].sum() for c in range(3)])
    torch.testing.assert_close(found, wanted / wanted.sum(), atol=0.02, rtol=0)


def test_the_loss_of_held_out_rows_is_their_weighted_mean_whatever_training_rows_weigh():
    inputs, targets, weights = data()
    trainer = Trainer(model(), batch_size=16)
    trainer.fit((inputs, targets, weights), epochs=1)
    heavy = {task: each * 1000 for task, each in weights.items()}
    found = trainer.evaluate((inputs, targets, heavy))
    raw = trainer.model(inputs)["a"].detach().double()
    losses = nn.functional.cross_entropy(raw, targets["a"], reduction="none")
    wanted = float((losses * weights["a"]).sum() / weights["a"].sum())
    assert found["a"]["loss"] == pytest.approx(wanted)
    metrics = TaskMetrics([trainer.model.tasks["a"]])
    metrics.update({"a": raw}, {"a": targets["a"]}, weights={"a": heavy["a"]})
    assert metrics.compute("a")["loss"] == pytest.approx(wanted)
    assert trainer.model.tasks["a"].row_weights.mean == pytest.approx(
        float(weights["a"].sum() / (weights["a"] > 0).sum())
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.full((N,), torch.nan), "found the weight nan in row 0"),
        (-torch.ones(N), "found the weight -1 in row 0"),
        (torch.ones(3), r"the weights have the shape \(3,\), expected \(40,\)"),
    ],
)
def test_a_step_of_ones_own_refuses_weights_that_are_none(weights, message):
    inputs, targets, _ = data()
    batch = {"inputs": inputs, "targets": targets, "weights": {"a": weights}}
    with pytest.raises(InputError, match=message):
        Trainer(model()).train_step(batch)
    with pytest.raises(InputError, match="have weights for 'c', which is not a task"):
        Trainer(model()).train_step(batch | {"weights": {"c": torch.ones(N)}})
