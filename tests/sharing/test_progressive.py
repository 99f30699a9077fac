"""Progressive columns: what came before stays, bit for bit, and is read by what comes after."""

import pytest
import torch
from schemes import TARGETS, TASKS, WIDTH, X, backbone, model, module
from torch import nn
from torch.testing import assert_close

import motet
from motet import sharing
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression
from motet.training import Trainer

DATA = (X, TARGETS)


def with_laterals(**options):
    """Laterals begin at zero; here they have an effect."""
    found = module("progressive", **options)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            if "laterals" in name:
                parameter.add_(torch.randn_like(parameter))
    return found


def alone(found, task):
    return nn.Sequential(*found.columns[task].stages)(X)


def test_zero_laterals_are_single_task_networks():
    found = module("progressive")
    for task, state in found(X, TASKS).items():
        assert state.equal(alone(found, task))


@pytest.mark.parametrize("adapters", [True, False])
def test_a_column_reads_those_before_as_the_formula_says(adapters):
    found = with_laterals(adapters=adapters)
    before = []
    for task in TASKS:
        column, states = found.columns[task], [X]
        for place, stage in enumerate(column.stages):
            state = states[-1]
            if place and before:
                lateral = column.laterals[str(place)]
                given = [each[place] for each in before]
                if adapters:
                    scaled = [a * h for a, h in zip(lateral.scale, given, strict=True)]
                    given = [lateral.adapter(torch.cat(scaled, 1)).clamp(min=0)]
                state = state + torch.cat(given, 1) @ lateral.out.weight.T
            states.append(stage(state))
        before.append(states)
        assert_close(found(X, TASKS)[task], states[-1])
        assert task == "a" or not torch.allclose(states[-1], alone(found, task))


def test_channels_may_come_first():
    def images():
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 4), nn.Flatten())

    found = sharing.create("progressive").build(sharing.Stages.of(images), ["a", "b"], 2)
    lateral = found.columns["b"].laterals["1"]
    nn.init.ones_(lateral.out.weight)
    inputs = torch.randn(3, 1, 6, 6)
    one = found.columns["a"].stages[0](inputs)
    added = lateral.out(lateral.adapter(one.movedim(1, -1)).relu()).movedim(-1, 1)
    column = found.columns["b"].stages
    assert_close(found(inputs, ["b"])["b"], column[1](column[0](inputs) + added))


@pytest.mark.parametrize("tasks", [["c"], TASKS])
def test_no_gradient_flows_into_columns_before(tasks):
    found = with_laterals()
    found(X, tasks)["c"].sum().backward()
    for task in "ab":
        assert all(parameter.grad is None for parameter in found.columns[task].parameters())
    assert all(parameter.grad is not None for parameter in found.columns["c"].parameters())


def test_without_laterals_only_the_column_of_the_task_runs():
    found = module("progressive", lateral=False)
    found.columns["a"].register_forward_hook(lambda *_: pytest.fail("column a ran"))
    assert found(X, ["c"])["c"].equal(alone(found, "c"))
    assert found.describe() == {"order": ["a", "b", "c"]}


def test_a_column_read_by_others_runs_as_in_evaluation():
    layers = [nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, WIDTH)]
    found = sharing.create("progressive").build(nn.Sequential(*layers), TASKS, WIDTH)
    norm = found.columns["a"].stages[0][1]
    found(X.float(), ["b"])
    assert norm.num_batches_tracked == 0
    assert norm.training
    found(X.float(), ["a", "b"])
    assert norm.num_batches_tracked == 1


# Turns ----------------------------------------------------------------------------------------


def test_columns_take_turns_in_the_order_told():
    found = module("progressive", epochs=2, order=["c", "a", "b"])
    turns = [found.trained_at(epoch, TASKS) for epoch in range(1, 9)]
    assert turns == [["c"]] * 2 + [["a"]] * 2 + [["b"]] * 4
    assert found.trained_at(3, ["a", "b"]) == ["b"]
    assert module("progressive").trained_at(1, TASKS) == list(TASKS)
    assert found.describe()["order"] == ["c", "a", "b"]


def test_groups_take_turns_side_by_side():
    found = module("progressive", epochs=1, groups=[["c", "a"], ["b"]], task_embedding=3)
    assert [found.trained_at(epoch, TASKS) for epoch in (1, 2)] == [["b", "c"], ["a", "b"]]


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad", "graddrop"])
@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
def test_what_a_column_learned_stays_bit_for_bit_while_others_train(balancer):
    def encoder():
        layers = [nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5)]
        return nn.Sequential(*layers, nn.Linear(6, WIDTH))

    found = model("progressive", encoder=encoder, epochs=2)
    trainer = Trainer(found, balancer, learning_rate=0.05, batch_size=4)
    outputs = []
    for _ in range(6):
        trainer.train_epoch(DATA)
        outputs.append({task: raw.clone() for task, raw in found.eval()(X).items()})
        found.train()
    for epoch in range(5):
        for place, task in enumerate(TASKS):
            trains = epoch + 1 in (2 * place, 2 * place + 1)
            assert outputs[epoch][task].equal(outputs[epoch + 1][task]) != trains or (
                task != "a" and not trains and epoch + 1 < 2 * place  # reads columns that train
            )


@pytest.mark.parametrize("monitor", ["mean", "a", "loss"])
def test_training_ends_neither_before_the_last_turn_nor_with_weights_from_before_it(monitor):
    found = model("progressive", epochs=4)
    trainer = Trainer(found, patience=1, monitor=monitor, batch_size=4, learning_rate=0.01)
    history = trainer.fit(DATA, DATA, epochs=14)
    trained = [list(r["tasks"]) for r in history.records if r["split"] == "train"]
    assert trained[:9] == [["a"]] * 4 + [["b"]] * 4 + [["c"]]
    assert history.best_epoch is None if monitor == "a" else history.best_epoch > 8


def test_epochs_too_few_for_every_turn_are_refused():
    trainer = Trainer(model("progressive", epochs=4), batch_size=4)
    with pytest.raises(InputError, match=r"epochs: found 8; .* and c would not"):
        trainer.fit(DATA, epochs=8)


def test_a_run_refuses_epochs_too_few_before_it_writes(tmp_path):
    rows = {"x": [0.1, 0.2, 0.3, 0.4] * 20, "a": [1.0, 2.0, 3.0, 4.0] * 20}
    rows["b"] = rows["a"][::-1]
    config = {
        "tasks": {"a": "regression", "b": "regression"},
        "model": {"sharing": {"type": "progressive", "epochs": 3}},
        "training": {"epochs": 3},
    }
    with pytest.raises(InputError, match=r"training\.epochs: .*b would not be trained"):
        motet.train(config, data=rows, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    config["model"]["sharing"]["epochs"] = 2
    config["training"]["monitor"] = "a"
    run = motet.train(config, data=rows, output=tmp_path / "run")
    assert len(run.history.records) > 0


@pytest.mark.parametrize("tasks", [["a"], ["a", "b"]])
def test_a_task_added_later_has_a_column_that_reads_all_others_and_moves_none(tasks):
    torch.manual_seed(0)
    scheme = sharing.create("progressive")
    found = MultiTaskModel(backbone(), [Regression(task) for task in tasks], sharing=scheme)
    found.double()
    before = {task: raw.clone() for task, raw in found(X).items()}
    found.add_task(Regression("late"))
    assert found.active_tasks == (*tasks, "late")
    assert found.sharing.describe()["order"] == [*tasks, "late"]
    for task in tasks:
        found.disable_task(task)
    trainer = Trainer(found, learning_rate=0.05, batch_size=7)
    for _ in range(20):
        trainer.train_step({"inputs": X, "targets": {"late": TARGETS["a"]}})
    for task in tasks:
        found.enable_task(task)
        assert found(X)[task].equal(before[task])
    laterals = found.sharing.columns["late"].laterals
    assert laterals["1"].out.weight.any()
    assert laterals["1"].scale.shape == (len(tasks),)
    weights = [found.sharing.columns[task].stages[0][0].weight for task in (tasks[-1], "late")]
    assert not torch.allclose(*weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": ["a", "b", "d"]}, "order: found 'd', which is not a task here"),
        ({"order": ["a", "b"]}, "order: found a, b, expected each task once: a, b, c"),
        ({"order": ["a", "b", "b", "c"]}, "expected each task once"),
        ({"lateral": False, "adapters": True}, "adapters: applies only with lateral: True"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        sharing.create("progressive", **options).build(backbone(), TASKS, WIDTH)


def test_laterals_need_a_second_stage():
    with pytest.raises(InputError, match="lateral connections are made between stages, so"):
        sharing.create("progressive").build(nn.Linear(4, 3), TASKS, 3)
    one = MultiTaskModel(nn.Linear(4, 3), [Regression("a")], sharing=sharing.create("progressive"))
    assert one(X.float())["a"].shape == (7,)
    with pytest.raises(InputError, match="lateral connections are made between stages, so"):
        one.add_task(Regression("b"))
