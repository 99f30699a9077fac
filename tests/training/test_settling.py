"""What a trainer leaves to the data: numbers from the rows, the same again after a resume."""

import numpy as np
import pytest
import torch
from torch import nn

import motet
from motet.problems import InputError
from motet.settings import budget
from motet.training.monitor import smoothed_value
from motet.training.state import TrainingState

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype("float32")
Y = {"a": X[:, 0] + RNG.normal(size=60)}
DATA = (X[:40], {"a": Y["a"][:40]})
VALID = (X[40:], {"a": Y["a"][40:]})


def trainer(**options):
    torch.manual_seed(0)
    model = motet.MultiTaskModel(nn.Linear(4, 2), [motet.tasks.Regression("a")])
    return motet.Trainer(model, **options)


def test_automatic_numbers_are_those_of_the_rows_with_their_reasons():
    found = trainer(batch_size="auto", patience={"steps": 4}, monitor_smoothing="auto")
    assert (found.batch_size, found.patience) == (512, None)  # until data are known
    found.learning_rate = 0.0
    found.fit(DATA, VALID, epochs=3)
    assert (found.batch_size, found.patience, found.monitor_smoothing) == (32, 2, 0.7)
    assert found.chosen["batch_size"].reason == "40 training rows, 2 steps an epoch"
    assert "epochs" not in found.chosen


def test_automatic_epochs_have_enough_steps(monkeypatch):
    monkeypatch.setattr(budget, "LEAST_STEPS", 100)  # 1,500 take a while
    found = trainer(batch_size=20, learning_rate=1e-9, patience={"share": 1.0})
    found.fit(DATA, VALID, epochs="auto")
    assert found.step == 100
    assert found.chosen["epochs"].value == found.chosen["patience"].value == 50


def test_the_batches_of_a_loader_are_counted_as_they_are():
    batches = [{"inputs": X[:40], "targets": {"a": Y["a"][:40]}}] * 600
    found = trainer(batch_size="auto")
    with pytest.raises(InputError, match="found 'many', expected a whole number >= 0, or auto"):
        found.fit(batches, epochs="many")
    found.fit(batches, epochs=0)
    assert found.batch_size == 512
    found.fit(batches[:1], epochs=0)
    assert found.chosen["batch_size"].reason.startswith("for evaluation")


def test_a_number_that_is_set_on_the_trainer_stays():
    found = trainer(patience=None)
    found.batch_size, found.patience = 20, 7
    found.fit(DATA, VALID, epochs=1)
    assert (found.batch_size, found.patience, found.step, found.chosen) == (20, 7, 2, {})


def test_a_schedule_that_early_stopping_cut_is_reported_with_what_to_do():
    slow = {"batch_size": 10, "learning_rate": 1e-12, "lr_schedule": "cosine"}
    cut = trainer(**slow, patience=2)
    cut.fit(DATA, VALID, epochs=20)
    assert cut.progress.stopped
    assert "in epoch 3 of 20, at 9" in cut.cut_short
    assert cut.cut_short.endswith("epochs: 3 lets it fall")
    done = trainer(**slow, patience=None)
    done.fit(DATA, VALID, epochs=4)
    assert done.cut_short is None
    flat = trainer(**{**slow, "lr_schedule": "constant"}, patience=2)
    flat.fit(DATA, VALID, epochs=20)
    assert flat.progress.stopped
    assert flat.cut_short is None


def test_a_smoothed_value_is_the_mean_with_weights_that_halve():
    state, values = TrainingState(), RNG.normal(size=6)
    found = [smoothed_value(state, float(value), 0.5) for value in values]
    for count in range(1, 7):
        shares = 0.5 ** np.arange(count)[::-1]
        assert found[count - 1] == pytest.approx(np.average(values[:count], weights=shares))


def test_one_lucky_evaluation_does_not_choose_the_weights():
    """With smoothing the best of the run is where neighbours are good, too."""
    values, best = [0.1, 0.9, 0.1, 0.6, 0.7, 0.7, 0.7], {}
    for smoothing in (0.0, 0.7):
        state = TrainingState()
        seen = [smoothed_value(state, value, smoothing) for value in values]
        best[smoothing] = int(np.argmax(seen))
    assert best == {0.0: 1, 0.7: 6}


def test_smoothing_beside_monitor_any_is_refused():
    with pytest.raises(InputError, match=r"monitor_smoothing: found 0\.5 and monitor: any"):
        trainer(monitor="any", monitor_smoothing=0.5)
    with pytest.raises(InputError, match="has no effect without validation data"):
        trainer(monitor_smoothing=0.5).fit(DATA, epochs=1)


@pytest.mark.parametrize(
    ("scheduling", "steps"),
    [("all", 2), ({"type": "round_robin", "combine": "cycle"}, 1), ("task_balanced", 4)],
)
def test_automatic_epochs_count_optimizer_steps_however_many_batches_each_takes(scheduling, steps):
    torch.manual_seed(0)
    tasks = [motet.tasks.Regression("a"), motet.tasks.Regression("b")]
    model = motet.MultiTaskModel(nn.Linear(4, 2), tasks)
    found = motet.Trainer(model, scheduling=scheduling, batch_size=20)
    data = (DATA[0], {"a": DATA[1]["a"], "b": DATA[1]["a"]})
    found.fit(data, epochs=1)
    assert found.step == steps
    assert found._settle("auto", found._data(data, "rows", whole=True)) == min(1_500 // steps, 300)
