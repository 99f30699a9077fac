"""What is kept beside the best weights, and when training with ``monitor: any`` stops."""

import numpy as np
import pytest
import torch

import motet
from motet.problems import InputError
from motet.training.state import TrainingState
from motet.training.validation import note_value

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)).astype("float32")
Y = {
    "a": X[:, 0] + 0.3 * RNG.normal(size=200),
    "b": (X[:, 1] + RNG.normal(size=200) > 0).astype(int),
}
DATA = (X[:120], {task: y[:120] for task, y in Y.items()})
VALID = (X[120:], {task: y[120:] for task, y in Y.items()})


def trainer(**options):
    torch.manual_seed(0)
    tasks = [motet.tasks.Regression("a"), motet.tasks.Classification("b", classes=2)]
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8))
    model = motet.MultiTaskModel(encoder=net, tasks=tasks)
    return motet.Trainer(model, learning_rate=0.3, batch_size=16, seed=0, **options)


def scores_of(history, task):
    metric = {"a": "r2", "b": "auroc"}[task]
    return history.curve(task, metric)


def test_each_task_is_predicted_with_the_weights_of_its_best_evaluation():
    found = trainer(keep="each", patience=None)
    history = found.fit(DATA, VALID, epochs=10)
    own = found.evaluate(VALID, weights="each")
    best = found.evaluate(VALID)
    for task, metric in (("a", "r2"), ("b", "auroc")):
        assert own[task][metric] == pytest.approx(max(scores_of(history, task)))
    assert len(set(found.progress.kept_for.values())) == 2  # else the test shows nothing
    assert found.progress.kept.keys() == set(found.progress.kept_for.values())
    assert own["score"] > best["score"]
    each, whole = found.predict(X, weights="each"), found.predict(X)
    assert not np.array_equal(each["a"], whole["a"])
    assert found.evaluate(VALID) == best  # the model is as before


def test_kept_weights_survive_a_resume():
    whole, saved = trainer(keep="each", patience=None), {}
    whole.on_checkpoint = lambda kind: saved.update({whole.progress.epoch: whole.state()})
    whole.fit(DATA, VALID, epochs=6)
    second = trainer(keep="each", patience=None)
    second.load_state(saved[3])
    second.fit(DATA, VALID, epochs=6)
    assert second.progress.kept_for == whole.progress.kept_for
    for task in ("a", "b"):
        for one, other in zip(whole.kept[task].values(), second.kept[task].values(), strict=True):
            assert torch.equal(one, other)


def test_without_keeping_there_are_no_weights_of_each_task():
    found = trainer()
    found.fit(DATA, VALID, epochs=1)
    assert found.progress.kept == {}
    with pytest.raises(InputError, match="only the best weights were kept; train with keep: each"):
        found.predict(X, weights="each")
    with pytest.raises(InputError, match="did you mean 'each'"):
        found.evaluate(VALID, weights="eech")


def test_training_continues_while_any_task_improves():
    progress = TrainingState()
    for better in (True, False, True, False):
        note_value(progress, 0.5, 1.0, 2, better)
    assert (progress.stale, progress.stopped) == (1, False)
    note_value(progress, 0.9, 1.0, 2, False)
    assert progress.stopped
    assert progress.best == 0.9  # the best whole is that of the best mean


def test_monitoring_any_stops_when_no_main_task_improves():
    any_, mean = (trainer(monitor=monitor, patience=2) for monitor in ("any", "mean"))
    histories = [each.fit(DATA, VALID, epochs=40) for each in (any_, mean)]
    last = len(histories[0])
    for task in ("a", "b"):
        scores = scores_of(histories[0], task)
        assert int(np.argmax(scores)) <= last - 3
    assert {int(np.argmax(scores_of(histories[0], task))) for task in "ab"} & {last - 3}
    assert last >= len(histories[1])


def test_a_task_cannot_be_named_any():
    with pytest.raises(InputError, match="any"):
        motet.MultiTaskModel(encoder=torch.nn.Linear(4, 4), tasks=[motet.tasks.Regression("any")])


def test_tasks_are_kept_in_their_order_so_that_equal_runs_have_equal_files():
    found = trainer(keep="each", patience=None)
    found.fit(DATA, VALID, epochs=1)
    assert list(found.kept) == ["a", "b"]


def test_no_rows_are_an_error_in_prediction():
    with pytest.raises(InputError, match="the data have no rows; expected at least one"):
        trainer().predict(X[:0])
