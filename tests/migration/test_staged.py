"""Tasks are added to a trained model in stages, and what the old ones lose is reported."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import motet
from motet.migration import Stage, add_tasks
from motet.problems import InputError
from motet.states import TokenStates
from motet.tasks import Classification, Contrastive, Regression, SequenceLabelling
from motet.training.observers import Observer

rng = np.random.default_rng(0)
X = rng.normal(size=(400, 6)).astype(np.float32)
LABELS = {"side": (X[:, 0] > 0).astype(int), "sum": X[:, :3].sum(1)}


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
    model = motet.migrate(net, Classification("side", classes=2), torch.tensor(X[:8]))
    trainer = motet.Trainer(model, batch_size=32, learning_rate=1e-2, seed=0)
    trainer.fit((X[:300], {"side": LABELS["side"][:300]}), epochs=5)
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


@pytest.fixture
def old(trained):
    net = nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
    net.load_state_dict(trained)
    return net.eval()


def rows(first, last, *tasks):
    return X[first:last], {task: LABELS[task][first:last] for task in tasks}


def added(old, stages, *, labels=("side", "sum"), **options):
    model = motet.migrate(old, Classification("side", classes=2), torch.tensor(X[:8]))
    train, valid = rows(0, 300, *labels), rows(300, 400, "side", "sum")
    options = {"batch_size": 32, "learning_rate": 1e-2, "seed": 0, **options}
    return model, add_tasks(model, [Regression("sum")], train, valid, stages=stages, **options)


def test_new_tasks_learn_while_old_outputs_stay_bit_identical(old):
    before = old(torch.tensor(X))
    model, (report,) = added(old, [Stage("new", 8)], labels=("sum",))
    assert torch.equal(model.facade("side")(torch.tensor(X)), before)
    assert report.changed == {"side": 0.0}
    assert report.after.scores["sum"] > 0.5
    assert report.after.scores["side"] == report.before.scores["side"]
    assert not model.frozen
    assert model.active_tasks == ("side", "sum")
    assert any("bit-identical" in line for line in report.lines())


def test_what_was_frozen_before_computes_as_in_evaluation_too_and_stays_frozen(old):
    before = old(torch.tensor(X))
    model = motet.migrate(old, Classification("side", classes=2), torch.tensor(X[:8]))
    model.freeze("encoder")
    frozen = model.frozen
    train, valid = rows(0, 300, "sum"), rows(300, 400, "side", "sum")
    stages, options = [Stage("new", 2)], {"batch_size": 32, "learning_rate": 1e-2}
    (report,) = add_tasks(model, [Regression("sum")], train, valid, stages=stages, **options)
    assert report.changed == {"side": 0.0}
    assert torch.equal(old.eval()(torch.tensor(X)), before)
    assert (model.frozen, model.held) == (frozen, ())


def test_an_old_task_without_a_score_stops_the_first_stage(old):
    model = motet.migrate(old, Classification("side", classes=2), torch.tensor(X[:8]))
    alike = np.flatnonzero(LABELS["side"])[:50]
    valid = X[alike], {task: labels[alike] for task, labels in LABELS.items()}
    (report,) = add_tasks(model, [Regression("sum")], rows(0, 300, "side", "sum"), valid)
    assert "give no score of side" in report.stopped
    assert report.changed == {"side": 0.0}


def test_then_all_train_together_within_the_bound(old):
    model, reports = added(old, [Stage("new", 4), Stage("all", 4)], bound=0.05)
    assert [each.stopped for each in reports] == [None, None]
    first, last = reports[0].before.scores["side"], reports[1].after.scores["side"]
    assert last >= first - 0.05
    assert reports[1].changed["side"] > 0
    assert not model.training


def test_a_stage_that_harms_an_old_task_is_undone_and_no_other_follows(old):
    before = old(torch.tensor(X))
    harmful = Stage("all", 5, {"learning_rate": 3.0})
    model, (report,) = added(old, [harmful, Stage("all", 1)])
    assert "the score of side fell" in report.stopped
    assert torch.equal(model.facade("side")(torch.tensor(X)), before)
    assert report.after.scores["side"] == report.before.scores["side"]


def test_labels_of_old_tasks_are_asked_for_before_anything_is_added(old):
    with pytest.raises(InputError, match="the training data have no labels of side"):
        added(old, [Stage("new", 1), Stage("all", 1)], labels=("sum",))
    model = motet.migrate(old, Classification("side", classes=2), torch.tensor(X[:8]))
    with pytest.raises(InputError, match="the validation data have no labels of side"):
        add_tasks(model, [Regression("sum")], rows(0, 300, "sum"), rows(300, 400, "sum"))
    assert model.active_tasks == ("side",)


def test_what_cannot_be_added_is_rejected_before_anything_is_added(old):
    model = motet.migrate(old, Classification("side", classes=2), torch.tensor(X[:8]))
    both = rows(0, 300, "side", "sum"), rows(300, 400, "side", "sum")
    for names, message in ((["sum", "side"], "two tasks are named"), (["sum", "size"], "of size")):
        with pytest.raises(InputError, match=message):
            add_tasks(model, [Regression(name) for name in names], *both)
        assert model.active_tasks == ("side",)
    with pytest.raises(InputError, match="train: found 'old'; expected new or all"):
        Stage("old", 1)


def test_an_option_of_a_later_stage_is_checked_before_anything_is_added(old):
    model = motet.migrate(old, Classification("side", classes=2), torch.tensor(X[:8]))
    both = rows(0, 300, "side", "sum"), rows(300, 400, "side", "sum")
    stages = [Stage("new", 1, {"learning_rate": 1e-2}), Stage("all", 1, {"lr": 1e-4})]
    with pytest.raises(InputError, match="Trainer: no option 'lr'; did you mean 'learning_rate'"):
        add_tasks(model, [Regression("sum")], *both, stages=stages)
    assert model.active_tasks == ("side",)


def test_a_last_epoch_that_harms_is_undone_beside_observers_too(old):
    before, seen = old(torch.tensor(X)), []

    class Noting(Observer):
        def on_evaluation(self, trainer, record):
            seen.append(record.epoch)

    harmful = Stage("all", 1, {"learning_rate": 3.0, "observers": [Noting()]})
    model, (report,) = added(old, [harmful])
    assert "the score of side fell" in report.stopped
    assert report.lines()[0] == "all: 1 epoch"
    assert torch.equal(model.facade("side")(torch.tensor(X)), before)
    assert seen == [1]


class Augmented(torch.utils.data.Dataset):
    """Rows of which an epoch has noise of its own, as images that are augmented."""

    def __len__(self):
        return 100

    def __getitem__(self, row):
        noise = torch.randn(6) / 10
        targets = {task: labels[300 + row].astype(np.float32) for task, labels in LABELS.items()}
        return {"inputs": torch.tensor(X[300 + row]) + noise, "targets": targets}


def test_a_loader_that_shuffles_and_draws_rows_anew_reports_no_change_where_there_is_none(old):
    model = motet.migrate(old, Classification("side", classes=2), torch.tensor(X[:8]))
    valid = DataLoader(Augmented(), batch_size=24, shuffle=True, drop_last=True)
    options = {"batch_size": 32, "learning_rate": 1e-2, "seed": 0}
    stages = [Stage("new", 2)]
    (report,) = add_tasks(
        model, [Regression("sum")], rows(0, 300, "sum"), valid, stages=stages, **options
    )
    assert report.changed == {"side": 0.0}
    assert report.after.scores["side"] == report.before.scores["side"]
    assert report.stopped is None


class Words(nn.Module):
    """A state for every word, zeros after the last."""

    gives, width = "tokens", 4

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(9, 4)

    def forward(self, words):
        states = self.words(words)
        return TokenStates(states, words == 0, states.mean(1))


def test_tasks_on_words_may_have_texts_of_any_length():
    def batch(length):
        words = torch.from_numpy(rng.integers(1, 9, (8, length)))
        return {"inputs": words, "targets": {"odd": words % 2, "first": (words[:, 0] > 4).long()}}

    model = motet.MultiTaskModel(Words(), [SequenceLabelling("odd", classes=2)])
    loader = DataLoader([batch(5), batch(3)], batch_size=None)
    new = Classification("first", classes=2)
    (report,) = add_tasks(model, [new], loader, loader, stages=[Stage("new", 1)])
    assert report.changed == {"odd": 0.0}


def test_auxiliary_tasks_rest_while_new_tasks_are_trained_alone():
    made = []

    def views(inputs, generator):
        made.append(len(inputs))
        return inputs, inputs

    alike = Contrastive("alike", views=views)
    model = motet.MultiTaskModel(nn.Linear(6, 8), [Classification("side", classes=2), alike])
    both = rows(0, 300, "side", "sum"), rows(300, 400, "side", "sum")
    add_tasks(model, [Regression("sum")], *both, stages=[Stage("new", 1)], batch_size=100)
    assert made == []
    assert model.active_tasks == ("side", "alike", "sum")
