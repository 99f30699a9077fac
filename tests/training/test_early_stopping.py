"""The best value so far: ties are broken by the loss, and do not keep training going."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from motet.model import MultiTaskModel
from motet.tasks import Regression
from motet.training import Trainer
from motet.training.state import TrainingState
from motet.training.validation import note_value


def test_of_equal_values_the_one_with_the_lower_loss_is_the_best():
    progress = TrainingState()
    steps = [(0.5, 1.0), (0.5, 0.8), (0.5, 0.9), (0.4, 0.1), (0.6, 2.0), (0.6, 1.0)]
    found = [note_value(progress, value, loss, None) for value, loss in steps]
    assert found == [True, True, False, False, True, True]
    assert (progress.best, progress.best_loss) == (0.6, 1.0)


def test_ties_do_not_keep_training_from_stopping():
    progress = TrainingState()
    for loss in (1.0, 0.9, 0.8):
        assert note_value(progress, 0.5, loss, 2)
    assert progress.stopped


def test_a_loss_that_is_nan_breaks_no_tie():
    progress = TrainingState()
    assert note_value(progress, 0.5, float("nan"), None)
    assert not note_value(progress, 0.5, 0.1, None)
    json.dumps(progress.numbers(), allow_nan=False)


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_training_continues_after_validation_losses_that_are_infinite(smoothing):
    inputs, labels = np.ones((8, 2), dtype=np.float32), np.tile([-1.0, 1.0], 4)
    huge = (inputs, {"a": 1e25 * labels})  # whose squares are too large for float32
    torch.manual_seed(0)
    model = MultiTaskModel(nn.Linear(2, 2), [Regression("a")])
    trainer = Trainer(model, monitor="loss", monitor_smoothing=smoothing, learning_rate=0.01)
    trainer.on_checkpoint = lambda kind: json.dumps(trainer.state()[1], allow_nan=False)
    history = trainer.fit((inputs, {"a": labels}), huge, epochs=3)
    assert history.curve("a") == [math.inf] * 3
