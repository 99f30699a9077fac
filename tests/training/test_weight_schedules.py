"""Task weights that change from epoch to epoch."""

import numpy as np
import pytest
import torch
from torch import nn

from motet.balancing import Equal
from motet.config import ConfigError, read
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression
from motet.training import Trainer

X = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
DATA = (X, {"a": X[:, 0] + X[:, 1], "b": X[:, 0] - X[:, 2]})
FALLING = {"from": 1.0, "to": 0.2, "epochs": [2, 4]}


def made(weight=FALLING):
    torch.manual_seed(0)
    tasks = [Regression("a"), Regression("b", weight=weight)]
    return MultiTaskModel(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), tasks)


def test_the_weight_goes_evenly_from_the_first_epoch_to_the_last():
    trainer = Trainer(made(), "equal", batch_size=16)
    trainer.fit(DATA, epochs=6)
    weights = [record["tasks"]["b"]["weight"] for record in trainer.history]
    assert weights == pytest.approx([1.0, 1.0, 0.6, 0.2, 0.2, 0.2])
    assert {record["tasks"]["a"]["weight"] for record in trainer.history} == {1.0}


def test_it_is_trained_with_the_weight_of_the_epoch():
    scheduled, by_hand = made(), made(weight=1.0)
    one = Trainer(scheduled, "equal", batch_size=16)
    other = Trainer(by_hand, "equal", batch_size=16)
    for weight in (1.0, 1.0, 0.6, 0.2):
        one.train_epoch(DATA)
        other.balancer.set_weight("b", weight)
        other.train_epoch(DATA)
    for ours, theirs in zip(scheduled.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_resumed_trainer_goes_on_with_the_schedule():
    whole, first, second = (
        Trainer(made(), "equal", batch_size=16, lr_schedule="constant") for _ in range(3)
    )
    whole.fit(DATA, epochs=4)
    first.fit(DATA, epochs=3)
    second.load_state(*first.state())
    second.fit(DATA, epochs=4)
    assert second.balancer.weight("b") == pytest.approx(0.2)
    for ours, theirs in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_every_stage_has_the_schedule_and_a_balancer_s_own_weight_stays_a_factor():
    balancer = Equal(["a", "b"])
    balancer.set_weight("b", 10.0)
    trainer = Trainer(made(), [{"until": 3, "type": balancer}, "pcgrad"], batch_size=16)
    trainer.fit(DATA, epochs=3)
    assert balancer.weight("b") == pytest.approx(6.0)
    trainer.fit(DATA, epochs=4)
    assert trainer.balancer.weight("b") == pytest.approx(0.2)


def test_a_weight_set_on_the_way_stays_where_there_is_no_schedule():
    trainer = Trainer(made(weight=2.0), "equal", batch_size=16)
    trainer.fit(DATA, epochs=1)
    trainer.balancer.set_weight("b", 5.0)
    trainer.fit(DATA, epochs=2)
    assert trainer.balancer.weight("b") == 5.0


@pytest.mark.parametrize("weight", [FALLING, FALLING | {"from": 0.5, "to": 1.0}])
def test_a_balancer_that_undoes_weights_refuses_schedules(weight):
    with pytest.raises(InputError, match="MGDA takes no weight for 'b'"):
        Trainer(made(weight), "mgda")


def test_the_loss_that_is_monitored_has_the_last_weight_in_all_epochs():
    trainer = Trainer(made(), "equal", batch_size=16, monitor="loss")
    trainer.fit(DATA, DATA, epochs=2)
    for record in trainer.history:
        if record["split"] == "validation":
            losses = {task: values["loss"] for task, values in record["tasks"].items()}
            assert record["monitored"] == pytest.approx(-losses["a"] - 0.2 * losses["b"])


@pytest.mark.parametrize(
    ("weight", "problem"),
    [
        (
            "{from: 1.0, to: 0.0, epochs: [1, 9]}",
            r"2:49  tasks\.a\.weight\.to: found 0\.0, expected",
        ),
        ("{from: 1.0, too: 2.0, epochs: [1, 9]}", r"tasks\.a\.weight\.too: .*did you mean 'to'"),
        ("{from: 1.0, epochs: [1, 9]}", r"tasks\.a\.weight\.to: missing"),
        (
            "{from: 1.0, to: 2.0, epochs: [9, 9]}",
            r"found \[9, 9\], expected a first epoch and a later",
        ),
        ("-1", r"2:33  tasks\.a\.weight: found -1, expected a number > 0"),
    ],
)
def test_a_wrong_schedule_in_a_config_is_told_with_its_place(weight, problem, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(f"tasks:\n  a: {{type: regression, weight: {weight}}}\n")
    with pytest.raises(ConfigError, match=problem):
        read(file)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ({"from": 1.0, "to": 2.0}, "weight.epochs: missing"),
        ({"from": 1.0, "to": 2.0, "epochs": [3, 1]}, r"found \[3, 1\], expected a first epoch"),
        (0, "expected a number > 0"),
    ],
)
def test_a_wrong_schedule_from_python_is_a_clear_error(weight, message):
    with pytest.raises(InputError, match=message):
        Regression("a", weight=weight)
