"""A task that is enabled from an epoch on costs nothing before, and best weights wait for it."""

import json

import pytest
import torch
from quick_cases import others_slow
from torch import nn

import motet
from motet.problems import InputError
from motet.sharing import create as create_sharing
from motet.tasks import Regression
from motet.training import Trainer

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
DATA = X, {"a": X[:, 0] + X[:, 1], "b": X[:, 2] - X[:, 3]}


def made(start=3, **options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 16), nn.Tanh())
    return motet.MultiTaskModel(
        encoder, [Regression("a"), Regression("b", enabled={"from": start}, **options)]
    )


def trainer(model=None, balancer="equal", **options):
    options = {"batch_size": 10, "learning_rate": 0.03, **options}
    return Trainer(model or made(), balancer, **options)


def test_before_its_epoch_a_task_is_neither_computed_nor_trained_nor_evaluated():
    ours = trainer(on_record=lambda r: None, patience=None)
    before = {n: p.clone() for n, p in ours.model.tasks["b"].named_parameters()}
    before |= {n: p.clone() for n, p in ours.model.named_parameters() if ".b." in n}
    calls = []
    ours.model.heads["b"].register_forward_hook(lambda *_: calls.append(ours.progress.epoch + 1))
    stayed = []

    def note(record):
        if record["split"] == "train" and record["epoch"] == 2:
            now = dict(ours.model.named_parameters())
            stayed.extend(now[n].equal(p) for n, p in before.items() if n in now)

    ours.on_record = note
    history = ours.fit(DATA, DATA, epochs=4)
    assert stayed
    assert all(stayed)
    assert min(calls) == 3
    trained = [sorted(r["tasks"]) for r in history.records if r["split"] == "train"]
    evaluated = [sorted(r["tasks"]) for r in history.records if r["split"] == "validation"]
    assert trained == evaluated == [["a"], ["a"], ["a", "b"], ["a", "b"]]
    assert [r["best"] for r in history.records if r["split"] == "validation"][:3] == [0, 0, 1]
    assert history.best_epoch >= 3
    assert set(ours.predict(X)) == {"a", "b"}


def test_the_first_epochs_are_those_of_the_other_tasks_alone():
    encoder = nn.Sequential(nn.Linear(4, 16), nn.Tanh())
    ours, alone = trainer(), trainer(motet.MultiTaskModel(encoder, [Regression("a")]))
    alone.model.load_state_dict(
        {k: v for k, v in ours.model.state_dict().items() if k in alone.model.state_dict()}
    )
    for each, data in ((ours, DATA), (alone, (X, {"a": DATA[1]["a"]}))):
        each.train_epoch(data)
        each.train_epoch(data)
    for name, parameter in alone.model.named_parameters():
        assert parameter.equal(dict(ours.model.named_parameters())[name])


def test_patience_counts_from_the_epoch_in_which_all_tasks_train():
    ours = trainer(made(4), patience=1, learning_rate=1e-12, lr_schedule="constant")
    ours.fit(DATA, DATA, epochs=9)
    assert ours.progress.stopped
    assert ours.progress.epoch == 5


@pytest.mark.parametrize("monitor", ["b", "worst", "loss"])
def test_a_monitored_value_is_absent_until_its_tasks_train(monitor):
    ours = trainer(monitor=monitor, patience=None)
    history = ours.fit(DATA, DATA, epochs=4)
    records = [r for r in history.records if r["split"] == "validation"]
    assert ["monitored" in r for r in records] == [monitor != "b"] * 2 + [True] * 2
    json.dumps(records, allow_nan=False)
    assert history.best_epoch >= 3


@pytest.mark.parametrize(
    "balancer",
    others_slow(
        ["dwa", "gradnorm", "moco"], ["equal", "uncertainty", "dwa", "gradnorm", "pcgrad", "moco"]
    ),
)
def test_a_run_resumed_before_or_after_ends_bit_for_bit_as_without(balancer):
    states = []
    whole = trainer(balancer=balancer)
    whole.on_checkpoint = lambda kind: states.append(whole.state()) if kind == "last" else None
    whole.fit(DATA, DATA, epochs=5)
    for state in (states[0], states[1], states[2]):
        resumed = trainer(balancer=balancer)
        resumed.load_state(state)
        resumed.fit(DATA, DATA, epochs=5)
        for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
            assert ours.equal(theirs)


def test_unfreezing_and_turns_of_sharing_go_by_the_same_epochs():
    ours = trainer(freeze=["encoder"], unfreeze=[{"epoch": 3, "parts": ["encoder"]}])
    before = [p.clone() for p in ours.model.shared_parameters()]
    ours.train_epoch(DATA)
    ours.train_epoch(DATA)
    assert all(map(torch.equal, before, ours.model.shared_parameters()))
    ours.train_epoch(DATA)
    assert not any(map(torch.equal, before, ours.model.shared_parameters()))
    encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    model = motet.MultiTaskModel(
        encoder,
        [Regression("a"), Regression("b", enabled={"from": 4})],
        sharing=create_sharing("progressive", epochs=2, lateral=False),
    )
    planner = trainer(model).planner
    assert [planner.tasks_in(epoch) for epoch in range(1, 6)] == [["a"], ["a"], [], ["b"], ["b"]]
    with pytest.raises(InputError, match="no task is enabled in epoch 3"):
        planner.check(5)


@pytest.mark.parametrize(
    ("enabled", "message"),
    [
        ({"from": 6}, "task 'b': enabled: found from: 6; expected at most 5"),
        ({"from": 0}, "enabled.from.*: found 0, expected a number > 0"),
        ({"form": 2}, "enabled"),
        ("yes", "enabled: found 'yes', expected true or false"),
    ],
)
def test_what_would_never_train_is_refused(enabled, message):
    def fit():
        tasks = [Regression("a"), Regression("b", enabled=enabled)]
        trainer(motet.MultiTaskModel(nn.Linear(4, 8), tasks)).fit(DATA, epochs=5)

    with pytest.raises(InputError, match=message):
        fit()


def test_an_epoch_without_a_task_is_refused():
    model = motet.MultiTaskModel(nn.Linear(4, 8), [Regression("a", enabled={"from": 2})])
    with pytest.raises(InputError, match="no task is enabled in epoch 1; enable one from there on"):
        trainer(model).fit((X, {"a": DATA[1]["a"]}), epochs=5)


def test_steps_alone_report_that_the_epoch_never_comes():
    ours = trainer()
    batch = {"inputs": X[:10], "targets": {t: y[:10] for t, y in DATA[1].items()}}
    for _ in range(99):
        ours.train_step(batch)
    with pytest.warns(UserWarning, match=r"enabled: \{from: ...\}"):
        ours.train_step(batch)
