"""Groups of tasks are found while training, and are those that were planted."""

from itertools import product

import numpy as np
import pytest
import torch
from quick_cases import others_slow
from torch import nn
from torch.testing import assert_close

import motet
from motet.analysis import Similarity
from motet.data.arrays import ArrayData
from motet.problems import InputError
from motet.training import Interrupted, Observer, Trainer
from motet.training.compared_rows import own_states, row_scores
from motet.training.regrouping import grouped
from tests.gloo import in_processes
from tests.planted_blocks import BLOCKS, TASKS, planted, refreshes, split, trainer

WAYS = ("gradients", "performance", "data")


def found_by(by, seed, kind="numbers", **options):
    one = trainer({"by": by, "number": 2}, seed=seed, kind=kind, patience=None, **options)
    train, valid = split(planted(seed, rows=1200, kind=kind))
    one.fit(train, valid, epochs=5)
    return refreshes(one.history)


KINDS = ("numbers", "classes")
PLANTED = [*product(WAYS, KINDS, (0, 1))]
QUICK = [("gradients", "classes", 0), ("performance", "numbers", 0), ("data", "classes", 0)]


@pytest.mark.parametrize(("by", "kind", "seed"), others_slow(QUICK, PLANTED))
def test_the_groups_are_the_planted_blocks(by, seed, kind):
    found = found_by(by, seed, kind)
    assert len(found) == 5
    assert found[-1]["groups"] == BLOCKS
    assert found[-1]["tasks"] == list(TASKS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numbers", "classes"])
@pytest.mark.parametrize("by", WAYS)
def test_they_are_with_each_of_20_seeds(by, kind):
    assert [s for s in range(20) if found_by(by, s, kind)[-1]["groups"] != BLOCKS] == []


def identical(sign, rows=256, seed=0):
    """Labels of two tasks that are equal or opposed, and of a third that has nothing to do."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 8, generator=generator)
    return x, {"a": x[:, 0], "b": sign * x[:, 0], "c": x[:, 1]}


def three(**options):
    torch.manual_seed(0)
    scheme = motet.sharing.create("soft", groups={"by": "gradients", "number": 2})
    encoder = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 32), nn.Tanh())
    tasks = [motet.tasks.Regression(name) for name in "abc"]
    model = motet.MultiTaskModel(encoder, tasks, sharing=scheme)
    with torch.no_grad():  # predictions of 0, so that only labels differ
        for head in model.heads:
            for name, parameter in head.named_parameters():
                if name.endswith("bias"):
                    parameter.zero_()
    return Trainer(model, batch_size=256, learning_rate=1e-4, device="cpu", **options)


@pytest.mark.parametrize("sign", [1, -1])
def test_at_the_start_identical_tasks_have_cosine_1_and_opposed_ones_nearly_minus_1(sign):
    x, y = identical(sign)
    found = three().train_step({"inputs": x, "targets": y}).measured.cosines
    assert found[0, 1] == pytest.approx(sign, abs=1e-6 if sign > 0 else 0.4)
    assert abs(found[0, 2]) < 0.4


@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad", "famo"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_cosines_are_those_of_the_losses_without_the_regulariser(balancer, accumulate):
    if accumulate > 1 and balancer == "famo":
        pytest.skip("does not support micro-batches")
    one = trainer(
        {"by": "gradients", "number": 2},
        balancer=balancer,
        accumulate=accumulate,
        sharing={"strength": 5.0},
    )
    x, y = planted(rows=32)
    one.train_step({"inputs": x, "targets": y})
    one.train_step({"inputs": x, "targets": y})
    model, gradients = one.model, []
    losses = model.losses(model(x), y)
    for task in TASKS:
        own = list(model.sharing.columns[task].parameters())
        grad = torch.autograd.grad(losses[task], own, retain_graph=True)
        gradients.append(torch.cat([each.flatten() for each in grad]))
    unit = nn.functional.normalize(torch.stack(gradients), dim=1)
    found = one.train_step({"inputs": x, "targets": y}).measured
    assert found.tasks == TASKS
    assert_close(torch.tensor(found.cosines), (unit @ unit.T).double(), rtol=1e-4, atol=1e-5)


def test_measuring_does_not_change_what_is_trained():
    """The regulariser is added after the losses, whose gradients stay what they were."""
    regrouped = trainer({"by": "gradients", "number": 2}, sharing={"strength": 0.5})
    plain = trainer(None, sharing={"strength": 0.5})
    plain.model.load_state_dict(regrouped.model.state_dict(), strict=False)
    x, y = planted(rows=64)
    for each in (regrouped, plain):
        for start in (0, 32):
            rows = slice(start, start + 32)
            each.train_step({"inputs": x[rows], "targets": {t: v[rows] for t, v in y.items()}})
    state = regrouped.model.state_dict()
    for name, value in plain.model.state_dict().items():
        assert_close(state[name], value, rtol=1e-5, atol=1e-6)


def test_a_step_counts_for_the_pairs_that_take_part():
    one = trainer({"by": "gradients", "number": 2})
    x, y = planted(rows=96)
    for missing in ((), ("a",), ("a", "b")):
        targets = {task: each for task, each in y.items() if task not in missing}
        one.train_step({"inputs": x, "targets": {**dict.fromkeys(missing), **targets}})
    steps = one.statistics()["pairs"]["steps"]
    at = {task: place for place, task in enumerate(one.statistics()["pairs"]["tasks"])}
    assert steps[at["a"]][at["c"]] == 1
    assert steps[at["b"]][at["c"]] == 2
    assert steps[at["c"]][at["d"]] == 3


class StopAt(Observer):
    """Stops after a step, or after an epoch."""

    def __init__(self, step=None, epoch=None):
        self._step, self._epoch = step, epoch

    def on_step(self, observed, record):
        observed.stop_requested |= record.step == self._step

    def on_epoch(self, observed, record):
        observed.stop_requested |= record.epoch == self._epoch


PLACES = [{"step": 5}, {"epoch": 2}, {"step": 32}]
STOPS = [(by, stop) for by in WAYS for stop in PLACES]


@pytest.mark.parametrize(("by", "stop"), others_slow([*zip(WAYS, PLACES, strict=True)], STOPS))
def test_a_resumed_trainer_goes_on_bit_for_bit(by, stop, monkeypatch):
    monkeypatch.setattr("motet.training.trainer.LOG_EVERY", 1)
    train, valid = split(planted())  # 10 steps in an epoch

    def fresh(**options):
        return trainer({"by": by, "number": 2, "every": 2}, patience=None, **options)

    whole, first, second = fresh(), fresh(observers=[StopAt(**stop)]), fresh()
    whole.fit(train, valid, epochs=5)
    with pytest.raises(Interrupted):
        first.fit(train, valid, epochs=5)
    second.load_state(first.state())
    assert second.model.sharing.groups == first.model.sharing.groups
    second.fit(train, valid, epochs=5)
    assert_close(second.model.state_dict(), whole.model.state_dict(), rtol=0, atol=0)
    assert second.progress.pairs.summary() == whole.progress.pairs.summary()
    assert refreshes(second.history)[-1] == refreshes(whole.history)[-1]


def test_groups_are_found_every_so_many_epochs():
    train, valid = split(planted())
    one = trainer({"by": "gradients", "number": 2, "every": 2})
    one.fit(train, valid, epochs=5)
    records = [record for record in one.history if record["split"] == "train"]
    assert [record["epoch"] for record in records if "groups" in record] == [2, 4]
    assert records[0]["sharing"]["groups"] == [list(TASKS)]
    assert records[-1]["sharing"]["groups"] == one.model.sharing.groups


@pytest.mark.parametrize("by", others_slow(["gradients"], WAYS))
def test_several_processes_find_the_groups_of_one(by):
    train, valid = split(planted(rows=200))

    def work():
        one = trainer({"by": by, "number": 2}, patience=None)
        one.fit(train, valid, epochs=2)
        return one.model.sharing.groups, one.statistics()["pairs"]

    alone, several = work(), in_processes(2, work)
    assert several[0] == several[1]
    assert several[0][0] == alone[0]
    if by == "gradients":
        assert np.allclose(several[0][1]["cosines"], alone[1]["cosines"], atol=1e-3)


def test_epochs_one_by_one_find_groups_by_gradients_alone():
    data = planted()
    one = trainer({"by": "gradients", "number": 2})
    one.train_epoch(data)
    assert one.model.sharing.groups == BLOCKS
    for by in ("performance", "data"):
        with pytest.raises(InputError, match=r"no validation data.*by: gradients"):
            trainer({"by": by, "number": 2}).train_epoch(data)
        with pytest.raises(InputError, match=r"groups\.by: found groups by"):
            trainer({"by": by, "number": 2}).fit(data, epochs=2)


def test_groups_that_would_never_be_trained_are_refused():
    with pytest.raises(InputError, match=r"groups\.every: found 3, expected an epoch before 3"):
        trainer({"by": "gradients", "number": 2, "every": 3}).fit(planted(), epochs=3)


def test_single_steps_warn_that_groups_stay():
    one = trainer({"by": "gradients", "number": 2})
    x, y = planted(rows=8)
    for _ in range(99):
        one.train_step({"inputs": x, "targets": y})
    with pytest.warns(UserWarning, match="groups of sharing: soft"):
        one.train_step({"inputs": x, "targets": y})


def test_without_a_difference_beyond_chance_tasks_stay_one_group():
    """Labels that are noise: errors of tasks are unrelated, and no pair stands out."""
    random = torch.Generator().manual_seed(3)
    x = torch.randn(400, 8, generator=random)
    y = {task: torch.randn(400, generator=random) for task in TASKS}
    one = trainer({"by": "performance", "number": 2})
    one.fit(*split((x, y)), epochs=2)
    assert one.model.sharing.groups == [list(TASKS)]
    assert not any(each["changed"] for each in refreshes(one.history))


def test_disabled_tasks_join_the_largest_group():
    one = trainer({"by": "gradients", "number": 2})
    one.model.disable_task("f")
    x, y = planted()
    del y["f"]
    one.train_epoch((x, y))
    assert one.model.sharing.groups == [["a", "c", "e", "f"], ["b", "d"]]


def test_unknown_pairs_count_as_unrelated_and_unknown_tasks_join_the_largest_group():
    nan = float("nan")
    matrix = np.array([[1, 0.9, nan, nan], [0.9, 1, 0.1, nan], [nan, 0.1, 1, nan], [nan] * 4])
    found = Similarity(tuple("abcd"), matrix, np.full((4, 4), 9))
    assert grouped(found, list("abcde"), 2) == [["a", "b", "d", "e"], ["c"]]
    nothing = Similarity(("a", "b"), np.full((2, 2), nan), np.zeros((2, 2), int))
    assert grouped(nothing, list("abcde"), 2) is None


class Columns(nn.Module):
    """Raw outputs that are columns of the inputs."""

    def __init__(self, tasks):
        super().__init__()
        self.names, self.one = [task.name for task in tasks], nn.Parameter(torch.ones(1))

    def forward(self, x):
        return {name: self.one * x[:, at] for at, name in enumerate(self.names)}


def test_scores_of_rows_are_residuals_in_the_order_of_all_batches():
    x = torch.tensor([[1.0, 5.0], [2.0, 6.0], [4.0, 7.0]])
    y = {"a": torch.tensor([1.0, torch.nan, 1.0]), "b": torch.tensor([4.0, 4.0, 4.0])}
    tasks = [motet.tasks.Regression("a"), motet.tasks.Regression("b")]
    model = motet.MultiTaskModel.wrap(Columns(tasks), tasks)
    data = ArrayData(x, y, weights={"b": torch.tensor([1.0, 1.0, 0.0])})
    found = row_scores(model, data, batch_size=2, tasks=["a", "b"])
    assert_close(found["a"].tolist(), [0.0, float("nan"), 3.0], equal_nan=True)
    assert_close(found["b"].tolist(), [1.0, 2.0, float("nan")], equal_nan=True)


@pytest.mark.parametrize("rows", [7, 20, 41, 200])
def test_of_many_rows_evenly_spaced_ones_are_compared(rows):
    model = trainer({"by": "data", "number": 2}).model
    x, y = planted(rows=rows)
    found = own_states(model, ArrayData(x, y), batch_size=6, tasks=["a", "b"], most=10)
    whole = model.eval().represent(x, ["a"])
    stride = next(2**k for k in range(9) if -(-rows // 2**k) <= 20)
    assert_close(found["a"], whole[::stride].detach())
    assert found["a"].shape == found["b"].shape


def test_frozen_networks_have_nothing_to_compare():
    one = trainer({"by": "gradients", "number": 2}, freeze=["sharing"])
    with pytest.warns(UserWarning, match="no two tasks that can be compared by gradients"):
        one.train_epoch(planted(rows=64))
    assert one.model.sharing.groups == [list(TASKS)]


def test_a_frozen_task_joins_the_largest_group_of_the_others():
    one = trainer({"by": "gradients", "number": 2}, freeze=["f"])
    one.train_epoch(planted())
    assert one.model.sharing.groups == [["a", "c", "e", "f"], ["b", "d"]]


@pytest.mark.filterwarnings("ignore:scheduling")
def test_one_task_at_a_step_cannot_be_compared_by_gradients():
    one = trainer({"by": "gradients", "number": 2}, scheduling="round_robin", patience=None)
    train, valid = split(planted())
    with pytest.warns(UserWarning, match="expected steps that train two tasks") as found:
        one.fit(train, valid, epochs=3)
    assert len(found) == 1
