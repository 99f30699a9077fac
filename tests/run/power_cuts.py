"""Runs that die in the middle, as by a power cut."""

import pytest

import motet


class Stop(Exception):
    """Stands for a power cut."""


def cut_short(config, output, monkeypatch, after, **options):
    """Start a run that dies within its ``after``-th step."""
    steps = 0
    step = motet.Trainer.train_step

    def dying(self, batch):
        nonlocal steps
        steps += 1
        if steps == after:
            raise Stop
        return step(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", dying)
        with pytest.raises(Stop):
            motet.train(config, output=output, **options)
