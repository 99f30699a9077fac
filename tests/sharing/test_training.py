"""What training does with what a scheme says: penalties, rates, records, nothing shared."""

import pytest
import torch
from torch import nn

from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.sharing import Conditioned, Grouped, SharedModule, Sharing, Special, create
from motet.tasks import Regression
from motet.training import Trainer

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
DATA = (X, {"a": X[:, 0].numpy(), "b": X[:, 1].numpy()})


class Scaled(Sharing):
    """A factor that all tasks share, with a learning rate of its own."""

    def build(self, stages, tasks, width):
        return _Scaled(stages, width)


class _Scaled(SharedModule):
    def __init__(self, stages, width):
        super().__init__()
        self.encoder, self.width = nn.Sequential(*stages), width
        self.factor = nn.Parameter(torch.ones(1, width))

    def forward(self, inputs, tasks):
        return dict.fromkeys(tasks, self.encoder(inputs) * self.factor)

    def task_parameters(self, task):
        yield from ()

    def special_parameters(self):
        yield self.factor, Special(rate=100.0, decays=False)


def model(sharing):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5))
    return MultiTaskModel(encoder, [Regression("a"), Regression("b")], sharing=sharing)


def test_a_scheme_chooses_rate_and_decay_of_its_parameters_and_groups_hand_them_on():
    for sharing in (Scaled(), Grouped(Conditioned(Scaled()), [["a"], ["b"]]), create("hard")):
        made = model(sharing)
        trainer = Trainer(made, learning_rate=1e-3, optimizer={"type": "adamw"})
        groups = trainer.optimizer.param_groups
        special = [p for p, _ in made.sharing.special_parameters()]
        fast = [group for group in groups if group["lr"] == pytest.approx(0.1)]
        assert [id(p) for group in fast for p in group["params"]] == [id(p) for p in special]
        assert all(group["weight_decay"] == 0 for group in fast)
        history = trainer.fit(DATA, epochs=2)
        assert max(record["learning_rate"] for record in history) <= 1e-3


def test_a_schedule_scales_every_rate_alike():
    trainer = Trainer(model(Scaled()), optimizer="sgd", learning_rate=0.01, lr_schedule="linear")
    for _ in range(2):
        trainer.fit(DATA, epochs=trainer.progress.epoch + 1)
        slow, fast = sorted({group["lr"] for group in trainer.optimizer.param_groups})
        assert fast == pytest.approx(100 * slow)


def test_biases_of_stacked_experts_and_digits_of_selectors_do_not_decay():
    for name, parts in (("mmoe", ("bias",)), ("dselect_k", ("bias", "digits", "mix"))):
        made = model(create(name, experts=2))
        groups = Trainer(made).optimizer.param_groups
        steady = {id(p) for g in groups if g["weight_decay"] == 0 for p in g["params"]}
        for key, parameter in made.named_parameters():
            assert (id(parameter) in steady) == key.endswith(parts), key


def test_records_tell_the_penalty_and_what_the_scheme_learned():
    records = []
    made = model(create("dselect_k", experts=2, k=1))
    Trainer(made, batch_size=2, on_record=records.append).fit(DATA, epochs=13)
    steps = [record for record in records if record["event"] == "step"]
    epochs = [record for record in records if record["event"] == "epoch"]
    assert len(steps) == 1
    assert steps[0]["penalty"] > 0
    assert epochs[-1]["sharing"] == made.sharing.describe()
    assert epochs[0]["sharing"] != epochs[-1]["sharing"]
    assert made.describe()["sharing"] == made.sharing.describe()


def test_where_nothing_is_shared_a_gradient_balancer_says_so_once_and_tasks_go_on_alone():
    sharing = create("hard", groups=[["a"], ["b"]])
    with pytest.warns(UserWarning, match="share no parameter, so UPGrad has nothing to balance"):
        trainer = Trainer(model(sharing), "upgrad", optimizer="sgd")
    alone = Trainer(model(sharing), "equal", optimizer="sgd")
    for each in (trainer, alone):
        each.fit(DATA, epochs=3)
    for one, other in zip(trainer.model.parameters(), alone.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_what_is_not_shared_cannot_be_frozen_as_if_it_were():
    made = model(create("hard", groups=[["a"], ["b"]]))
    with pytest.raises(InputError, match="the tasks share no parameter; name tasks instead of 'e"):
        made.freeze("encoder")
    made.freeze("a")
    assert {p.requires_grad for p in made.sharing.parts[0].parameters()} == {False}
    assert {p.requires_grad for p in made.sharing.parts[1].parameters()} == {True}
