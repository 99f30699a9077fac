"""Training with class weights reaches the same probabilities with batches of every size."""

import math
from itertools import product

import pytest
import torch
from quick_cases import others_slow
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification, MultiLabel
from motet.training import Trainer

ROWS = 80
X = torch.zeros(ROWS, 1)
LABELS = (torch.arange(ROWS) % 20 == 0).long()
"""One row in twenty is rare."""
SPARSE = LABELS.clone()
SPARSE[torch.arange(ROWS) % 4 > 0] = -100
SGD = {"type": "sgd", "momentum": 0.0, "learning_rate": 0.02}


def make(weights="balanced", batch_size=4, accumulate=1, **options):
    """A model of one bias per class, at equal probabilities."""
    task = Classification("a", classes=2, class_weights=weights)
    model = MultiTaskModel(nn.Linear(1, 1), [task])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return Trainer(
        model,
        optimizer=SGD,
        lr_schedule="constant",
        batch_size=batch_size,
        accumulate=accumulate,
        **options,
    )


def probability_of_rare(trainer):
    return trainer.predict_probabilities(X)["a"][0, 1]


GIVEN = {"all": [1.0, 19.0], "sparse": [1.0, 4.0]}
"""Of the labelled rows one in five is rare where labels are sparse."""
BATCHES = [(4, 1), (4, 2), (16, 1), (16, 4), (80, 1)]
WEIGHED = list(product(("balanced", "given"), BATCHES, GIVEN))
QUICK = [
    ("balanced", (4, 2), "sparse"),
    ("balanced", (16, 1), "all"),
    ("given", (16, 4), "sparse"),
    ("given", (80, 1), "all"),
]
"""Both kinds of weights and of labels, batches whole and in micro-batches."""


@pytest.mark.parametrize(("weights", "batch", "labels"), others_slow(QUICK, WEIGHED))
def test_balanced_classes_stay_equally_probable(weights, batch, labels):
    trainer = make(GIVEN[labels] if weights == "given" else weights, *batch)
    trainer.fit((X, {"a": LABELS if labels == "all" else SPARSE}), epochs=30)
    assert probability_of_rare(trainer) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("weights", ["balanced", [1.0, 19.0]])
def test_epochs_of_a_loop_of_ones_own_learn_the_mean_weight_too(weights):
    trainer = make(weights)
    for _ in range(30):
        trainer.train_epoch((X, {"a": LABELS}))
    assert probability_of_rare(trainer) == pytest.approx(0.5, abs=0.02)


def test_what_a_task_was_prepared_with_is_kept_by_epochs_of_a_loop_of_ones_own():
    trainer = make()
    trainer.model.tasks["a"].prepare(LABELS)
    trainer.train_epoch((X[:8], {"a": LABELS[:8]}))
    assert_close(trainer.model.tasks["a"].weights(), torch.tensor([20 / 38, 10.0]))


def test_a_step_without_any_epoch_asks_for_the_labels_of_balanced_weights():
    with pytest.raises(InputError, match=r"found balanced, but no training labels were seen yet"):
        make().train_step({"inputs": X, "targets": {"a": LABELS}})


def test_an_evaluation_divides_by_the_mean_weight_of_the_training_labels():
    trainer = make([1.0, 19.0])
    trainer.fit((X, {"a": LABELS}), epochs=2)
    target = torch.tensor([0, 0, 0, 1, 1, -100])
    raw = trainer.model(X[:6])["a"].detach()
    weighted = functional.cross_entropy(
        raw, target, torch.tensor([1.0, 19.0]), reduction="sum", ignore_index=-100
    )
    report = trainer.evaluate((X[:6], {"a": target}))
    assert report["a"]["loss"] == pytest.approx(weighted.item() / (5 * 1.9))
    assert report["a"]["count"] == 5


@pytest.mark.parametrize("weights", ["balanced", [1.0, 19.0]])
def test_a_state_has_the_mean_weight_so_that_training_goes_on_bit_for_bit(weights):
    first, second = make(weights), make(weights)
    first.train_epoch((X, {"a": LABELS}))
    second.load_state(*first.state())
    batch = {"inputs": X[:4], "targets": {"a": LABELS[:4]}}
    losses = [trainer.train_step(batch).losses["a"] for trainer in (first, second)]
    assert_close(losses[0], losses[1], rtol=0, atol=0)
    for name, tensor in first.state()[0].items():
        assert torch.equal(tensor, second.state()[0][name]), name


def test_labels_that_are_weighted_are_right_in_parts_of_batches_with_gaps():
    labels = torch.stack([LABELS, 1 - LABELS], dim=1).float()
    labels[1::3, 0] = torch.nan
    labels[::5, 1] = torch.nan
    task = MultiLabel("a", classes=2, pos_weight="balanced")
    model = MultiTaskModel(nn.Linear(1, 1), [task])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    options = {"optimizer": SGD, "lr_schedule": "constant", "batch_size": 8, "accumulate": 2}
    trainer = Trainer(model, **options)
    trainer.fit((X, {"a": labels}), epochs=30)
    found = trainer.predict_probabilities(X)["a"][0]
    assert found.tolist() == pytest.approx([0.5, 0.5], abs=0.02)


def test_the_loss_of_an_epoch_is_that_of_all_rows_at_once():
    trainer = make([1.0, 19.0], batch_size=4)
    loss = trainer.train_epoch((X, {"a": LABELS}))["a"]
    assert loss == pytest.approx(math.log(2), abs=0.01)
