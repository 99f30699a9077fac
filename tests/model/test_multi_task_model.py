"""The model: raw outputs and losses by hand, tasks on and off, and modules that users bring."""

import math

import pytest
import quick_cases
import torch
from quick_cases import others_slow
from safetensors.torch import load_model, save_model
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from motet import balancing, sharing
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.sharing import SharedModule, Sharing
from motet.tasks import (
    Classification,
    CustomHead,
    MultiLabel,
    Prediction,
    Regression,
    Task,
)
from motet.training import Trainer

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
DIGIT = torch.tensor([0, 1, 2, -100, 1, 1, 0, -100, 2, 2, 0, 1])
AREA = torch.linspace(-1, 1, 12)
TARGETS = {"digit": DIGIT, "area": AREA}
BALANCER_OPTIONS = {"manual": {"weights": {"digit": 1.0, "area": 0.5}}}


def tasks():
    return [Classification("digit", classes=3), Regression("area")]


def made(**options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    return MultiTaskModel(encoder, tasks(), **options)


class TwoOutputs(nn.Module):
    """A user's own multi-task module."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.digit, self.area = nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, inputs):
        features = self.body(inputs).tanh()
        area = self.area(features).squeeze(-1)
        return {"area": area, "digit": self.digit(features), "features": features}


def wrapped(**options):
    torch.manual_seed(0)
    return MultiTaskModel.wrap(TwoOutputs(), tasks(), **options)


class Counting(nn.Linear):
    """A head that counts its calls."""

    calls = 0

    def forward(self, features):
        self.calls += 1
        return super().forward(features)


def counted():
    torch.manual_seed(0)
    heads = {"digit": Counting(8, 3), "area": Counting(8, 1)}
    chosen = [
        Classification("digit", classes=3, head=heads["digit"]),
        Regression("area", head=heads["area"]),
    ]
    return MultiTaskModel(nn.Linear(4, 8), chosen), heads


# Raw outputs and losses ----------------------------------------------------------------------


def test_raw_outputs_are_the_heads_of_the_shared_features():
    model = made()
    features = model.sharing.stages[0](X)
    raw = model(X)
    assert list(raw) == ["digit", "area"]
    parameters = [dict(model.heads[task].named_parameters()) for task in raw]
    for output, named in zip(raw.values(), parameters, strict=True):
        weight, bias = (next(v for k, v in named.items() if k.endswith(n)) for n in ("ght", "ias"))
        assert_close(output, (features @ weight.T + bias).reshape(output.shape))
    assert raw["area"].shape == (12,)


def test_losses_are_the_means_over_labelled_rows():
    model = made()
    raw = model(X)
    known = DIGIT >= 0
    losses = model.losses(raw, TARGETS)
    assert_close(losses["digit"], functional.cross_entropy(raw["digit"][known], DIGIT[known]))
    assert_close(losses["area"], ((raw["area"] - AREA) ** 2).mean())


@pytest.mark.parametrize("stray", [None, torch.full((12,), -100), torch.full((12,), torch.nan)])
def test_a_task_without_any_label_has_no_loss(stray):
    model = made()
    losses = model.losses(model(X), {"digit": stray, "area": AREA})
    assert list(losses) == ["area"]


def test_missing_labels_leave_no_trace_in_the_gradient():
    known = DIGIT >= 0
    gradients = []
    for target in (DIGIT, DIGIT.float().where(known, torch.nan), DIGIT):
        model = made()
        inputs = X if len(gradients) < 2 else X[known]
        target = target if len(gradients) < 2 else target[known]
        model.losses(model(inputs), {"digit": target})["digit"].backward()
        gradients.append(model.sharing.stages[0][0].weight.grad)
    assert_close(gradients[0], gradients[1])
    assert_close(gradients[0], gradients[2])


@pytest.mark.parametrize("cut", [1, 4, 11])
def test_loss_terms_of_parts_of_a_batch_add_up(cut):
    model = made().eval()
    whole = model.loss_terms(model(X), TARGETS)
    parts = [
        model.loss_terms(model(X[rows]), {task: y[rows] for task, y in TARGETS.items()})
        for rows in (slice(cut), slice(cut, None))
    ]
    for task, pair in whole.items():
        for place, found in enumerate(pair):
            assert_close(found, sum(part[task][place] for part in parts))


def test_predictions_are_in_original_units():
    torch.manual_seed(0)
    model = MultiTaskModel(nn.Linear(4, 8), [Regression("area", scaling=(100.0, 20.0))])
    raw = model(X)
    assert_close(model.decode(raw)["area"].value, raw["area"].double() * 20 + 100)


# Tasks on and off ----------------------------------------------------------------------------


def test_a_disabled_task_is_not_computed_and_one_asked_for_alone_is():
    model, heads = counted()
    model.disable_task("digit")
    assert model.active_tasks == ("area",)
    assert list(model(X)) == ["area"]
    assert (heads["digit"].calls, heads["area"].calls) == (0, 1)
    assert list(model(X, tasks=["digit"])) == ["digit"]
    assert (heads["digit"].calls, heads["area"].calls) == (1, 1)
    model.enable_task("digit")
    assert list(model(X)) == ["digit", "area"]


def test_a_disabled_task_does_not_move_in_training_and_the_others_do():
    model = made()
    model.disable_task("digit")
    before = {name: p.clone() for name, p in model.named_parameters()}
    Trainer(model, batch_size=4).fit((X, TARGETS), epochs=2)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if not name.startswith("heads.digit")}


def test_a_task_can_start_disabled():
    model = MultiTaskModel(nn.Linear(4, 8), [*tasks(), Regression("rent", enabled=False)])
    assert model.active_tasks == ("digit", "area")


def test_outputs_come_in_the_order_asked_for():
    assert list(made()(X, tasks=["area", "digit"])) == ["area", "digit"]


@pytest.mark.parametrize("method", ["enable_task", "disable_task", "task_parameters"])
def test_an_unknown_task_is_told_with_the_nearest_name(method):
    with pytest.raises(InputError, match="no task is named 'digits'; did you mean 'digit'"):
        getattr(made(), method)("digits")
    with pytest.raises(InputError, match="did you mean 'digit'"):
        made()(X, tasks=["digits"])
    with pytest.raises(InputError, match="did you mean 'digit'"):
        made().losses({"digits": torch.zeros(12, 3)}, TARGETS)


# Modules that users bring --------------------------------------------------------------------


def test_a_wrapped_module_gives_exactly_its_own_outputs():
    model = wrapped()
    expected = model.sharing.module(X)
    raw = model(X)
    assert list(raw) == ["digit", "area"]
    for task, output in raw.items():
        assert_close(output, expected[task], rtol=0, atol=0)


@pytest.mark.parametrize("name", others_slow(quick_cases.BALANCERS, balancing.available()))
def test_a_wrapped_module_trains_with_every_balancer_and_can_be_saved_and_loaded(name, tmp_path):
    model = wrapped()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trainer = Trainer(
        model, {"type": name, **BALANCER_OPTIONS.get(name, {})}, batch_size=4, learning_rate=0.01
    )
    trainer.fit((X, TARGETS), (X, TARGETS) if name == "meta" else None, epochs=3)
    for key in ("sharing.module.body.weight", "sharing.module.digit.weight"):
        assert not torch.equal(model.state_dict()[key], before[key])
    save_model(model, str(tmp_path / "model.safetensors"))
    again = MultiTaskModel.wrap(TwoOutputs(), tasks())
    load_model(again, str(tmp_path / "model.safetensors"))
    for task, raw in again(X).items():
        assert_close(raw, model(X)[task], rtol=0, atol=0)


def test_heads_of_a_wrapped_module_can_be_told_apart():
    module = TwoOutputs()
    model = MultiTaskModel.wrap(module, tasks(), heads={"digit": module.digit})
    assert model.task_parameters("digit") == list(module.digit.parameters())
    assert model.task_parameters("area") == []
    shared = [*module.body.parameters(), *module.area.parameters()]
    assert [id(p) for p in model.shared_parameters()] == [id(p) for p in shared]


class Returns(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, inputs):
        return self.value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MultiTaskModel.wrap(Returns(torch.zeros(1)), tasks())(X), "returned Tensor"),
        (
            lambda: MultiTaskModel.wrap(Returns({"area": torch.zeros(1)}), tasks())(X),
            "returned area, expected also digit",
        ),
        (lambda: wrapped(heads={"digi": nn.Linear(1, 1)}), "did you mean 'digit'"),
        (lambda: wrapped().add_task(Regression("late")), "wrap a module that returns it, too"),
        (lambda: MultiTaskModel.wrap(TwoOutputs, tasks()), "module: found <class .*expected an nn"),
        (
            lambda: wrapped(heads={"digit": "digit"}),
            r"heads\['digit'\]: found 'digit', expected an",
        ),
        (
            lambda: MultiTaskModel(nn.Linear(4, 8), tasks(), width=0),
            "width: found 0, expected a wh",
        ),
        (
            lambda: MultiTaskModel(encoders=[X], tasks=tasks()),
            "encoders: found .*expected {name of",
        ),
        (lambda: MultiTaskModel(encoders={"x": 3}, tasks=tasks()), "found 3 for 'x', expected a m"),
        (lambda: made().represent(X, []), "found no task whose representation to compute"),
        (lambda: MultiTaskModel(nn.Linear(4, 8), []), "found no task"),
        (lambda: MultiTaskModel(nn.Linear(4, 8), [*tasks(), Regression("area")]), "two tasks"),
        (lambda: MultiTaskModel(nn.Linear(4, 8), [Regression("a.b")]), "'a.b' cannot name a task"),
        (
            lambda: MultiTaskModel(nn.Flatten(), tasks()),
            r"features of Flatten cannot be read.*width=",
        ),
        (
            lambda: MultiTaskModel(nn.Linear(4, 8), tasks(), width=9)(X),
            r"shape \(12, 8\), expected \(B, 9\)",
        ),
        (lambda: MultiTaskModel(nn.Linear(4, 8), [Classification("digit")]), "classes is not know"),
    ],
)
def test_wrong_use_is_a_clear_error(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("encoder", "width"),
    [
        (nn.Linear(4, 8), 8),
        (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout()), 8),
        (nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 5),
        (nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6)), 6),
        (nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU()), 6),
        (nn.EmbeddingBag(10, 7), 7),
        (nn.LSTM(4, 9), 9),
        (nn.GRU(4, 9, bidirectional=True), 18),
    ],
)
def test_the_width_is_read_from_the_last_layer_that_tells(encoder, width):
    assert MultiTaskModel(encoder, tasks()).heads["digit"].layers[-1].in_features == width


def test_a_width_given_goes_before_what_the_layers_tell():
    encoder = nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (2, 3)), nn.Flatten(0, 1))
    assert MultiTaskModel(encoder, tasks(), width=3)(X)["area"].shape == (24,)


@pytest.mark.parametrize("name", ["items", "type", "forward", "children", "training", "a b", "T"])
def test_a_task_may_have_any_name_without_a_dot(name):
    model = MultiTaskModel(nn.Linear(4, 8), [Regression(name)]).eval().train()
    assert list(model(X)) == [name]
    model.losses(model(X), {name: AREA})[name].backward()
    again = MultiTaskModel(nn.Linear(4, 8), [Regression(name)])
    again.load_state_dict(model.state_dict())
    assert_close(again(X)[name], model(X)[name])


# Parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sharing.available())
def test_every_parameter_is_shared_or_of_one_task(name):
    encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 8))
    model = MultiTaskModel(encoder, tasks(), sharing=sharing.create(name))
    parts = [model.shared_parameters(), *map(model.task_parameters, ("digit", "area"))]
    listed = [id(parameter) for part in parts for parameter in part]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(parameter) for parameter in model.parameters()}


def test_only_its_own_loss_reaches_a_parameter_of_one_task():
    model = made(sharing=sharing.create("hard", shared_width=5))
    model.losses(model(X), TARGETS)["digit"].backward()
    assert all(p.grad is not None for p in model.task_parameters("digit"))
    assert all(p.grad is None for p in model.task_parameters("area"))
    assert all(p.grad is not None for p in model.shared_parameters())


class Tempered(Task):
    """A task that learns something of its own."""

    def __init__(self, name):
        super().__init__(name)
        self.temperature = nn.Parameter(torch.tensor(2.0))

    def loss(self, raw, target):
        return self.add_up(lambda raw, target: (raw * self.temperature - target) ** 2, raw, target)

    def decode(self, raw):
        return Prediction(raw.double())


def test_what_a_task_learns_is_its_own_and_trains():
    torch.manual_seed(0)
    task = Tempered("area")
    model = MultiTaskModel(nn.Linear(4, 8), [Classification("digit", classes=3), task])
    assert any(parameter is task.temperature for parameter in model.task_parameters("area"))
    assert not any(parameter is task.temperature for parameter in model.shared_parameters())
    Trainer(model).fit((X, TARGETS), epochs=1)
    assert task.temperature.item() != 2.0


class PerTask(Sharing):
    """A scheme of a user's: a layer for each task after the encoder."""

    def build(self, stages, tasks, width):
        return _PerTask(stages, tasks, width)


class _PerTask(SharedModule):
    def __init__(self, stages, tasks, width):
        super().__init__()
        self.stages, self.width = nn.Sequential(*stages), 3
        self.own = nn.ModuleDict({task: nn.Linear(width, 3) for task in tasks})

    def forward(self, inputs, tasks):
        state = self.stages(inputs)
        return {task: self.own[task](state) for task in tasks}

    def task_parameters(self, task):
        yield from self.own[task].parameters()

    def penalty(self, tasks=None):
        return sum(layer.weight.square().sum() for layer in self.own.values())


def test_a_scheme_of_a_users_own_computes_trains_and_adds_its_penalty():
    model = made(sharing=PerTask())
    assert [tuple(raw.shape) for raw in model(X).values()] == [(12, 3), (12,)]
    assert len(model.task_parameters("area")) == 4
    model.disable_task("digit")
    penalised = model.sharing.own["digit"].weight
    before = penalised.norm().item()
    trainer = Trainer(model, optimizer={"type": "sgd", "momentum": 0.0}, learning_rate=0.01)
    trainer.train_step({"inputs": X, "targets": TARGETS})
    assert penalised.norm().item() == pytest.approx(before * 0.98)  # p - 0.01 * 2 p


def test_state_holds_what_tasks_learned_and_no_python_objects():
    torch.manual_seed(0)
    task = Classification("digit", classes=3, class_weights="balanced")
    model = MultiTaskModel(nn.Linear(4, 8), [task, MultiLabel("tags", classes=2)])
    task.prepare(DIGIT)
    state = model.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    again = MultiTaskModel(
        nn.Linear(4, 8),
        [
            Classification("digit", classes=3, class_weights="balanced"),
            MultiLabel("tags", classes=2),
        ],
    )
    again.load_state_dict(state)
    expected = model.losses(model(X), {"digit": DIGIT})["digit"]
    assert_close(again.losses(again(X), {"digit": DIGIT})["digit"], expected)
    assert not math.isnan(expected.item())


def test_a_head_of_a_users_own_is_held_to_the_number_of_outputs():
    module = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))
    for head in (module, CustomHead(module), lambda width, outputs: nn.Linear(width, outputs)):
        task = Classification("digit", classes=3, head=head)
        assert MultiTaskModel(nn.Linear(4, 8), [task])(X)["digit"].shape == (12, 3)
    wrong = Classification("digit", classes=3, head=nn.Linear(8, 4))
    with pytest.raises(InputError, match="expected 3 outputs per row"):
        MultiTaskModel(nn.Linear(4, 8), [wrong])(X)


def test_inputs_may_be_any_structure_the_encoder_takes():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 8)

        def forward(self, inputs):
            return self.layer(inputs["left"] + inputs["more"]["right"])

    model = MultiTaskModel(Two(), tasks())
    history = Trainer(model, batch_size=5).fit(
        ({"left": X, "more": {"right": X.numpy()}}, TARGETS), epochs=2
    )
    assert len(history) == 2


def test_describe_counts_what_is_shared_frozen_and_each_task_s_own():
    model = MultiTaskModel(nn.Linear(3, 4), [Regression("a"), Classification("b", classes=3)])
    model.freeze("encoder")
    model.freeze("a")
    model.unfreeze("a")
    model.disable_task("b")
    told = model.describe()
    assert told["active_tasks"] == ["a"]
    assert told["shared"] == {"parameters": 16, "frozen": 16}
    assert told["tasks"]["a"]["parameters"] == 5
    assert told["tasks"]["a"]["frozen"] == 0
    assert told["tasks"]["b"]["kind"] == "classification"
    assert told["tasks"]["b"]["loss"] == "cross_entropy"
    with pytest.raises(InputError, match="no part 'encode'; did you mean 'encoder'"):
        model.freeze("encode")


def test_a_frozen_part_does_not_move_and_a_thawed_one_does():
    model = MultiTaskModel(nn.Linear(3, 4), [Regression("a")])
    model.freeze("encoder")
    trainer = Trainer(model, learning_rate=0.1)
    batch = {"inputs": torch.ones(5, 3), "targets": {"a": torch.arange(5.0)}}
    before = model.shared_parameters()[0].detach().clone()
    trainer.train_step(batch)
    assert model.shared_parameters()[0].equal(before)
    model.unfreeze("encoder")
    trainer.train_step(batch)
    assert not model.shared_parameters()[0].equal(before)


def test_reserved_names_are_refused():
    with pytest.raises(InputError, match="'score' cannot name a task"):
        MultiTaskModel(nn.Linear(3, 4), [Regression("score")])


def test_options_that_a_wrapped_module_would_ignore_are_refused():
    with pytest.raises(InputError, match="has its own learning rate"):
        MultiTaskModel.wrap(nn.Linear(3, 1), [Regression("a", learning_rate=1.0)])
    with pytest.raises(InputError, match="has its own head"):
        MultiTaskModel.wrap(nn.Linear(3, 1), [Regression("a", head={"hidden": [7]})])
