"""What happens around the loop happens in observers, at a few named events."""

import numpy as np
import pytest
import torch
from torch import nn

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression
from motet.training import EpochRecord, EvaluationRecord, Interrupted, Observer, StepRecord, Trainer

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
DATA = (X, {"a": X[:, 0], "b": X[:, 1]})


class Notes(Observer):
    """Writes down each event."""

    def __init__(self):
        self.events = []

    def on_begin(self, trainer):
        self.events.append(("begin", trainer.step))

    def on_step(self, trainer, record):
        self.events.append(record)

    def on_epoch(self, trainer, record):
        self.events.append(record)

    def on_evaluation(self, trainer, record):
        self.events.append(record)

    def on_checkpoint(self, trainer, kind):
        self.events.append((kind, trainer.step))

    def on_end(self, trainer):
        self.events.append(("end", trainer.step))


def made(**options):
    torch.manual_seed(0)
    model = MultiTaskModel(nn.Linear(3, 4), [Regression("a"), Regression("b")])
    return Trainer(model, **{"batch_size": 2, **options})


def test_events_come_in_the_order_of_the_loop():
    notes = Notes()
    made(observers=[notes]).fit(DATA, DATA, epochs=2)
    found = [each if isinstance(each, tuple) else type(each) for each in notes.events]
    assert found == [
        ("begin", 0),
        EpochRecord,
        EvaluationRecord,
        ("best", 30),
        ("last", 30),
        StepRecord,
        EpochRecord,
        EvaluationRecord,
        ("best", 60),
        ("last", 60),
        ("end", 60),
    ]


def test_functions_get_the_records_of_observers_as_lines():
    notes, lines, kinds = Notes(), [], []
    trainer = made(observers=[notes], on_record=lines.append, on_checkpoint=kinds.append)
    history = trainer.fit(DATA, DATA, epochs=2)
    records = [each for each in notes.events if not isinstance(each, tuple)]
    assert lines == [each.as_dict() for each in records]
    assert list(history) == [each.as_dict() for each in records if each.event != "step"]
    assert kinds == ["best", "last", "best", "last"]


def test_an_observer_that_overrides_nothing_changes_nothing():
    plain, observed = made(), made(observers=[Observer()])
    for trainer in (plain, observed):
        trainer.fit(DATA, DATA, epochs=1)
    for one, other in zip(plain.model.parameters(), observed.model.parameters(), strict=True):
        assert torch.equal(one, other)


class Stopping(Observer):
    def on_epoch(self, trainer, record):
        trainer.stop_requested = True


def test_an_observer_may_stop_training_and_every_observer_sees_the_end():
    notes = Notes()
    trainer = made(observers=[notes, Stopping()])
    with pytest.raises(Interrupted):
        trainer.fit(DATA, epochs=3)
    assert notes.events[-2:] == [("last", 31), ("end", 31)]


class Failing(Observer):
    def on_checkpoint(self, trainer, kind):
        raise OSError("the disk is full")


def test_every_observer_sees_the_end_after_an_error():
    notes = Notes()
    with pytest.raises(OSError, match="disk"):
        made(observers=[notes, Failing()]).fit(DATA, epochs=1)
    assert notes.events[-1] == ("end", 30)


def test_steps_and_epochs_are_observed_without_fit():
    notes = Notes()
    trainer = made(observers=[notes], batch_size=1)
    trainer.train_epoch(DATA)
    assert [type(each) for each in notes.events] == [StepRecord, EpochRecord]


def test_what_is_no_observer_is_an_error():
    with pytest.raises(InputError, match=r"observers: found 3, expected an Observer"):
        made(observers=[3])


def test_observers_know_at_which_checkpoint_training_ends():
    class Ends(Observer):
        def __init__(self, at):
            self.found, self.at = [], at

        def on_evaluation(self, trainer, record):
            trainer.stop_requested = record.epoch == self.at

        def on_checkpoint(self, trainer, kind):
            if kind == "last":
                self.found.append(trainer.ends)

    whole, stopped = Ends(0), Ends(2)
    made(observers=[whole]).fit(DATA, DATA, epochs=3)
    assert whole.found == [False, False, True]
    with pytest.raises(Interrupted):
        made(observers=[stopped]).fit(DATA, DATA, epochs=3)
    assert stopped.found == [False, True, True]
