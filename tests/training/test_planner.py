"""The planner alone decides which tasks train at a step, and in epochs ahead."""

from collections.abc import Sequence
from typing import final

import pytest
import torch
from torch import nn

import motet
from motet.problems import InputError
from motet.scheduling import Scheduler
from motet.sharing import create as create_sharing
from motet.tasks import Classification, Regression
from motet.training import Trainer

BATCH = {
    "inputs": torch.randn(12, 4, generator=torch.Generator().manual_seed(0)),
    "targets": {"a": torch.arange(12) % 2, "b": torch.linspace(-1, 1, 12)},
}


def made(**options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    tasks = [Classification("a", classes=2), Regression("b")]
    return motet.MultiTaskModel(encoder, tasks, **options)


@final
class Growing(Scheduler):
    """Trains the first task alone until it has been asked three times."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.asked = nn.Buffer(torch.tensor(0))

    def tasks_for(self, step: int, tasks: Sequence[str]) -> Sequence[str]:
        self.asked.add_(1)
        return tasks if self.asked > 3 else tasks[:1]


class Fixed(Scheduler):
    def __init__(self, chosen):
        super().__init__(["a", "b"])
        self.chosen = chosen

    def tasks_for(self, step, tasks):
        return self.chosen


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad"])
def test_tasks_that_are_not_chosen_do_not_train(balancer):
    model = made()
    before = {name: each.clone() for name, each in model.named_parameters()}
    trainer = Trainer(model, balancer, scheduling=Fixed(["b"]))
    if balancer == "pcgrad":
        with pytest.warns(UserWarning, match="Fixed trains one task at a step, so PCGrad has noth"):
            trainer.train_step(BATCH)
    for _ in range(3):
        assert list(trainer.train_step(BATCH).losses) == ["b"]
    for name, each in model.named_parameters():
        assert each.equal(before[name]) == ("heads" in name and ".a." in name), name


def test_a_scheduler_is_asked_once_per_step_and_its_state_is_resumed():
    first = Trainer(made(), scheduling=Growing(["a", "b"]))
    trained = [list(first.train_step(BATCH).losses) for _ in range(2)]
    second = Trainer(made(), scheduling=Growing(["a", "b"]))
    second.load_state(first.state())
    for trainer in (first, second):
        following = [list(trainer.train_step(BATCH).losses) for _ in range(2)]
        assert [*trained, *following] == [["a"], ["a"], ["a"], ["a", "b"]]
    for ours, theirs in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert ours.equal(theirs)


@pytest.mark.parametrize("balancer", ["equal", "gradnorm", "pcgrad", "moco"])
@pytest.mark.parametrize("chosen", [["b", "a"], ["b", "a", "b"], "ab"])
def test_tasks_train_once_in_the_order_of_the_model_however_they_are_listed(balancer, chosen):
    weights = []
    for scheduling in ("all", Fixed(iter(chosen))):
        trainer = Trainer(made(), balancer, scheduling=scheduling)
        assert list(trainer.train_step(BATCH).losses) == ["a", "b"]
        weights.append([each.detach() for each in trainer.model.parameters()])
    assert all(map(torch.equal, *weights))


@pytest.mark.parametrize("chosen", ["a", None, 3])
def test_a_scheduler_that_returns_no_list_is_an_error(chosen):
    trainer = Trainer(made(), scheduling=Fixed(chosen))
    with pytest.raises(InputError, match=r"Fixed: found .* at step 0; expected .*, in a list"):
        trainer.train_step(BATCH)


def test_a_task_that_the_scheduler_never_chose_is_warned_about_once():
    data = BATCH["inputs"], BATCH["targets"]
    trainer = Trainer(made(), scheduling=Fixed(["b"]), batch_size=6)
    with pytest.warns(UserWarning, match=r"Fixed chose 'a' in no step of the first epoch") as seen:
        trainer.fit(data, epochs=3)
    assert len(seen) == 1
    trainer = Trainer(made(), scheduling=Growing(["a", "b"]), batch_size=3)
    trainer.fit(data, epochs=2)


def test_steps_before_a_resume_count_for_that_warning():
    class Once(Fixed):
        def tasks_for(self, step, tasks):
            return ["a"] if step == 0 else ["b"]

    data = BATCH["inputs"], BATCH["targets"]
    states = []
    first = Trainer(made(), scheduling=Once([]), batch_size=6, checkpoint_every=1)
    first.on_checkpoint = lambda _: states.append(first.state())
    first.fit(data, epochs=1)
    second = Trainer(made(), scheduling=Once([]), batch_size=6)
    second.load_state(states[0])
    assert second.step == 1
    second.fit(data, epochs=1)


@pytest.mark.parametrize("chosen", [[], ["a", "c"], ["c"]])
def test_a_scheduler_that_chooses_what_does_not_train_is_an_error(chosen):
    trainer = Trainer(made(), scheduling=Fixed(chosen))
    with pytest.raises(InputError, match=r"Fixed: found \[.*\] at step 0; expected one or more of"):
        trainer.train_step(BATCH)


def test_the_scheduler_chooses_among_the_tasks_whose_turn_it_is():
    seen = []

    class Noting(Fixed):
        def tasks_for(self, step, tasks):
            seen.append(list(tasks))
            return tasks

    model = made(sharing=create_sharing("progressive", epochs=1, lateral=False))
    trainer = Trainer(model, scheduling=Noting([]), batch_size=6)
    trainer.fit((BATCH["inputs"], BATCH["targets"]), epochs=2)
    assert seen == [["a"], ["a"], ["b"], ["b"]]
    assert trainer.planner.takes_turns
    assert trainer.planner.tasks_of_last_turn(1) == set()
    assert trainer.planner.tasks_of_last_turn(2) == {"b"}


@pytest.mark.parametrize(
    ("scheduling", "message"),
    [
        ("al", "no scheduler is named 'al'; did you mean 'all'"),
        ({"type": "all", "steps": 3}, "has no option 'steps'"),
        (Growing(["a", "c"]), "a scheduler of the tasks a, c; expected those of the model: a, b"),
    ],
)
def test_a_scheduler_that_does_not_fit_is_explained(scheduling, message):
    with pytest.raises(InputError, match=message):
        Trainer(made(), scheduling=scheduling)
