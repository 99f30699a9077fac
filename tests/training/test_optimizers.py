"""Which learning rate and which weight decay each parameter has."""

import pytest
import torch
from torch import nn

from motet.encoders import LSTM, MLP
from motet.encoders.joined import Joined
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.registry import OPTIMIZERS
from motet.tasks import Classification, Regression, SequenceLabelling
from motet.training import Trainer

TABLE, TEXT = "sharing.stages.0.table", "sharing.stages.0.encoders.0"


def joined():
    """A table beside a text that was trained before, whose words and rows are labelled."""
    text = LSTM(20, width=4, layers=2)
    text.own_learning_rate = 2e-5
    slots = SequenceLabelling(
        "slots", classes=["O", "B-a"], decoder="crf", head={"hidden": [4]}, learning_rate=5e-3
    )
    tasks = [slots, Classification("kind", classes=2)]
    return MultiTaskModel(Joined(MLP(2, hidden=(4, 3)), {"text": text}, "text"), tasks)


def groups(model, **options):
    """The (rate, weight decay) of each parameter by name, the balancer's as "balancer"."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    optimizer = Trainer(model, "uncertainty", learning_rate=1e-3, **options).optimizer
    return {
        names.get(id(parameter), "balancer"): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_every_part_of_a_table_beside_a_text_has_its_rate_and_its_decay():
    found = groups(joined())
    parts = {
        TABLE: 1e-3,
        TEXT: 2e-5,
        "heads.slots": 5e-3,
        "tasks.slots": 5e-3,
        "heads.kind": 1e-3,
        "balancer": 1e-3,
    }
    for name, (rate, decay) in found.items():
        assert rate == next(parts[part] for part in parts if name.startswith(part)), name
        is_matrix = ".weight" in name and "embedding" not in name
        assert decay == (0.01 if is_matrix else 0.0), name
    assert found["tasks.slots.crf.transitions"] == (5e-3, 0.0)


def test_layer_decay_goes_down_every_branch_from_its_own_rate():
    found = {name: rate for name, (rate, _) in groups(joined(), layer_decay=0.5).items()}
    assert found[f"{TABLE}.stages.2.0.weight"] == pytest.approx(1e-3 / 2)
    assert found[f"{TABLE}.stages.1.0.weight"] == pytest.approx(1e-3 / 4)
    assert found[f"{TEXT}.recurrent.weight_hh_l1"] == pytest.approx(2e-5 / 2)
    assert found[f"{TEXT}.recurrent.weight_hh_l0"] == pytest.approx(2e-5 / 4)
    assert found[f"{TEXT}.embedding.tokens.weight"] == pytest.approx(2e-5 / 8)
    assert found["heads.slots.head.layers.0.weight"] == found["tasks.slots.crf.start"] == 5e-3
    assert found["heads.kind.layers.0.weight"] == 1e-3


def test_a_shared_rate_is_that_of_the_shared_parts_that_have_none():
    found = {name: rate for name, (rate, _) in groups(joined(), shared_learning_rate=1e-4).items()}
    assert found[f"{TABLE}.stages.1.0.weight"] == 1e-4
    assert found[f"{TEXT}.recurrent.weight_hh_l0"] == 2e-5
    assert found["heads.kind.layers.0.weight"] == 1e-3


def test_a_shared_rate_that_no_parameter_would_have_is_refused():
    encoder = nn.Linear(5, 4)
    encoder.own_learning_rate = 2e-5
    model = MultiTaskModel(encoder, [Regression("a"), Regression("b")])
    with pytest.raises(
        InputError, match="no effect, as everything that the tasks share is pretrained"
    ):
        Trainer(model, shared_learning_rate=1e-4)


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_a_head_may_get_its_first_gradient_late(optimizer):
    model = MultiTaskModel(nn.Linear(2, 3), [Regression("a"), Regression("b")])
    trainer = Trainer(model, optimizer=optimizer)
    moved = []
    for b in (torch.nan, 1.0):
        before = [parameter.clone() for parameter in model.task_parameters("b")]
        targets = {"a": torch.ones(4), "b": torch.full((4,), b)}
        trainer.train_step({"inputs": torch.ones(4, 2), "targets": targets})
        moved.append(not all(map(torch.equal, before, model.task_parameters("b"))))
    assert moved == [False, True]
