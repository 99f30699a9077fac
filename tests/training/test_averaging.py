"""Averages of weights: what they are, that they are what is evaluated and kept, and their state."""

import numpy as np
import pytest
import torch
from torch import nn

import motet
from motet.problems import InputError
from motet.training.averaging import WeightAverage
from motet.training.state import TrainingState

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 4)).astype("float32")
Y = {"a": X[:, 0] + RNG.normal(size=96), "b": (X[:, 1] > 0).astype(int)}
DATA = (X[:64], {task: y[:64] for task, y in Y.items()})
VALID = (X[64:], {task: y[64:] for task, y in Y.items()})


def trainer(net=None, **options):
    torch.manual_seed(0)
    tasks = [motet.tasks.Regression("a"), motet.tasks.Classification("b", classes=2)]
    net = net or nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 8))
    model = motet.MultiTaskModel(encoder=net, tasks=tasks)
    options = {"learning_rate": 0.05, "batch_size": 16, "seed": 0, **options}
    return motet.Trainer(model, **options)


def weights(model):
    return {name: each.detach().double().clone() for name, each in model.named_parameters()}


class Remembers(motet.training.Observer):
    """Keeps the weights after each step, as they are before an evaluation."""

    def __init__(self, found):
        self.steps, make = [], found._steps.make

        def made(*arguments):
            result = make(*arguments)
            self.steps.append(weights(found.model))
            return result

        found._steps.make = made


def naive(steps, kind, total):
    """Average in float64, by the definition."""
    if kind == "last_quarter":
        steps = steps[int(0.75 * total) :]
        shares = [1 / len(steps)] * len(steps)
    else:  # the power function t^6.94 of Karras et al., as their recursion has it
        shares = [1.0]
        for count in range(2, len(steps) + 1):
            kept = (1 - 1 / count) ** 7.94
            shares = [share * kept for share in shares] + [1 - kept]
    return {n: sum(s * w[n] for s, w in zip(shares, steps, strict=True)) for n in steps[0]}


@pytest.mark.parametrize("kind", ["ema", "last_quarter"])
def test_without_validation_the_model_ends_with_the_average_by_its_definition(kind):
    found = trainer(average=kind)
    seen = Remembers(found)
    found.fit(DATA, epochs=5)
    expected = naive(seen.steps, kind, total=20)
    assert len(seen.steps) == 20
    for name, value in weights(found.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(value, seen.steps[-1][name])


@pytest.mark.parametrize("kind", ["ema", "last_quarter"])
def test_training_itself_is_as_without_an_average(kind):
    plain, averaged = trainer(), trainer(average=kind)
    one, two = Remembers(plain), Remembers(averaged)
    plain.fit(DATA, VALID, epochs=4)
    averaged.fit(DATA, VALID, epochs=4)
    for before, after in zip(one.steps, two.steps, strict=True):
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_is_evaluated_and_kept_is_the_average():
    found = trainer(average="ema", keep="each", patience=None)
    states = []
    found.on_checkpoint = lambda kind: states.append(found.state()) if kind == "last" else None
    history = found.fit(DATA, VALID, epochs=6)
    tensors = states[history.best_epoch - 1][0]
    for name, value in found.model.named_parameters():
        assert torch.equal(value, tensors[f"average/{name}"])
        assert not torch.equal(value, tensors[f"model/{name}"])
    report = found.evaluate(VALID)
    best = [record for record in history.records if record.get("best")][-1]
    assert report["a"]["r2"] == pytest.approx(best["tasks"]["a"]["r2"])
    assert found.evaluate(VALID, weights="each")["a"]["r2"] == pytest.approx(
        max(history.curve("a", "r2"))
    )


@pytest.mark.parametrize("kind", ["ema", "last_quarter"])
def test_a_resumed_trainer_has_the_same_average_to_the_bit(kind):
    whole, saved = trainer(average=kind, monitor_smoothing=0.5, patience=None), {}
    whole.on_checkpoint = lambda which: saved.setdefault(whole.step, whole.state())
    whole.checkpoint_every = 3
    whole.fit(DATA, VALID, epochs=6)
    for step in (15, 21):
        second = trainer(average=kind, monitor_smoothing=0.5, patience=None)
        second.load_state(saved[step])
        second.fit(DATA, VALID, epochs=6)
        for (name, one), (_, other) in zip(
            whole.state()[0].items(), second.state()[0].items(), strict=True
        ):
            assert torch.equal(one, other), name
        assert whole.progress.numbers() == second.progress.numbers()


def test_frozen_weights_stay_as_they_are_to_the_bit_and_enter_once_they_train():
    parts = [{"epoch": 3, "parts": ["encoder"]}]
    found = trainer(average="ema", freeze=["encoder"], unfreeze=parts)
    before, seen = weights(found.model), {}
    found.on_record = lambda record: seen.setdefault(found.progress.epoch, found.state()[0])
    found.fit(DATA, epochs=4)
    frozen = [name for name in before if f"average/{name}" not in seen[1]]
    assert frozen
    assert all(torch.equal(before[name], seen[1][f"model/{name}"].double()) for name in frozen)
    assert set(frozen) <= set(found.progress.average)


def test_a_skipped_step_does_not_count():
    found = trainer(average="ema")
    batch = {"inputs": torch.tensor(X[:16]), "targets": {"a": torch.tensor(Y["a"][:16]).float()}}
    found.train_step(batch)
    kept = {name: each.clone() for name, each in found.progress.average.items()}
    broken = {**batch, "targets": {"a": torch.full((16,), 1e30)}}
    assert found.train_step(broken).skipped
    assert found.progress.averaged == 1
    assert all(torch.equal(kept[name], each) for name, each in found.progress.average.items())


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm1d(8), nn.InstanceNorm1d(8, track_running_stats=True)]
)
def test_a_model_with_running_statistics_is_refused_with_the_reason(norm):
    net = nn.Sequential(nn.Linear(4, 8), norm)
    kind = type(norm).__name__
    with pytest.raises(InputError, match=rf"average: found a model with {kind} .*LayerNorm"):
        trainer(net, average="ema")
    trainer(net)


def test_early_stopping_before_the_last_quarter_is_noted():
    found = trainer(average="last_quarter", patience=1, learning_rate=1e-9, lr_schedule="constant")
    found.fit(DATA, VALID, epochs=20)
    assert found.progress.stopped
    assert "before the last quarter, which is averaged; epochs: " in found.cut_short
    assert "learning rate" not in found.cut_short


def test_an_average_of_reduced_precision_is_kept_in_float32():
    model = nn.Linear(2, 2).to(torch.bfloat16)
    average, state = WeightAverage(model, "last_quarter"), TrainingState()
    for value in (1.0, 1.0078125):
        nn.init.constant_(model.weight, value)
        state.position = 9
        average.add(state, 10)
    assert state.average["weight"].dtype == torch.float32
    assert state.average["weight"][0, 0] == pytest.approx(1.00390625)


def test_in_a_loop_of_ones_own_the_average_is_put_into_the_model_for_a_block():
    found = trainer(average="ema")
    seen = Remembers(found)
    for _ in range(2):
        found.train_epoch(DATA)
    expected = naive(seen.steps, "ema", total=8)
    with found.averaged():
        for name, value in weights(found.model).items():
            torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)
    assert all(torch.equal(v, seen.steps[-1][n]) for n, v in weights(found.model).items())
    with pytest.raises(InputError, match="found 'last_quarter' and train_epoch"):
        trainer(average="last_quarter").train_epoch(DATA)


def test_the_last_quarter_of_more_epochs_forgets_that_of_those_before():
    found = trainer(average="last_quarter")
    found.fit(DATA, epochs=2)
    seen = Remembers(found)
    found.fit(DATA, epochs=8)
    assert found.progress.averaged == 8
    last = seen.steps[-8:]
    for name, value in weights(found.model).items():
        mean = sum(each[name] for each in last) / 8
        torch.testing.assert_close(value, mean, rtol=1e-5, atol=1e-6)
