"""Losses divided by their first value."""

import numpy as np
import pytest
import torch
from torch import nn

from motet.balancing import Equal
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression
from motet.training import Trainer

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
DATA = (X, {"a": 5 * X[:, 0], "b": X[:, 0] - X[:, 2]})
OPTIONS = {"batch_size": 16, "lr_schedule": "constant", "normalize_losses": "initial"}


def made():
    torch.manual_seed(0)
    tasks = [Regression("a"), Regression("b")]
    return MultiTaskModel(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), tasks)


def batch(rows=slice(0, 16), **changes):
    targets = {task: torch.as_tensor(values[rows]) for task, values in DATA[1].items()} | changes
    return {"inputs": torch.as_tensor(X[rows]), "targets": targets}


def test_it_trains_as_with_weights_of_one_over_the_first_losses():
    ours, by_hand = made(), made()
    one = Trainer(ours, "equal", **OPTIONS)
    first = one.train_step(batch())
    other = Trainer(by_hand, "equal", **{**OPTIONS, "normalize_losses": None})
    for task, loss in first.losses.items():
        other.balancer.set_weight(task, 1 / float(loss))
    other.train_step(batch())
    for _ in range(3):
        one.train_step(batch(slice(16, 32)))
        other.train_step(batch(slice(16, 32)))
    for mine, theirs in zip(ours.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_the_balancer_sees_ones_first_and_records_tell_the_losses_as_they_are():
    trainer = Trainer(made(), "equal", **OPTIONS)
    step = trainer.train_step(batch())
    seen = {task: float(loss) for task, loss in step.balanced.losses.items()}
    assert seen == pytest.approx({"a": 1.0, "b": 1.0})
    assert float(step.losses["a"]) > 5


def test_means_of_epochs_are_told_in_the_units_that_are_balanced():
    class Told(Equal):
        def end_epoch(self, means):
            self.means = means

    balancer = Told(["a", "b"])
    trainer = Trainer(made(), balancer, **OPTIONS)
    means = trainer.train_epoch(DATA)
    assert means["a"] > 5
    initial = dict(zip("ab", trainer.state()[0]["normalizer/initial"].tolist(), strict=True))
    assert balancer.means == pytest.approx({t: mean / initial[t] for t, mean in means.items()})


def test_a_task_without_labels_at_first_is_divided_by_its_first_loss_later():
    trainer = Trainer(made(), "equal", **OPTIONS)
    trainer.train_step(batch(b=torch.full((16,), torch.nan)))
    step = trainer.train_step(batch())
    assert float(step.balanced.losses["b"]) == pytest.approx(1.0)


def test_a_step_that_is_not_finite_is_no_first_step():
    trainer = Trainer(made(), "equal", **OPTIONS)
    skipped = trainer.train_step(batch(b=torch.full((16,), 1e30)))
    assert skipped.skipped
    assert skipped.losses["a"].isfinite()
    assert not trainer.state()[0]["normalizer/initial"].any()
    assert not trainer.train_step(batch()).skipped


def test_a_resumed_trainer_divides_by_the_same_losses():
    whole, first, second = (Trainer(made(), "upgrad", **OPTIONS) for _ in range(3))
    whole.fit(DATA, epochs=3)
    first.fit(DATA, epochs=1)
    second.load_state(*first.state())
    second.fit(DATA, epochs=3)
    for ours, theirs in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_another_way_is_a_clear_error():
    with pytest.raises(InputError, match="normalize_losses: found 'first', expected 'initial'"):
        Trainer(made(), normalize_losses="first")
