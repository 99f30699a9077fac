"""Auxiliary tasks train as often as they say, counted in steps that include a main task."""

import warnings

import pytest
import torch
from quick_cases import others_slow
from torch import nn

import motet
from motet.data import Sources
from motet.options import AuxiliaryOptions, Unpack
from motet.problems import InputError
from motet.scheduling import Scheduler
from motet.tasks import Auxiliary, Regression
from motet.training import Trainer

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
TARGETS = {"a": X[:, 0], "b": X.sum(dim=1)}
BATCH = {"inputs": X, "targets": TARGETS}
WITHOUT = {"inputs": X, "targets": dict.fromkeys("ab", torch.full((24,), torch.nan))}
ONLY_B = {"inputs": X, "targets": {**TARGETS, "a": torch.full((24,), torch.nan)}}


class Sign(Auxiliary):
    """Predict the first number, negated."""

    def __init__(self, name: str, **common: Unpack[AuxiliaryOptions]) -> None:
        super().__init__(name, **common)

    def view(self, inputs, generator):
        return -inputs, inputs[:, 0]

    def loss(self, raw, target):
        return self.add_up(lambda raw, target: (raw - target) ** 2, raw, target)


def trainer(frequency, *, main=False, balanced=False, **options):
    torch.manual_seed(0)
    tasks = [Regression("a", main=main), Regression("b")]
    auxiliary = Sign("n", frequency=frequency, balanced=balanced)
    model = motet.MultiTaskModel(nn.Linear(4, 8), [*tasks, auxiliary])
    return Trainer(model, options.pop("balancer", "equal"), **options)


def fired(trainer, batches):
    return [
        number for number, each in enumerate(batches, 1) if "n" in trainer.train_step(each).losses
    ]


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(
    ("n", "steps"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6]), (7, [7]), (8, [])]
)
def test_every_n_fires_at_n_2n_and_so_on(n, steps, balanced, accumulate):
    found = trainer({"every": n}, balanced=balanced, accumulate=accumulate)
    assert fired(found, [BATCH] * 7) == steps


@pytest.mark.filterwarnings("ignore:no row of the batch has a label")
def test_steps_without_a_label_of_a_main_task_do_not_count():
    batches = [BATCH, WITHOUT, WITHOUT, BATCH, WITHOUT, BATCH, BATCH]
    assert fired(trainer({"every": 2}), batches) == [4, 7]
    assert fired(trainer({"every": 2}, main=True), [BATCH, ONLY_B, BATCH]) == [3]
    assert fired(trainer("always"), batches) == list(range(1, 8))


def test_labels_whose_weight_is_0_do_not_count():
    light = {**BATCH, "weights": dict.fromkeys("ab", torch.zeros(24))}
    assert fired(trainer({"every": 2}), [BATCH, light, BATCH]) == [3]


def test_steps_in_which_no_main_task_is_scheduled_do_not_count():
    class InTurn(Scheduler):
        def tasks_for(self, step, tasks):
            return [tasks[step % 2]]

    found = trainer({"every": 2}, main=True, scheduling=InTurn(["a", "b"]))
    assert fired(found, [BATCH] * 8) == [3, 7]  # steps with a are 1, 3, 5, 7


def test_a_disabled_main_task_does_not_count():
    found = trainer({"every": 2}, main=True)
    found.model.disable_task("a")
    assert fired(found, [BATCH] * 4) == [2, 4]  # then all that are enabled are main tasks


@pytest.mark.filterwarnings("ignore:no row of the batch has a label")
def test_a_probability_is_drawn_for_each_step_from_its_seed():
    batches = [BATCH] * 200
    one, two = (fired(trainer({"probability": 0.3}), batches) for _ in range(2))
    other = fired(trainer({"probability": 0.3}, seed=1), batches)
    assert one == two != other
    assert 40 < len(one) < 80  # 60, standard deviation 6.5
    assert fired(trainer({"probability": 1.0}), [BATCH, WITHOUT, BATCH]) == [1, 3]


def test_epochs_are_counted_from_1_and_both_ends_are_included():
    found = trainer({"epochs": (2, 3)}, batch_size=12)
    history = found.fit((X, TARGETS), epochs=4)
    assert ["n" in record["tasks"] for record in history] == [False, True, True, False]


@pytest.mark.parametrize("frequency", [{"every": 3}, {"probability": 0.5}])
@pytest.mark.parametrize("stop", others_slow([3], [1, 3, 4, 5]))
def test_a_resumed_trainer_goes_on_counting(frequency, stop):
    def fresh(steps):
        found = trainer(frequency, batch_size=8, balancer="pcgrad")
        step = found.train_step

        def noted(batch):
            result = step(batch)
            steps.append("n" in result.losses)
            found.stop_requested = len(steps) == found.stop_at
            return result

        found.train_step, found.stop_at = noted, 0
        return found

    steps, parts = [], []
    whole, first, second = fresh(steps), fresh(parts), fresh([])
    whole.fit((X, TARGETS), epochs=4)
    first.stop_at = stop  # in mid-epoch: an epoch has 3 steps
    states = []
    first.on_checkpoint = lambda kind: states.append(first.state())
    with pytest.raises(motet.training.Interrupted):
        first.fit((X, TARGETS), epochs=4)
    second = fresh(parts)
    second.load_state(states[-1])
    second.fit((X, TARGETS), epochs=4)
    assert parts == steps
    assert 0 < sum(steps) < 12
    for ours, theirs in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)


def test_a_task_that_would_never_train_is_rejected_with_the_numbers():
    for frequency, message in (
        ({"every": 7}, "every: 7, but the steps of training are 6 .epochs: 2, of 3 steps each"),
        ({"epochs": (3, 5)}, r"\[3, 5\], but training ends after epoch 2"),
    ):
        with pytest.raises(InputError, match=f"task 'n': frequency: found {message}"):
            trainer(frequency, batch_size=8).fit((X, TARGETS), epochs=2)
    trainer({"every": 6}, batch_size=8).fit((X, TARGETS), epochs=2)
    with pytest.warns(UserWarning, match="probability: 0.1, and the steps of training are 3"):
        trainer({"probability": 0.1}, batch_size=8).fit((X, TARGETS), epochs=1)
    disabled = trainer({"every": 7}, batch_size=8)
    disabled.model.disable_task("n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        disabled.fit((X, TARGETS), epochs=1)


@pytest.mark.parametrize(
    ("frequency", "message"),
    [
        ("sometimes", "frequency: found 'sometimes', expected always, {every: n}, {proba"),
        ({"every": 2, "probability": 0.5}, "frequency: found the keys every, probability, expe"),
        ({"every": 0}, "frequency.every: found 0, expected a number > 0"),
        ({"every": 2.5}, "frequency.every: found 2.5, expected a whole number"),
        ({"probability": 0}, "frequency.probability: found 0, expected a number > 0"),
        ({"probability": 1.5}, "frequency.probability: found 1.5, expected a number <= 1"),
        ({"epochs": (3, 2)}, "frequency: found .3, 2., expected a first epoch and one not"),
        ({"epochs": (0, 2)}, "frequency.epochs: found 0, expected a number > 0"),
        ({"every": 2, "epochs": (1, 2)}, "frequency: found the keys every, epochs, expected a"),
        ({"evry": 2}, "no option 'frequency.evry'"),
    ],
)
def test_wrong_frequencies_are_explained(frequency, message):
    with pytest.raises(InputError, match=message):
        Sign("n", frequency=frequency)


@pytest.mark.parametrize(
    ("scheduling", "every_main"),
    [
        ("all", 1),
        ("round_robin", 2),
        ({"type": "round_robin", "combine": "cycle"}, 1),
        ({"type": "random", "combine": "cycle"}, 1),
    ],
)
@pytest.mark.parametrize("accumulate", others_slow([2], [1, 2]))
def test_every_3_is_every_third_main_step_of_sources_and_cycles_across_a_resume(
    scheduling, every_main, accumulate
):
    """``every_main``: a step of the main task is one of so many."""
    data = Sources({"one": (X, {"a": X[:, 0]}), "two": (X[:16], {"b": X[:16, 1]})})
    states, steps = [], []

    def fresh(fired, stop=0):
        found = trainer(
            {"every": 3}, main=True, scheduling=scheduling, batch_size=4, accumulate=accumulate
        )
        step = found.train_step

        def noted(batch):
            result = step(batch)
            fired.append("n" in result.losses)
            found.stop_requested = len(fired) == stop
            return result

        found.train_step = noted
        found.on_checkpoint = lambda kind: states.append(found.state())
        return found

    whole, parts = fresh(steps), []
    whole.fit(data, epochs=4)
    number = 3 * every_main  # of main steps, the first is step 1
    due = [s for s in range(1, len(steps) + 1) if (s + every_main - 1) % number == 0]
    assert [s for s, fired in enumerate(steps, 1) if fired] == due
    assert len(due) > 1
    with pytest.raises(motet.training.Interrupted):
        fresh(parts, stop=due[0] + 1).fit(data, epochs=4)
    resumed = fresh(parts)
    resumed.load_state(states[-1])
    resumed.fit(data, epochs=4)
    assert parts == steps
    for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)
