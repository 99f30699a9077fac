"""The loop: what a step does, what an epoch does, and what must not happen."""

import copy
import math

import numpy as np
import pytest
import quick_cases
import torch
from quick_cases import others_slow
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from motet import balancing
from motet.balancing import LossBalancer
from motet.data.arrays import ArrayData
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.registry import BALANCERS
from motet.sharing import create as create_sharing
from motet.tasks import Classification, CustomHead, Regression
from motet.training import Trainer, TrainingError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 6)).astype(np.float32)
DIGIT = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0.5)
DIGIT[::3] = -100
AREA = X[:, 2] * 2 - X[:, 3] + 0.1 * RNG.normal(size=96).astype(np.float32)
AREA[1::4] = np.nan
DATA = (X, {"digit": DIGIT, "area": AREA})
BATCH = {
    "inputs": torch.from_numpy(X),
    "targets": {task: torch.from_numpy(labels) for task, labels in DATA[1].items()},
}
SGD = {"type": "sgd", "momentum": 0.0}


def made(digit=None, area=None, dropout=0.0):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(dropout))
    tasks = [
        Classification("digit", classes=3, **(digit or {})),
        Regression("area", **(area or {})),
    ]
    return MultiTaskModel(encoder, tasks)


def weights_of(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def assert_same(one, other):
    assert list(one) == list(other)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def moves(model, trainer):
    """By how much one step moves each parameter."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainer.train_step(BATCH)
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


# Equal to a plain loop -----------------------------------------------------------------------


def plain_loop(model, epochs, batch_size, seed):
    """What anybody would write with PyTorch alone."""
    decays = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decays, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}], lr=1e-2
    )
    x, digit, area = BATCH["inputs"], BATCH["targets"]["digit"], BATCH["targets"]["area"]
    encoder = model.sharing.stages[0]
    for epoch in range(epochs):
        order = ArrayData(x, {}).order(seed, epoch)
        for rows in order.split(batch_size):
            features = encoder(x[rows])
            logits, value = model.heads["digit"](features), model.heads["area"](features)
            known = ~area[rows].isnan()
            loss = functional.cross_entropy(logits, digit[rows], ignore_index=-100)
            loss = loss + functional.mse_loss(value[known], area[rows][known])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def test_the_trainer_does_what_a_plain_loop_does():
    ours, plain = made(), made()
    Trainer(ours, batch_size=20, learning_rate=1e-2, lr_schedule="constant", seed=3).fit(
        DATA, epochs=4
    )
    plain_loop(plain, epochs=4, batch_size=20, seed=3)
    for name, value in ours.state_dict().items():
        assert_close(value, plain.state_dict()[name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(value, made().state_dict()[name])


def test_every_row_is_used_once_in_an_epoch():
    seen = []
    model = made()
    model.sharing.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    Trainer(model, batch_size=20).train_epoch(DATA)
    assert [len(batch) for batch in seen] == [20, 20, 20, 20, 16]
    rows = torch.cat(seen)
    assert not torch.equal(rows, BATCH["inputs"])
    assert_close(rows.sort(dim=0).values, BATCH["inputs"].sort(dim=0).values, rtol=0, atol=0)


def test_an_epoch_returns_the_mean_loss_over_all_labels():
    model = made()
    # no batch is the mean of another: 96 rows in 20s; nothing moves
    trainer = Trainer(model, batch_size=20, optimizer=SGD, learning_rate=1e-30)
    means = trainer.train_epoch(DATA)
    losses = model.losses(model(BATCH["inputs"]), BATCH["targets"])
    assert means == pytest.approx({task: loss.item() for task, loss in losses.items()})


# Learning rates, decay, clipping -------------------------------------------------------------


def test_a_tasks_own_learning_rate_moves_its_head_and_nothing_else():
    plain, own = made(), made(digit={"learning_rate": 0.3})
    one, other = (
        moves(model, Trainer(model, optimizer=SGD, learning_rate=0.1)) for model in (plain, own)
    )
    for name, move in one.items():
        assert_close(other[name], move * 3 if name.startswith("heads.digit") else move)
        assert move.any()


def test_a_tasks_own_learning_rate_follows_the_schedule_too():
    model = made(digit={"learning_rate": 0.3})
    schedule = {"type": "linear", "warmup": 0.0}
    trainer = Trainer(model, optimizer=SGD, learning_rate=0.1, lr_schedule=schedule, batch_size=24)
    trainer.fit(DATA, epochs=1)  # 4 steps; the last at 1/4 of the way down
    rates = {round(group["lr"], 6) for group in trainer.optimizer.param_groups}
    assert rates == {0.025, 0.075}


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.linear = nn.Embedding(5, 6), nn.Linear(6, 16)
        self.norm = nn.LayerNorm(16)

    def forward(self, inputs):
        return self.norm(self.linear(inputs + self.embed.weight[0]))


def test_weight_decay_leaves_norms_biases_embeddings_and_balancers_alone():
    def flat(raw, target):  # no gradient, so that only decay moves
        return (raw * 0).sum(dim=-1) if raw.ndim > 1 else raw * 0

    torch.manual_seed(0)
    model = MultiTaskModel(
        Mixed(),
        [Classification("digit", classes=3, loss=flat), Regression("area", loss=flat)],
        width=16,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1
    before = weights_of(model)
    trainer = Trainer(
        model,
        {"type": "uncertainty", "initial": 1.0},
        optimizer={"type": "adamw", "weight_decay": 0.5},
        learning_rate=0.1,
    )
    trainer.train_step(BATCH)
    for name, value in model.state_dict().items():
        decays = name.endswith("weight") and "embed" not in name and "norm" not in name
        assert_close(value, before[name] * 0.95 if decays else before[name])
    # it has a gradient of its own, and moves by Adam's first step alone
    assert trainer.balancer.log_variance.tolist() == pytest.approx([0.9, 0.9])


def test_the_gradient_is_clipped_to_its_norm_over_all_parameters():
    free, clipped, short = made(), made(), made()
    step = moves(free, Trainer(free, optimizer=SGD, learning_rate=1.0))
    norm = torch.cat([move.flatten() for move in step.values()]).norm()
    trainer = Trainer(clipped, optimizer=SGD, learning_rate=1.0, clip_norm=0.1)
    for name, move in moves(clipped, trainer).items():
        assert_close(move, step[name] * 0.1 / norm)
    trainer = Trainer(short, optimizer=SGD, learning_rate=1.0, clip_norm=1e3)
    for name, move in moves(short, trainer).items():
        assert_close(move, step[name])


def test_the_norm_of_the_whole_gradient_is_told_before_clipping():
    model = made()
    result = Trainer(model, clip_norm=0.1).train_step(BATCH)
    again = made()
    sum(again.losses(again(BATCH["inputs"]), BATCH["targets"]).values()).backward()
    expected = torch.cat([p.grad.flatten() for p in again.parameters()]).norm()
    assert_close(result.gradient_norm, expected)


def test_an_optimizer_may_come_from_a_function():
    model = made()
    trainer = Trainer(model, optimizer=lambda groups: torch.optim.Adagrad(groups, lr=0.5))
    assert isinstance(trainer.optimizer, torch.optim.Adagrad)
    trainer.fit(DATA, epochs=1)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_every_optimizer_lowers_the_losses(name):
    trainer = Trainer(made(), optimizer=name, learning_rate=0.02, batch_size=24)
    history = trainer.fit(DATA, epochs=8)
    for task in ("digit", "area"):
        curve = history.curve(task, split="train")
        assert curve[-1] < 0.95 * curve[0]


# Random numbers ------------------------------------------------------------------------------


def trained(seed, **options):
    model = made(dropout=0.5)
    Trainer(model, seed=seed, batch_size=20, **options).fit(DATA, DATA, epochs=3)
    return weights_of(model)


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    first = trained(seed=1)
    torch.manual_seed(99)
    assert_same(trained(seed=1), first)
    name = "sharing.stages.0.0.weight"
    assert not torch.equal(trained(seed=2)[name], first[name])


def test_the_users_random_generators_stay_as_they_are():
    model = made(dropout=0.5)
    trainer = Trainer(model, batch_size=20)
    before, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()
    trainer.train_step(BATCH)
    assert torch.equal(torch.get_rng_state(), before)
    trainer.train_epoch(DATA)
    assert torch.equal(torch.get_rng_state(), before)
    trainer.fit(DATA, DATA, epochs=3)
    trainer.evaluate(DATA)
    trainer.predict(X)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == before_numpy).all()


def test_dropout_differs_from_step_to_step():
    model = made(dropout=0.5)
    seen = []
    model.sharing.register_forward_hook(lambda module, given, out: seen.append(out["digit"] == 0))
    trainer = Trainer(model, optimizer=SGD, learning_rate=1e-30)
    for _ in range(2):
        trainer.train_step(BATCH)
    assert not torch.equal(*seen)


# Steps that are not finite -------------------------------------------------------------------


class Counter(LossBalancer):
    """Remembers something at every step."""

    def __init__(self, tasks):
        super().__init__(tasks)
        self.steps = nn.Buffer(torch.tensor(0))

    def forward(self, losses, present):
        self.steps += 1
        return losses.sum()


def poisoned():
    return {"inputs": BATCH["inputs"] * torch.nan, "targets": BATCH["targets"]}


def around_a_bad_step(model, balancer):
    """Model, balancer and optimizer before and after a step that is not finite."""
    trainer = Trainer(model, balancer)
    trainer.train_step(BATCH)
    parts = (model, trainer.balancer, trainer.optimizer)
    before = copy.deepcopy([part.state_dict() for part in parts])
    assert trainer.train_step(poisoned()).skipped
    after = copy.deepcopy([part.state_dict() for part in parts])
    assert not trainer.train_step(BATCH).skipped
    return before, after


def test_a_step_that_is_not_finite_changes_no_parameter_and_no_moment():
    before, after = around_a_bad_step(made(), "uncertainty")
    assert_same(before[0], after[0])
    assert_same(before[1], after[1])
    assert str(before[2]) == str(after[2])


def test_a_step_that_is_not_finite_leaves_the_memory_of_the_balancer_alone():
    before, after = around_a_bad_step(made(), Counter(["digit", "area"]))
    assert_same(before[1], after[1])


def test_a_step_that_is_not_finite_leaves_the_averages_of_norms_alone():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8))
    model = MultiTaskModel(encoder, [Classification("digit", classes=3), Regression("area")])
    before, after = around_a_bad_step(model, "equal")
    assert_same(before[0], after[0])


def reads_nan():
    """Return a model that is said to read NaN, which is not true."""
    model = made()
    model.takes_nan = True
    return model


def test_skipped_steps_are_counted():
    x = X.copy()
    x[0] = np.nan  # one batch of five in each epoch
    history = Trainer(reads_nan(), batch_size=20).fit((x, DATA[1]), epochs=3)
    assert history.skipped_steps == 3


def test_an_epoch_leaves_skipped_steps_out_of_its_losses():
    x = X.copy()
    x[0] = np.nan
    history = Trainer(reads_nan(), batch_size=20).fit((x, DATA[1]), epochs=1)
    assert all(math.isfinite(history.curve(task, split="train")[0]) for task in DATA[1])


def test_ten_steps_in_a_row_that_are_not_finite_stop_the_run():
    trainer = Trainer(made())
    for _ in range(9):
        trainer.train_step(poisoned())
    trainer.train_step(BATCH)
    for _ in range(9):
        trainer.train_step(poisoned())
    with pytest.raises(TrainingError, match="loss of digit, area was not finite in 10 steps in a"):
        trainer.train_step(poisoned())


def test_the_message_names_the_task_whose_loss_was_not_finite():
    model = made(area={"loss": lambda raw, target: raw * torch.inf})
    with pytest.raises(TrainingError, match="the loss of area was not finite"):
        Trainer(model, batch_size=8).fit(DATA, epochs=1)


def test_a_gradient_that_is_not_finite_counts_too():
    model = made(area={"loss": lambda raw, target: (raw * 0).abs().sqrt()})
    before = weights_of(model)
    trainer = Trainer(model)
    assert trainer.train_step(BATCH).skipped
    assert_same(weights_of(model), before)
    with pytest.raises(TrainingError, match="the gradient was not finite"):
        trainer.fit(DATA, epochs=20)


# Validation: monitor, early stopping, best weights --------------------------------------------

NOISE = (X[:40], {"digit": DIGIT[::-1][:40].copy(), "area": AREA[::-1][:40].copy()})
"""Labels that belong to other rows, so that every epoch overfits."""
VALID = (X[40:], {task: y[40:] for task, y in DATA[1].items()})


def test_training_stops_without_progress_and_keeps_the_best_weights():
    trainer = Trainer(made(), learning_rate=0.05, batch_size=8, patience=3, lr_schedule="constant")
    states = []
    trainer.on_record = lambda record: states.append((record, weights_of(trainer.model)))
    history = trainer.fit(NOISE, VALID, epochs=40)
    curve = [record["monitored"] for record in history if record["split"] == "validation"]
    best = int(np.argmax(curve))
    assert len(history) == len(curve) == best + 1 + 3 < 40
    assert history.best_epoch == best + 1
    assert trainer.evaluate(VALID)["score"] == pytest.approx(curve[best])
    after = [state for record, state in states if record["split"] == "validation"]
    assert_same(weights_of(trainer.model), after[best])


def test_without_patience_training_goes_on_and_still_keeps_the_best_weights():
    trainer = Trainer(made(), learning_rate=0.05, batch_size=8, patience=None)
    history = trainer.fit(NOISE, VALID, epochs=12)
    curve = [record["monitored"] for record in history if record["split"] == "validation"]
    assert len(curve) == 12
    assert np.argmax(curve) < 11
    assert trainer.evaluate(VALID)["score"] == pytest.approx(max(curve))


def test_without_validation_data_the_last_weights_stay():
    model, again = made(), made()
    history = Trainer(model, batch_size=20, lr_schedule="constant").fit(DATA, epochs=3)
    trainer = Trainer(again, batch_size=20)
    for _ in range(3):
        trainer.train_epoch(DATA)
    assert_same(weights_of(model), weights_of(again))
    assert history.best_epoch is None


@pytest.mark.parametrize(
    ("monitor", "options", "expected"),
    [
        ("mean", {}, lambda report: (report.scores["digit"] + report.scores["area"]) / 2),
        ("mean", {"main": True}, lambda report: report.scores["area"]),
        ("worst", {}, lambda report: min(report.scores.values())),
        ("worst", {"main": True}, lambda report: report.scores["area"]),
        ("digit", {}, lambda report: report.scores["digit"]),
        ("area", {"weight": 3.0}, lambda report: report.scores["area"]),
        ("loss", {}, lambda report: -report["digit"]["loss"] - report["area"]["loss"]),
        (
            "loss",
            {"weight": 3.0},
            lambda report: -report["digit"]["loss"] - 3 * report["area"]["loss"],
        ),
    ],
)
def test_what_is_monitored_is_what_was_asked_for(monitor, options, expected):
    trainer = Trainer(made(area=options), monitor=monitor, batch_size=20)
    history = trainer.fit(DATA, VALID, epochs=1)
    assert history.records[-1]["monitored"] == pytest.approx(expected(trainer.evaluate(VALID)))


@pytest.mark.parametrize("monitor", ["mean", "worst", "digit", "loss"])
def test_a_monitored_value_that_is_no_number_is_an_error(monitor):
    unlabelled = {"digit": np.full(56, -100), "area": np.full(56, np.nan)}
    trainer = Trainer(made(), monitor=monitor)
    with pytest.raises((InputError, TrainingError), match=f"monitor: found '{monitor}', which is"):
        trainer.fit(DATA, (X[40:], unlabelled), epochs=1)


def test_an_unknown_monitor_is_refused_at_once():
    with pytest.raises(InputError, match="monitor: found 'digits'; did you mean 'digit'"):
        Trainer(made(), monitor="digits")


# Balancers -----------------------------------------------------------------------------------


def test_a_tasks_weight_multiplies_its_loss():
    heavy, plain = made(area={"weight": 3.0}), made()
    result = Trainer(heavy).train_step(BATCH)
    weights = {task: weight.item() for task, weight in result.balanced.weights.items()}
    assert weights == {"digit": 1, "area": 3}
    losses = plain.losses(plain(BATCH["inputs"]), BATCH["targets"])
    (losses["digit"] + 3 * losses["area"]).backward()
    for ours, theirs in zip(heavy.parameters(), plain.parameters(), strict=True):
        assert_close(ours.grad, theirs.grad)
    assert_close(result.losses["area"], losses["area"].detach())


def test_a_weight_that_the_balancer_would_undo_is_refused():
    with pytest.raises(InputError, match="Uncertainty takes no weight for 'area'"):
        Trainer(made(area={"weight": 3.0}), "uncertainty")


class Worst(LossBalancer):
    """The largest loss alone, by one method."""

    def forward(self, losses, present):
        return losses.max()


def test_a_balancer_of_a_users_own_is_one_method():
    model = made()
    trainer = Trainer(model, Worst(["digit", "area"]), batch_size=20)
    result = trainer.train_step(BATCH)
    largest = max(result.losses, key=result.losses.get)
    weights = {task: weight.item() for task, weight in result.balanced.weights.items()}
    assert weights == {task: float(task == largest) for task in ("digit", "area")}
    history = trainer.fit(DATA, VALID, epochs=2)
    weights = history.curve("area", "weight", split="train")
    assert all(weight in (0.0, 1.0) for weight in weights)


def test_a_balancer_must_be_of_the_models_tasks():
    with pytest.raises(InputError, match="has the tasks a, b, expected those of the model: digit"):
        Trainer(made(), Worst(["a", "b"]))


def test_uncertainty_learns_and_knows_what_kind_each_loss_is():
    model = made(area={"loss": "mae"})
    trainer = Trainer(model, "uncertainty", learning_rate=0.05, batch_size=20)
    assert trainer.balancer.kinds == ["classification", "laplace"]
    trainer.fit(DATA, epochs=5)
    assert (trainer.balancer.log_variance.detach().abs() > 0.1).all()


def test_what_a_balancer_reads_of_the_tasks_goes_after_what_the_user_says():
    own = {"type": "uncertainty", "kinds": {"digit": "regression"}}
    trainer = Trainer(made(area={"loss": "mae"}), own)
    assert trainer.balancer.kinds == ["regression", "laplace"]
    with pytest.raises(InputError, match="kinds: found 'mae', expected a mapping"):
        Trainer(made(), {"type": "uncertainty", "kinds": "mae"})
    made_already = balancing.create("uncertainty", ["digit", "area"])
    assert Trainer(made(), made_already).balancer.kinds == ["regression", "regression"]


def test_a_balancer_of_ones_own_may_read_what_the_tasks_tell(monkeypatch):
    class Told(Worst):
        def __init__(self, tasks, *, kinds=None):
            super().__init__(tasks)
            self.kinds = kinds

        @classmethod
        def filled_in(cls, options, tasks):
            return {"kinds": {task.name: task.uncertainty_kind for task in tasks}, **options}

    monkeypatch.setitem(BALANCERS._places, "told", Told)
    trainer = Trainer(made(), "told")
    assert trainer.balancer.kinds == {"digit": "classification", "area": "regression"}
    assert Trainer(made(), {"type": "told", "kinds": {}}).balancer.kinds == {}


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (Worst(["digit", "area"]), "'mine' is registered as an instance of a balancer"),
        (lambda tasks: nn.Linear(1, 1), "'mine' made a Linear, expected a balancer"),
    ],
)
def test_what_is_registered_but_makes_no_balancer_is_a_clear_error(monkeypatch, member, message):
    monkeypatch.setitem(BALANCERS._places, "mine", member)
    with pytest.raises(InputError, match=message):
        Trainer(made(), "mine")


@pytest.mark.parametrize("name", balancing.available())
def test_every_balancer_trains(name):
    options = {"weights": {"digit": 1.0, "area": 2.0}} if name == "manual" else {}
    trainer = Trainer(made(), {"type": name, **options}, learning_rate=0.01, batch_size=20)
    history = trainer.fit(DATA, VALID, epochs=3)
    for task in DATA[1]:
        curve = history.curve(task, split="train")
        assert curve[-1] < curve[0]


# Losses, metrics and heads of users -------------------------------------------------------------


def test_losses_metrics_and_heads_may_be_any_callable():
    def cubic(raw, target):
        assert len(raw) == len(target) < 20  # labelled rows alone
        return ((raw - target).abs() ** 3).mean()

    def worst_error(predictions, targets):
        assert isinstance(predictions, np.ndarray)
        return float(np.abs(predictions - targets).max())

    head = nn.Sequential(nn.Linear(16, 4), nn.Tanh(), nn.Linear(4, 1))
    model = made(area={"loss": cubic, "head": CustomHead(head), "metrics": ["r2", worst_error]})
    trainer = Trainer(model, batch_size=20, metrics={"digit": ["accuracy", worst_error]})
    before = weights_of(head)
    history = trainer.fit(DATA, VALID, epochs=1)
    assert not torch.equal(head[0].weight, before["0.weight"])
    assert list(history.records[-1]["tasks"]["area"]) == ["r2", "worst_error", "loss", "count"]
    assert list(trainer.evaluate(VALID)["digit"]) == ["accuracy", "worst_error", "loss", "count"]
    known = ~np.isnan(VALID[1]["area"])
    error = np.abs(trainer.predict(VALID[0])["area"] - VALID[1]["area"])[known].max()
    assert trainer.evaluate(VALID)["area"]["worst_error"] == pytest.approx(error)


# Data in, predictions out -----------------------------------------------------------------------


def test_arrays_go_in_and_arrays_come_out_in_their_order():
    trainer = Trainer(made(), batch_size=20)
    trainer.fit(DATA, epochs=2)
    predicted = trainer.predict(X)
    assert all(isinstance(values, np.ndarray) for values in predicted.values())
    raw = trainer.model(torch.from_numpy(X))
    np.testing.assert_array_equal(predicted["digit"], raw["digit"].argmax(dim=1))
    np.testing.assert_allclose(predicted["area"], raw["area"].detach(), rtol=1e-5)
    probabilities = trainer.predict_probabilities(X)
    assert list(probabilities) == ["digit"]
    np.testing.assert_allclose(probabilities["digit"], raw["digit"].softmax(1).detach(), rtol=1e-5)


@pytest.mark.parametrize(
    "labels",
    [
        DIGIT.tolist(),
        [None if label < 0 else int(label) for label in DIGIT],
        np.where(DIGIT < 0, np.nan, DIGIT),
        torch.from_numpy(DIGIT),
        torch.from_numpy(DIGIT).int(),
    ],
)
def test_labels_may_come_in_any_usual_form(labels):
    model, expected = made(), made()
    Trainer(expected, batch_size=20).fit(DATA, epochs=1)
    Trainer(model, batch_size=20).fit((X, {"digit": labels, "area": AREA.tolist()}), epochs=1)
    assert_same(weights_of(model), weights_of(expected))


def test_rows_without_a_label_of_one_task_train_the_others():
    digit = np.full(96, -100)
    digit[0] = 1
    model = made()
    trainer = Trainer(model, batch_size=8)
    history = trainer.fit((X, {"digit": digit, "area": AREA}), epochs=1)
    assert trainer.step == 12
    assert set(history.records[-1]["tasks"]) == {"digit", "area"}
    report = trainer.evaluate((X, {"digit": digit, "area": AREA}))
    assert (report["digit"]["count"], report["area"]["count"]) == (1, 72)


def test_a_batch_without_any_label_moves_nothing():
    model = made()
    before = weights_of(model)
    nothing = {"digit": torch.full((96,), -100), "area": torch.full((96,), torch.nan)}
    trainer = Trainer(model)
    batch = {"inputs": BATCH["inputs"], "targets": nothing}
    with pytest.warns(UserWarning, match="no row of the batch has a label of digit, area, so"):
        result = trainer.train_step(batch)
    assert (result.losses, result.skipped) == ({}, False)
    assert_same(weights_of(model), before)
    trainer.train_step(batch)  # reported once


def test_a_task_whose_labels_are_left_out_is_not_trained():
    model = made()
    before = weights_of(model)
    data = (X, {"area": AREA, "digit": None})
    history = Trainer(model, batch_size=20).fit(data, epochs=1)
    after = weights_of(model)
    assert torch.equal(after["heads.digit.layers.0.weight"], before["heads.digit.layers.0.weight"])
    assert list(history.records[-1]["tasks"]) == ["area"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X, r"training data: found a ndarray; expected \(inputs, \{task: targets\}\)"),
        ((X, AREA), r"the training data: found a tuple \(ndarray, ndarray\)"),
        ((X, {"digits": DIGIT}), "'digits', which is not a task; did you mean 'digit'"),
        ((X, {"digit": DIGIT[:5]}), "numbers of rows differ"),
        ((X, {"digit": abs(DIGIT)}), "expected a class index from 0 to 2.*; give classes="),
        ((X, {"digit": DIGIT + 0.5}), "found the label .*[.]5, .* or NaN where missing$"),
        ((X, {"area": AREA + np.inf}), "found an infinite label"),
        ((X, {"digit": np.array(["a"] * 96)}), "turn texts into numbers first"),
    ],
)
def test_data_that_do_not_fit_are_explained(data, message):
    with pytest.raises(InputError, match=message):
        Trainer(made()).fit(data, epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"balancer": "equall"}, "did you mean 'equal'"),
        ({"balancer": {"type": "uncertainty", "from": "revised"}}, "did you mean 'form'"),
        ({"optimizer": "adanw"}, "did you mean 'adamw'"),
        ({"optimizer": {"type": "sgd", "momentun": 0.5}}, "did you mean 'momentum'"),
        ({"lr_schedule": "cosin"}, "did you mean 'cosine'"),
        ({"batch_size": 0}, "batch_size: found 0, expected a number > 0"),
        ({"learning_rate": -1.0}, "learning_rate: found -1.0"),
        ({"learning_rate": 0.1, "optimizer": {"type": "sgd", "learning_rate": 0.2}}, "give one"),
        ({"device": "gpu"}, "device: found 'gpu', expected auto, cpu, .* did you mean 'cuda'"),
        ({"device": "cuda:99"}, "device: found 'cuda:99', which cannot be used here"),
        ({"epochs": 3}, r"no option 'epochs'; give it to fit: fit\(..., epochs=...\)"),
        ({"precision": "float61"}, "precision"),
        ({"bacth_size": 3}, "did you mean 'batch_size'"),
    ],
)
def test_wrong_options_are_explained(options, message):
    with pytest.raises(InputError, match=message):
        Trainer(made(), **options)


# Precision and records --------------------------------------------------------------------------


def test_bfloat16_computes_the_forward_pass_alone_in_it():
    model, exact = made(), made()
    result = Trainer(model, precision="bfloat16").train_step(BATCH)
    expected = Trainer(exact).train_step(BATCH)
    for task, loss in result.losses.items():
        assert loss.dtype == torch.float32
        assert loss != expected.losses[task]
        assert_close(loss, expected.losses[task], rtol=0.02, atol=0.02)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    history = Trainer(made(), precision="bfloat16", batch_size=20).fit(DATA, VALID, epochs=3)
    assert history.curve("area", split="train")[-1] < history.curve("area", split="train")[0]


def test_history_has_two_records_an_epoch_with_every_task():
    records = []
    trainer = Trainer(made(), batch_size=20, on_record=records.append)
    history = trainer.fit(DATA, VALID, epochs=2)
    assert len(history) == 2
    assert [(r["event"], r["epoch"], r["split"], r["step"]) for r in history] == [
        ("epoch", 1, "train", 5),
        ("epoch", 1, "validation", 5),
        ("epoch", 2, "train", 10),
        ("epoch", 2, "validation", 10),
    ]
    assert list(history) == records
    for record in history:
        assert record["seconds"] >= 0
        assert record["learning_rate"] > 0
        assert list(record["tasks"]) == ["digit", "area"]
    train, valid = history.records[:2]
    assert train["tasks"]["digit"].keys() == {"loss", "weight"}
    assert valid["tasks"]["area"].keys() == {"r2", "mae", "rmse", "loss", "count"}
    assert valid["score"] == valid["monitored"]


def test_a_step_is_recorded_every_50():
    records = []
    trainer = Trainer(made(), batch_size=1, on_record=records.append)
    trainer.fit((X[:60], {task: y[:60] for task, y in DATA[1].items()}), epochs=2)
    steps = [r for r in records if r["event"] == "step"]
    assert [r["step"] for r in steps] == [50, 100]
    assert [r["epoch"] for r in steps] == [1, 2]
    assert all("gradient_norm" in r for r in steps)


def test_a_balancer_given_as_an_object_honours_task_weights():
    model = made(area={"weight": 3.0})
    trainer = Trainer(model, balancing.Equal(model.tasks.names))
    assert trainer.balancer.weight("area") == 3
    with pytest.raises(InputError, match="takes no weight for 'area'"):
        Trainer(model, balancing.Uncertainty(model.tasks.names))


def test_what_is_learned_of_a_task_stays_while_the_task_is_absent():
    """Momentum would go on moving it."""
    model = made()
    trainer = Trainer(model, "uncertainty", learning_rate=0.1)
    for _ in range(5):
        trainer.train_step(BATCH)
    model.disable_task("area")
    place = trainer.balancer.tasks.index("area")
    before = trainer.balancer.log_variance.detach().clone()
    for _ in range(5):
        trainer.train_step(BATCH)
    after = trainer.balancer.log_variance.detach()
    assert after[place] == before[place]
    assert not after.equal(before)


def test_numbers_in_an_unhandy_unit_are_warned_of():
    model = made()
    targets = {"area": 1000 * AREA + 5000, "digit": None}
    with pytest.warns(
        UserWarning, match=r"the targets of 'area' have mean .* scaling=\(mean, std\)"
    ):
        Trainer(model, batch_size=20).fit((X, targets), epochs=1)


def test_a_second_fit_without_validation_keeps_what_it_learned():
    model = made()
    trainer = Trainer(model, batch_size=20)
    data = (X, {"area": AREA, "digit": None})
    trainer.fit(data, data, epochs=1)
    before = weights_of(model)
    trainer.fit(data, epochs=2)
    assert any(not before[name].equal(value) for name, value in weights_of(model).items())


def test_evaluation_intervals_longer_than_training_still_end_with_one():
    trainer = Trainer(made(), batch_size=20, evaluate_every=10_000)
    data = (X, {"area": AREA, "digit": None})
    history = trainer.fit(data, data, epochs=1)
    assert [record["split"] for record in history] == ["train", "validation"]


def test_metrics_of_a_task_may_be_a_single_function():
    def bias(predictions, targets):
        return float(np.mean(predictions - targets))

    trainer = Trainer(made(), metrics={"area": bias, "digit": "accuracy"})
    report = trainer.evaluate(DATA)
    assert list(report["area"]) == ["bias", "loss", "count"]
    assert report["area"]["bias"] == pytest.approx(
        np.nanmean(trainer.predict(X)["area"] - AREA), abs=1e-6
    )
    with pytest.raises(InputError, match="metrics: no task is named 'areas'; did you mean 'area'"):
        Trainer(made(), metrics={"areas": bias})


def test_labels_that_are_all_missing_are_told():
    with pytest.raises(InputError, match="the training data have no label for 'area'"):
        Trainer(made()).fit((X, {"area": AREA * torch.nan, "digit": DIGIT}), epochs=1)


def test_what_was_frozen_is_frozen_again_when_a_state_is_loaded():
    first, second = Trainer(made()), Trainer(made())
    first.model.freeze("encoder")
    second.load_state(*first.state())
    assert not any(p.requires_grad for p in second.model.shared_parameters())
    assert all(p.requires_grad for p in second.model.task_parameters("area"))


def test_statistics_tell_the_gradients_of_each_task():
    trainer = Trainer(made(), "pcgrad")
    for _ in range(4):
        result = trainer.train_step(BATCH)
    found = trainer.statistics()
    assert found["step"] == 4
    assert found["gradients"]["area"]["count"] == 4
    assert found["gradients"]["area"]["variance"] > 0
    assert result.balanced.gradient_norms.keys() == found["gradients"].keys()
    assert found["weights"] == {t: float(w) for t, w in result.balanced.weights.items()}


def test_evaluations_come_every_so_many_epochs_or_steps():
    for every, steps in (
        ({"epochs": 2}, [10, 20]),
        (7, [7, 14, 21]),
        ("epoch", [5, 10, 15, 20, 25]),
    ):
        trainer = Trainer(made(), batch_size=20, evaluate_every=every, patience=None)
        history = trainer.fit(DATA, VALID, epochs=5)
        assert [r["step"] for r in history if r["split"] == "validation"] == steps


@pytest.mark.parametrize("every", ["epochs", 0, {"epochs": 0}, {"epoch": 2}, {"epochs": 1, "x": 2}])
def test_other_intervals_are_refused(every):
    with pytest.raises(InputError, match="evaluate_every"):
        Trainer(made(), evaluate_every=every)


def test_some_tasks_can_be_evaluated_and_predicted_alone():
    trainer = Trainer(made(), batch_size=20)
    trainer.fit(DATA, epochs=1)
    assert list(trainer.predict(X, ["area"])) == ["area"]
    assert list(trainer.predict_probabilities(X, ["area"])) == []
    report, whole = trainer.evaluate(DATA, ["area"]), trainer.evaluate(DATA)
    assert "digit" not in report
    assert report["area"] == whole["area"]
    assert report["score"] == whole.scores["area"]
    for call in (trainer.predict, trainer.predict_probabilities):
        with pytest.raises(InputError, match="no task is named 'digits'; did you mean 'digit'"):
            call(X, ["digits"])
    with pytest.raises(InputError, match="no task is named 'digits'"):
        trainer.evaluate(DATA, ["digits"])


def test_a_loader_is_predicted_as_its_rows_are():
    rows = [{"inputs": x, "targets": {"area": a}} for x, a in zip(X, AREA, strict=True)]
    loader = torch.utils.data.DataLoader(rows, batch_size=7)
    trainer = Trainer(made(), batch_size=20)
    for task, values in trainer.predict(X).items():
        np.testing.assert_allclose(trainer.predict(loader)[task], values, rtol=1e-5)


class Words(nn.Module):
    """Looks up a vector for each id."""

    def __init__(self, sparse):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.layer = nn.Embedding(9, 4, sparse=sparse), nn.Linear(4, 4)

    def forward(self, ids):
        return self.layer(self.table(ids)).tanh()


IDS = torch.arange(96) % 9
WORDS = (IDS, {"digit": torch.from_numpy(DIGIT), "area": torch.from_numpy(AREA).double()})


def model_of_words(sparse):
    tasks = [Classification("digit", classes=3), Regression("area")]
    return MultiTaskModel(Words(sparse), tasks).double()


def trained_on_words(balancer, epochs=2, batch_size=32, **options):
    """What a sparse and a dense embedding come to, and the gradients that were looked at."""
    found = []
    for sparse in (True, False):
        model = model_of_words(sparse)
        trainer = Trainer(model, balancer, optimizer="sgd", batch_size=batch_size, **options)
        trainer.fit(WORDS, WORDS, epochs=epochs)
        found.append((weights_of(model), trainer.statistics()["gradients"]))
    return found


@pytest.mark.parametrize("name", others_slow(quick_cases.BALANCERS, balancing.available()))
def test_a_sparse_embedding_trains_as_a_dense_one(name):
    options = {"weights": {"digit": 1.0, "area": 0.5}} if name == "manual" else {}
    (sparse, _), (dense, _) = trained_on_words({"type": name, **options}, clip_norm=0.1)
    for key, value in dense.items():
        assert_close(sparse[key], value, rtol=1e-6, atol=1e-9, msg=key)


@pytest.mark.parametrize("name", ["equal", "uncertainty", "gradnorm", "pcgrad", "graddrop"])
def test_gradients_of_a_sparse_embedding_add_up_over_micro_batches(name):
    options = {"layer": "all"} if name == "gradnorm" else {}
    (sparse, _), (dense, _) = trained_on_words({"type": name, **options}, accumulate=2)
    for key, value in dense.items():
        assert_close(sparse[key], value, rtol=1e-6, atol=1e-9, msg=key)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_norms_of_sparse_gradients_are_those_of_dense_ones(accumulate):
    more = {"epochs": 5, "batch_size": 8, "patience": None}  # 60 steps, of which one is looked at
    (_, sparse), (_, dense) = trained_on_words("equal", accumulate=accumulate, **more)
    assert dense["area"]["count"] == 1
    assert sparse == {task: pytest.approx(values) for task, values in dense.items()}


def test_an_optimizer_without_sparse_gradients_is_named():
    with pytest.raises(InputError, match=r"AdamW does not support sparse gradients.*sparse=False"):
        Trainer(model_of_words(sparse=True)).fit(WORDS, epochs=1)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("name", ["equal", "uncertainty", "pcgrad", "graddrop"])
def test_a_post_accumulate_hook_runs_once_a_step_and_sees_the_whole_gradient(name, accumulate):
    model = made()
    trainer = Trainer(model, name, accumulate=accumulate)
    seen = {}
    for leaf in model.parameters():
        leaf.register_post_accumulate_grad_hook(
            lambda leaf: seen.setdefault(leaf, []).append(leaf.grad.clone())
        )
    trainer.train_step(BATCH)
    assert set(seen) == set(model.parameters())
    for leaf, gradients in seen.items():
        assert len(gradients) == 1
        assert_close(gradients[0], leaf.grad)


@pytest.mark.parametrize("name", ["equal", "pcgrad"])
def test_an_optimizer_in_the_backward_pass_trains(name):
    plain, hooked = made(), made()
    expected = Trainer(plain, name, optimizer=SGD, learning_rate=0.1, lr_schedule="constant")
    trainer = Trainer(hooked, name, optimizer=SGD, learning_rate=0.1, lr_schedule="constant")

    def step(leaf):
        leaf.sub_(0.1 * leaf.grad)
        leaf.grad = None

    for leaf in hooked.parameters():
        leaf.register_post_accumulate_grad_hook(step)
    for _ in range(3):
        expected.train_step(BATCH)
        trainer.train_step(BATCH)
    for name, value in weights_of(plain).items():
        assert_close(weights_of(hooked)[name], value)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("balancer", ["equal", "pcgrad"])
def test_a_penalty_on_frozen_parameters_is_told_and_not_minimised(balancer, accumulate):
    tasks = [Classification("digit", classes=3), Regression("area")]
    sharing = create_sharing("dselect_k", expert_width=4)
    model = MultiTaskModel(nn.Linear(6, 4), tasks, sharing=sharing)
    trainer = Trainer(model, balancer, freeze=["sharing.*"], accumulate=accumulate)
    assert trainer.train_step(BATCH).penalty > 0
