"""What cannot be right in data is reported before the first step, with what to do."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from motet.data.arrays import ArrayData
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification, Regression
from motet.training import Trainer

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
TARGETS = {"c": np.arange(60) % 3, "r": X[:, 0]}
BALANCED = {"class_weights": "balanced"}
BAD = X.copy()
BAD[5, 2], BAD[7, 1] = np.nan, np.inf
FOUND = "NaN or infinity in 2 of 60 rows, first in row 5"


def made(encoder=None, **options):
    torch.manual_seed(0)
    encoder = encoder or nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    tasks = [Classification("c", classes=3), Regression("r")]
    return Trainer(MultiTaskModel(encoder, tasks), batch_size=8, **options)


def batches(inputs, size=8):
    return [
        {
            "inputs": torch.tensor(inputs[at : at + size]),
            "targets": {task: torch.tensor(y[at : at + size]) for task, y in TARGETS.items()},
        }
        for at in range(0, len(inputs), size)
    ]


def loader(inputs):
    return DataLoader(batches(inputs), batch_size=None)


class MissingAsZero(nn.Module):
    width, takes_nan = 4, True

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, inputs):
        return self.layer(inputs.nan_to_num())


# Inputs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "what"),
    [
        (lambda trainer: trainer.fit((BAD, TARGETS), epochs=1), "the training data"),
        (lambda trainer: trainer.fit(ArrayData(BAD, TARGETS), epochs=1), "the training data"),
        (
            lambda trainer: trainer.fit((X, TARGETS), (BAD, TARGETS), epochs=1),
            "the validation data",
        ),
        (lambda trainer: trainer.train_epoch((torch.tensor(BAD), TARGETS)), "the training data"),
        (lambda trainer: trainer.evaluate((BAD, TARGETS)), "the evaluation data"),
        (lambda trainer: trainer.predict(BAD), "the data"),
        (lambda trainer: trainer.predict_probabilities(BAD), "the data"),
    ],
)
def test_inputs_that_are_not_finite_are_refused_with_their_rows(use, what):
    trainer = made()
    with pytest.raises(InputError, match=f"{what}: inputs has {FOUND}"):
        use(trainer)
    assert trainer.step == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda trainer, data: trainer.fit(data, epochs=1),
        lambda trainer, data: trainer.evaluate(data),
        lambda trainer, data: trainer.predict(data),
    ],
)
def test_of_a_loader_the_batch_is_named(use):
    wrong = X.copy()
    wrong[17] = np.nan
    with pytest.raises(InputError, match=r"data, batch 2: inputs has NaN in 1 of 8 rows, .* row 1"):
        use(made(), loader(wrong))


def test_data_are_looked_at_once(monkeypatch):
    looks = []
    monkeypatch.setattr(
        "motet.training.intake.refuse_not_finite", lambda *given, **_: looks.append(given[1])
    )
    made(patience=None).fit((X, TARGETS), (X, TARGETS), epochs=3)
    assert looks == ["the training data", "the validation data"]
    looks.clear()
    made(patience=None).fit(loader(X), loader(X), epochs=3)
    assert len(looks) == 2 * len(batches(X))


class Counted(list):
    """A loader that counts how often it is gone through."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


def test_a_loader_is_gone_through_once_before_training_and_once_an_epoch_or_evaluation():
    train, valid = Counted(batches(X)), Counted(batches(X))
    trainer = made(patience=None)
    trainer.fit(train, valid, epochs=3)
    assert (train.passes, valid.passes) == (1 + 3, 1 + 3)
    trainer.train_epoch(train)
    assert train.passes == 4 + 2
    trainer.evaluate(valid)
    assert valid.passes == 4 + 2


def test_labels_of_batches_are_checked_and_learned_from_as_labels_in_memory():
    memory, batched = (
        Trainer(
            MultiTaskModel(nn.Linear(4, 4), [Classification("c", classes=3, **BALANCED)]),
            batch_size=8,
        )
        for _ in range(2)
    )
    memory.fit((X, left_out("r")), epochs=1)
    some = batches(X)
    for batch in some:
        del batch["targets"]["r"]
    batched.fit(some, epochs=1)
    for name in ("values", "mean"):
        own, other = (getattr(each.model.tasks["c"].weights, name) for each in (memory, batched))
        assert torch.equal(own, other)
    assert memory.trivial.keys() == batched.trivial.keys()
    some[3]["targets"]["c"][2] = 3
    with pytest.raises(InputError, match="task 'c': found the label 3"):
        batched.fit(some, epochs=1)


def test_a_label_that_is_not_valid_is_reported_with_its_row():
    wrong = {**TARGETS, "r": X[:, 0].copy()}
    wrong["r"][19] = np.inf
    with pytest.raises(InputError, match="'r': found an infinite label in row 19, expected"):
        made().fit((X, wrong), epochs=1)
    some = batches(X)
    some[2]["targets"]["r"][3] = np.inf
    for use in (made().fit, made().evaluate, made().train_epoch):
        with pytest.raises(InputError, match="an infinite label in row 3 of batch 2, expected"):
            use(some)


def test_a_batch_with_targets_for_no_task_is_refused():
    some = batches(X)
    some[1]["targets"]["area"] = X[8:16, 0]
    with pytest.raises(
        InputError, match="training data have targets for 'area', which is not a task"
    ):
        made().fit(some)


def test_an_encoder_may_say_that_it_reads_nan():
    wrong = X.copy()
    wrong[5, 2] = np.nan
    trainer = made(MissingAsZero())
    assert trainer.fit((wrong, TARGETS), epochs=1).skipped_steps == 0
    assert np.isfinite(trainer.predict(wrong)["r"]).all()
    with pytest.raises(InputError, match="infinity in 1 of 60 rows, first in row 7"):
        trainer.predict(BAD)


# Targets -----------------------------------------------------------------------------------------


def left_out(name):
    return {task: y for task, y in TARGETS.items() if task != name}


@pytest.mark.parametrize("form", [lambda x, y: (x, y), ArrayData])
def test_an_enabled_task_without_targets_is_an_error_that_names_it(form):
    with pytest.raises(InputError, match=r"training data have no targets for 'r', found 'c'.*None"):
        made().fit(form(X, left_out("r")), epochs=1)
    with pytest.raises(InputError, match="training data have no targets for 'c'"):
        made().train_epoch(form(X, left_out("c")))
    with pytest.raises(InputError, match="validation data have no targets for 'r'"):
        made().fit((X, TARGETS), form(X, left_out("r")), epochs=1)


def test_a_loader_that_never_names_a_task_is_refused_and_one_that_does_sometimes_is_not():
    some = batches(X)
    for batch in some[1:]:
        del batch["targets"]["r"]
    made().fit(some, epochs=1)
    del some[0]["targets"]["r"]
    with pytest.raises(InputError, match="training data have no targets for 'r'"):
        made().fit(some, epochs=1)
    some[3]["targets"]["r"] = None
    made().fit(some, epochs=1)


def test_a_task_may_be_left_out_on_purpose():
    for data in ((X, {**TARGETS, "r": None}), ArrayData(X, {**TARGETS, "r": None})):
        history = made().fit(data, epochs=1)
        assert list(history.records[-1]["tasks"]) == ["c"]
    trainer = made()
    trainer.model.disable_task("r")
    trainer.fit((X, left_out("r")), epochs=1)


def test_an_evaluation_takes_the_targets_that_are_there_but_not_fewer_than_asked_for():
    trainer = made()
    assert set(trainer.evaluate((X, left_out("r")))) == {"c", "score"}
    with pytest.raises(InputError, match="the data have no targets for 'r'"):
        trainer.evaluate((X, left_out("r")), tasks="r")


# Tasks by name -----------------------------------------------------------------------------------


def test_one_task_may_be_named_alone():
    torch.manual_seed(0)
    tasks = [Regression("ner"), Regression("r")]
    trainer = Trainer(MultiTaskModel(nn.Linear(4, 8), tasks))
    data = (X, {"ner": X[:, 0], "r": X[:, 1]})
    assert set(trainer.evaluate(data, tasks="ner")) == {"ner", "score"}
    assert list(trainer.predict(X, tasks="ner")) == ["ner"]
    assert list(trainer.model(torch.tensor(X), tasks="ner")) == ["ner"]
    assert trainer.model.represent(torch.tensor(X), "ner").shape == (60, 8)
    assert list(made().predict_probabilities(X, tasks="c")) == ["c"]
    for use in (trainer.predict, trainer.model):
        with pytest.raises(InputError, match="no task is named 'rn'"):
            use(torch.tensor(X), tasks="rn")


# Batches and epochs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        ((X, TARGETS), "tuple"),
        ({"inputs": X}, "'inputs': a ndarray"),
        ({"x": X, "y": TARGETS}, "the key 'x'"),
        ({"inputs": X, "targets": X}, "'targets': a ndarray"),
        (X, "ndarray"),
    ],
)
def test_what_is_no_batch_is_refused(batch, found):
    with pytest.raises(InputError, match=rf"the batch: found .*{found}.*; expected "):
        made().train_step(batch)


@pytest.mark.parametrize("epochs", [-1, 1.5, "3", True, None])
def test_what_is_no_number_of_epochs_is_refused(epochs):
    with pytest.raises(InputError, match=r"epochs: found .*, expected a whole number >= 0"):
        made().fit((X, TARGETS), epochs=epochs)
