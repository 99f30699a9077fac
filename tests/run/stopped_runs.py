"""Runs that stop in the middle, for tests that a resumed run ends as one that did not stop."""

import pytest
import torch

import motet
from motet.training import Interrupted


def stopped(config, output, *, data=None, overrides=(), step=0):
    """Train into a folder, and stop after the step with this number, the first being 0."""
    original = motet.Trainer.train_step

    def stopping(trainer, batch):
        if trainer.step == step:
            trainer.stop_requested = True
        return original(trainer, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motet.Trainer, "train_step", stopping)
        with pytest.raises(Interrupted):
            motet.train(config, data, overrides, output)
    return output


def same_weights(one, other):
    """Whether the models of two runs are the same to the last bit."""
    own, found = one.model.state_dict(), other.model.state_dict()
    return own.keys() == found.keys() and all(torch.equal(own[n], found[n]) for n in own)
