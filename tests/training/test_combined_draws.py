"""Combined draws are one step, as if their batches had arrived together; lone tasks are plain."""

import warnings
from itertools import cycle, islice

import pytest
import torch
from quick_cases import others_slow
from torch import nn
from torch.testing import assert_close

import motet
from motet.data.arrays import ArrayData
from motet.problems import InputError
from motet.scheduling import RoundRobin
from motet.tasks import Auxiliary, Classification, Regression
from motet.training import Trainer

TASKS = ("a", "b", "c")
N = 44


def data(seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(N, 4, generator=draw)
    b, c = x[:, 0] + x[:, 1], x[:, 2].clone()
    c[torch.rand(N, generator=draw) < 0.3] = torch.nan
    return x, {"a": (x[:, 3] > 0).long(), "b": b, "c": c}


def made(dtype=torch.float32):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh())
    tasks = [Classification("a", classes=2), Regression("b"), Regression("c")]
    return motet.MultiTaskModel(encoder, tasks).to(dtype)


def plain(groups):
    return torch.optim.SGD(groups, lr=0.1)


def trainer(scheduling, balancer="equal", model=None, **options):
    options = {"optimizer": plain, "batch_size": 8, **options}
    return Trainer(model or made(), balancer, scheduling=scheduling, **options)


def wide(batch):
    return {
        "inputs": batch.inputs.double(),
        "targets": {
            t: y.double() if y.is_floating_point() else y for t, y in batch.targets.items()
        },
    }


def by_hand(model, batches, order, balancer):
    """One step: the losses of each task on its own batches, then one call of the engine."""
    losses = {}
    for batch, task in zip(batches, order, strict=True):
        raw = model(batch["inputs"], [task])
        total, count = model.loss_terms(raw, batch["targets"])[task]
        before = losses.get(task, (0, 0))
        losses[task] = before[0] + total, before[1] + count
    means = {task: losses[task][0] / losses[task][1] for task in TASKS}
    motet.backward(means, balancer, shared=model.shared_parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
            parameter.grad = None
    return means


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad", "upgrad", "moco"])
@pytest.mark.parametrize("repeats", [False, True])
def test_a_cycle_is_the_step_of_batches_that_arrive_together(balancer, repeats):
    model, own = made(torch.float64), made(torch.float64)
    scheduler = RoundRobin(TASKS)
    if repeats:
        order = iter("aabbac" * 2)
        scheduler.tasks_for = lambda step, tasks: [next(order)]
    scheduling = {"type": scheduler, "combine": "cycle"}
    ours = trainer(scheduling, balancer, model, lr_schedule="constant", clip_norm=None)
    reference = motet.balancing.create(balancer, own.tasks)
    batches = [wide(batch) for batch in ArrayData(*data()).batches(3)]
    size = 6 if repeats else 3
    for step in range(2):
        taken = batches[step * size : (step + 1) * size]
        result = ours.train_step(iter(taken))
        means = by_hand(own, taken, "aabbac" if repeats else "abc", reference)
        assert result.batches == size
        assert_close(result.losses, {task: each.detach() for task, each in means.items()})
        if balancer == "uncertainty":  # its own parameters are trained, too
            with torch.no_grad():
                reference.log_variance -= 0.1 * reference.log_variance.grad
                reference.log_variance.grad = None
        for mine, theirs in zip(model.parameters(), own.parameters(), strict=True):
            assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
    assert ours.step == 2


def test_micro_batches_of_a_cycle_make_the_same_step():
    states = []
    for accumulate in (1, 2):
        each = trainer({"type": "round_robin", "combine": "cycle"}, "pcgrad", accumulate=accumulate)
        each.train_epoch(data())
        states.append(each.model.state_dict())
    assert_close(*states, rtol=1e-4, atol=1e-6)


def test_an_epoch_has_one_step_per_cycle_and_its_last_cycle_begins_again():
    ours = trainer({"type": "round_robin", "combine": "cycle"}, on_record=lambda record: None)
    ours.fit(data(), epochs=2)
    assert ours.step == 2 * 2  # 6 batches, 3 per step
    ours = trainer({"type": "round_robin", "combine": "cycle"}, batch_size=11)
    history = ours.fit(data(), epochs=1)  # 4 batches, and 2 of them once more
    assert ours.step == 2
    assert history.records[0]["scheduled"] == {t: {"steps": 2, "rows": 22} for t in TASKS}


def test_at_random_a_cycle_lasts_until_every_task_was_drawn():
    ours = trainer({"type": "random", "combine": "cycle"})
    batches = cycle(ArrayData(*data()).batches(2))
    taken = [ours.train_step(batches).batches for _ in range(60)]
    assert min(taken) >= 3
    assert sum(taken) / 60 == pytest.approx(3 * (1 + 1 / 2 + 1 / 3), abs=0.9)
    assert ours.progress.draws == sum(taken)


@pytest.mark.parametrize("scheduling", ["round_robin", "random", "performance"])
@pytest.mark.parametrize("combine", others_slow(["cycle"], ["cycle", None]))
@pytest.mark.filterwarnings("ignore:.*nothing to balance", "ignore:.*in no step of the first")
def test_a_run_that_is_stopped_between_steps_ends_bit_for_bit_as_without(scheduling, combine):
    options = {"form": "loss"} if scheduling == "performance" else {}
    if scheduling == "round_robin":
        options["shuffle"] = True
    chosen = {"type": scheduling, "combine": combine, **options}
    states = []

    def new():
        return trainer(chosen, "pcgrad", optimizer="adamw", batch_size=4, checkpoint_every=1)

    whole = new()
    whole.on_checkpoint = lambda _: states.append(whole.state())
    whole.fit(data(), epochs=3)
    for place in (1, len(states) // 2, len(states) - 2):
        resumed = new()
        resumed.load_state(states[place])
        history = resumed.fit(data(), epochs=3)
        for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
            assert ours.equal(theirs)
        last, first = history.records[-1], whole.history.records[-1]
        assert last["scheduled"] == first["scheduled"]
        assert resumed.progress.draws == whole.progress.draws


OPTIONS = {"manual": {"weights": dict.fromkeys(TASKS, 1.0)}, "pcd": {"priorities": {"a": "high"}}}


@pytest.mark.parametrize("name", motet.balancing.available())
@pytest.mark.filterwarnings("ignore:.*nothing to balance", "ignore:.*in no step of the first")
def test_with_one_task_per_step_weights_are_one_unless_they_follow_from_the_task_alone(name):
    options = OPTIONS.get(name, {})
    ours = trainer("round_robin", {"type": name, **options}, batch_size=11)
    inputs, targets = data()
    history = []

    def note(batch):
        history.append(step(batch))
        return history[-1]

    step, ours.train_step = ours.train_step, note
    ours.fit((inputs, targets), data(1), epochs=1)
    assert [list(each.losses) for each in history] == [["a"], ["b"], ["c"], ["a"]]
    first = history[0].balanced.weights
    if first is not None and name not in OF_THE_TASK_ALONE:
        assert float(first["a"]) == pytest.approx(1.0)
    assert all(each.losses for each in history)


OF_THE_TASK_ALONE = {
    "uncertainty",  # 1 / (2 sigma^2) of the task
    "log",  # 1 / L
    "nash",  # makes w |g| = 1
    "fairgrad",  # makes w |g|^alpha = 1
    "stch",  # lambda / (L - nadir), in its warm-up
    "db_mtl",  # rows of the same length
    "meta",  # learned on validation batches
}
"""Balancers whose weight of a lone task is not 1."""


@pytest.mark.parametrize("name", motet.balancing.available())
@pytest.mark.filterwarnings("ignore:.*nothing to balance")
def test_the_state_of_absent_tasks_stays(name):
    options = OPTIONS.get(name, {})
    balancer = motet.balancing.create(name, TASKS, **options)
    if balancer.needs.looks_ahead:
        pytest.skip("learns from validation batches of the present tasks, as its own tests show")
    encoder, head = nn.Linear(4, 3), nn.Linear(3, 1)
    x = torch.randn(8, 4)
    for tasks in (TASKS, ("a",)):  # all once, so that there is a state
        saved = {key: each.clone() for key, each in balancer.state_dict().items()}
        losses = {t: (head(encoder(x)) - i).square().mean() for i, t in enumerate(tasks)}
        motet.backward(losses, balancer, shared=encoder)
    for key, axes in balancer.task_axes.items():
        now, was = balancer.state_dict()[key], saved[key]
        if axes == 1 and now.shape == was.shape and key != "before":  # of the last step alone
            assert_close(now[1:], was[1:], rtol=0, atol=0, equal_nan=True)


def test_a_balancer_that_compares_tasks_is_warned_about_once():
    data_ = data()
    with pytest.warns(UserWarning, match="RoundRobin trains one task at a step, so PCGrad") as seen:
        trainer("round_robin", "pcgrad").fit(data_, epochs=3)
    assert len(seen) == 1
    quiet = [("round_robin", "equal"), ("round_robin", "uncertainty"), ("all", "pcgrad")]
    quiet += [({"type": "round_robin", "combine": "cycle"}, "pcgrad")]
    quiet += [({"type": "round_robin", "tasks_per_step": 2}, "pcgrad")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scheduling, balancer in quiet:
            trainer(scheduling, balancer).fit(data_, epochs=1)


def test_a_step_with_too_few_batches_is_explained():
    ours = trainer({"type": "round_robin", "combine": "cycle"})
    batches = list(islice(ArrayData(*data()).batches(4), 2))
    with pytest.raises(InputError, match="found 2 batches; expected one for each of the step's ch"):
        ours.train_step(batches)
    with pytest.raises(InputError, match="found 1 batch; expected"):
        ours.train_step(batches[0])
    with pytest.raises(InputError, match="at: found representation, which is of one forward pass"):
        trainer(
            {"type": "round_robin", "combine": "cycle"}, {"type": "mgda", "at": "representation"}
        )


@pytest.mark.parametrize("options", [{}, {"gramian": "layers"}, {"memory": "low"}])
def test_every_way_through_the_engine_gives_the_same_cycle(options):
    states = []
    for chosen in ({}, options):
        each = trainer(
            {"type": "round_robin", "combine": "cycle"}, {"type": "upgrad", **chosen}, made()
        )
        each.train_epoch(data())
        states.append(each.model.state_dict())
    assert_close(*states, rtol=1e-3, atol=1e-5)


def test_a_cycle_over_sources_draws_from_the_sources_of_its_tasks():
    x, targets = data()
    sources = motet.data.Sources({t: (x, {t: y}) for t, y in targets.items()})
    states, whole = [], trainer({"type": "round_robin", "combine": "cycle"}, "pcgrad")
    whole.checkpoint_every = 1
    whole.on_checkpoint = lambda _: states.append(whole.state())
    history = whole.fit(sources, epochs=2)
    assert history.records[0]["rows"] == history.records[0]["rows"] | dict.fromkeys(TASKS, 16)
    resumed = trainer({"type": "round_robin", "combine": "cycle"}, "pcgrad")
    resumed.load_state(states[2])
    resumed.fit(sources, epochs=2)
    for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)


class Noise(Auxiliary):
    kind = "noise"

    def view(self, inputs, generator):
        return inputs + torch.randn(inputs.shape, generator=generator), inputs[:, 0].clone()

    def loss(self, raw, target, weights=None):
        return self.add_up(nn.functional.mse_loss, raw, target)


@pytest.mark.parametrize("balanced", [False, True])
def test_auxiliary_tasks_count_a_cycle_as_one_step(balanced):
    tasks = [Regression("a"), Regression("b", main=True)]
    noise = Noise("n", frequency={"every": 2}, balanced=balanced)
    model = motet.MultiTaskModel(nn.Sequential(nn.Linear(4, 8), nn.Tanh()), [*tasks, noise])
    ours = trainer({"type": "round_robin", "combine": "cycle"}, "pcgrad", model)
    x, targets = data()
    batches = cycle(ArrayData(x, {"a": targets["b"], "b": targets["c"]}).batches(4))
    trained = [list(ours.train_step(batches).losses) for _ in range(4)]
    assert trained == [["a", "b"], ["a", "b", "n"]] * 2


def test_batch_norm_is_refused_as_each_draw_would_be_normalised_by_itself():
    encoder = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6))
    tasks = [Regression("b"), Regression("c")]
    model = motet.MultiTaskModel(encoder, tasks, width=6)
    rows = data()[0], {name: data()[1][name] for name in ("b", "c")}
    cycle = {"type": "round_robin", "combine": "cycle"}
    with pytest.raises(InputError, match=r"found BatchNorm .* and combine: cycle: .* each draw"):
        Trainer(model, scheduling=cycle).fit(rows, epochs=1)
    Trainer(model, scheduling="round_robin", batch_size=16).fit(rows, epochs=1)
    model.freeze(next(n for n, m in model.named_modules() if m is encoder[1]), evaluation=True)
    Trainer(model, scheduling=cycle).fit(rows, epochs=1)
