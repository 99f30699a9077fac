"""Tasks read states of the encoder, and outputs of other tasks; what does not fit is rejected."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet import sharing
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.states import TokenStates
from motet.tasks import Classification, Prediction, Regression, SequenceLabelling, Task
from motet.training import Trainer

IMAGES = torch.randn(6, 3, 5, 7, generator=torch.Generator().manual_seed(0))
X = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
TARGETS = {"a": torch.linspace(-1, 1, 6), "b": torch.linspace(2, 0, 6)}


class Pixels(Task):
    """A number for every place of an image."""

    kind = "pixels"
    reads_state = "map"

    def loss(self, raw, target):
        return self.add_up(lambda raw, target: (raw - target).square().mean((1, 2)), raw, target)

    def add_up(self, function, raw, target):
        return function(raw[:, 0], target).sum(), torch.tensor(float(len(target)))

    def decode(self, raw):
        return Prediction(raw[:, 0].double())


def convolutions():
    torch.manual_seed(0)
    layers = [layer for _ in range(3) for layer in (nn.LazyConv2d(4, 3, padding=1), nn.Tanh())]
    made = nn.Sequential(*layers)
    made(IMAGES)
    return made


def of_maps(scheme="hard", tasks=None, encoder=None, **options):
    return MultiTaskModel(
        encoder or convolutions(),
        tasks or [Pixels("depth"), Regression("a")],
        sharing=sharing.create(scheme, **options),
    )


# Maps --------------------------------------------------------------------------------------------

CARRY_MAPS = [name for name in sharing.available() if "map" in sharing.create(name).carries]
CARRY_MAPS += [name for name in sharing.available() if sharing.create(name).carries == "any"]


@pytest.mark.parametrize("around", [{}, {"task_embedding": 3}, {"groups": [["depth"], ["a"]]}])
@pytest.mark.parametrize("name", CARRY_MAPS)
def test_a_task_that_reads_a_map_trains_beside_one_of_rows_with_every_scheme_that_carries_maps(
    name, around
):
    model = of_maps(name, **around)
    targets = {"depth": torch.randn(6, 5, 7), "a": TARGETS["a"]}
    raw = model(IMAGES)
    assert raw["depth"].shape == (6, 1, 5, 7)
    assert raw["a"].shape == (6,)
    losses = model.losses(raw, targets)
    sum(losses.values()).backward()
    assert any(parameter.grad.any() for parameter in model.task_parameters("depth"))


def test_most_schemes_carry_maps():
    assert set(CARRY_MAPS) == set(sharing.available())


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("attention", {"form": "tokens"}),
        ("mmoe", {"expert_width": 4}),
        ("ple", {"expert_width": 4}),
    ],
)
def test_a_scheme_that_carries_rows_alone_rejects_a_task_that_reads_a_map(scheme, options):
    with pytest.raises(InputError, match="'depth' reads map, but this sharing scheme carries rows"):
        of_maps(scheme, **options)


def test_a_map_trains_with_a_trainer():
    torch.manual_seed(0)
    model = of_maps(shared_width=6)
    assert model.heads["depth"].head.layers[0].in_features == 6
    trainer = Trainer(model, learning_rate=0.01)
    batch = {"inputs": IMAGES, "targets": {"depth": IMAGES.sum(1), "a": TARGETS["a"]}}
    losses = [trainer.train_step(batch).losses["depth"].item() for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]


def test_rows_of_a_map_are_means_over_places_and_so_is_the_representation():
    model = of_maps().eval()
    states = model.sharing(IMAGES, ["a"])["a"]
    assert torch.equal(model.states(IMAGES)["depth"], states)
    assert_close(model.states(IMAGES)["a"], states.mean((2, 3)))
    assert_close(model.represent(IMAGES), states.mean((2, 3)))


def test_a_head_of_a_users_own_gets_the_whole_map():
    head = nn.Conv2d(4, 1, 3, padding=1)
    assert of_maps(tasks=[Pixels("depth", head=head)])(IMAGES)["depth"].shape == (6, 1, 5, 7)
    wrong = of_maps(tasks=[Pixels("depth", head=nn.Conv2d(4, 2, 1))])
    with pytest.raises(InputError, match=r"Conv2d gave the shape \(6, 2, 5, 7\), expected \(B, 1,"):
        wrong(IMAGES)


def test_a_task_that_reads_a_map_is_rejected_where_there_is_none():
    model = MultiTaskModel(nn.Linear(3, 4), [Pixels("depth")])
    with pytest.raises(
        InputError, match=r"'depth' reads map \(a map\), but the encoder gave a ten"
    ):
        model(X)
    encoder = convolutions()
    encoder.gives = "map"
    slots = SequenceLabelling("slots", classes=["O", "x"])
    with pytest.raises(InputError, match=r"'slots' reads tokens .*, but the encoder gives map"):
        of_maps(tasks=[slots], encoder=encoder)


def test_a_map_for_tasks_of_rows_alone_must_be_declared():
    encoder = convolutions()
    with pytest.raises(InputError, match=r"features of shape \(6, 4, 5, 7\).*flatten them"):
        of_maps(tasks=[Regression("a")], encoder=encoder)(IMAGES)
    encoder.gives = "map"
    for scheme, options in (("hard", {}), ("mmoe", {"expert_width": 5})):
        made = of_maps(scheme, tasks=[Regression("a")], encoder=encoder, **options)
        assert made(IMAGES)["a"].shape == (6,)


# Several states by name --------------------------------------------------------------------------


class Several(nn.Module):
    def __init__(self, gives):
        super().__init__()
        self.gives, self.layer = gives, nn.Linear(3, 9)

    def forward(self, inputs):
        states = self.layer(inputs)
        words = states[:, None, :5].expand(-1, 2, -1)
        tokens = TokenStates(words, torch.zeros(6, 2, dtype=torch.bool), states[:, :5])
        return {"rows": states[:, :4], "fine": states[:, 4:6], "tokens": tokens}


GIVES = {"rows": 4, "fine": 2, "tokens": 5}


class ReadsFine(Task):
    reads_state = "fine"

    def loss(self, raw, target):
        return self.add_up(lambda raw, target: (raw - target).square(), raw, target)

    def decode(self, raw):
        return Prediction(raw.double())


def of_several(gives=GIVES, **options):
    torch.manual_seed(0)
    tasks = [Regression("a"), ReadsFine("b"), SequenceLabelling("slots", classes=["O", "x"])]
    return MultiTaskModel(Several(gives), tasks, **options)


@pytest.mark.parametrize("scheme", ["hard", "soft"])
def test_each_task_reads_its_state_of_several_by_name(scheme):
    model = of_several(sharing=sharing.create(scheme))
    states = model.states(X)
    assert (states["a"].shape, states["b"].shape) == ((6, 4), (6, 2))
    assert states["slots"].states.shape == (6, 2, 5)
    assert {task: raw.shape for task, raw in model(X).items()} == {
        "a": (6,),
        "b": (6,),
        "slots": (6, 2, 2),
    }
    Trainer(model).train_step({"inputs": X, "targets": TARGETS})


def test_schemes_of_rows_get_the_rows_of_several_states():
    for scheme in ("mmoe", "hard"):
        chosen = sharing.create(scheme, **({"expert_width": 3} if scheme == "mmoe" else {}))
        model = MultiTaskModel(Several(GIVES), [Regression("a")], sharing=chosen)
        assert model(X)["a"].shape == (6,)


def test_states_by_name_are_rejected_where_they_do_not_fit():
    with pytest.raises(
        InputError, match=r"'b' reads fine, but the encoder gives rows, tokens; exp"
    ):
        of_several({"rows": 4, "tokens": 5})
    with pytest.raises(InputError, match="carries rows and map; use sharing: hard"):
        of_several(sharing=sharing.create("mmoe"))
    with pytest.raises(InputError, match=r"features of shape \(6, 2\), expected \(B, 3\)"):
        of_several({**GIVES, "fine": 3})(X)
    undeclared = MultiTaskModel(Several(None), [Pixels("b")], width=4)
    with pytest.raises(InputError, match=r"'b' reads map .*, but the encoder gave a mapping"):
        undeclared(X)


def test_a_wrong_width_is_reported_with_the_attribute_to_set():
    encoder = nn.Linear(3, 4)
    encoder.width = 5
    model = MultiTaskModel(encoder, [Regression("a")])
    with pytest.raises(InputError, match=r"expected \(B, 5\); set the encoder's `width` to 4"):
        model(X)


# Tasks that read others --------------------------------------------------------------------------


class AfterOthers(nn.Module):
    takes_reads = True

    def __init__(self, width, outputs):
        super().__init__()
        self.layer = nn.Linear(width + 1, outputs)

    def forward(self, state, reads):
        (read,) = reads.values()
        return self.layer(torch.cat([state, read.reshape(len(state), -1)[:, :1]], dim=1))


def reading(name, *others, head=AfterOthers, **options):
    task = Regression(name, **options, **({"head": head} if others else {}))
    task.reads_tasks = others
    return task


def chained(**options):
    torch.manual_seed(0)
    tasks = [reading("c", "b"), reading("b", "a"), reading("a", **options)]
    return MultiTaskModel(nn.Linear(3, 4), tasks)


def test_a_task_gets_the_raw_outputs_of_those_it_reads_whatever_their_order():
    model = chained()
    raw = model(X)
    assert list(raw) == ["c", "b", "a"]
    features = model.states(X)["a"]
    expected = model.heads["b"](features, reads={"a": raw["a"]})
    assert_close(raw["b"], expected)
    assert_close(model(X, "c")["c"], raw["c"])


def test_a_disabled_task_that_another_reads_is_computed_without_a_loss():
    model = chained(enabled=False)
    assert list(model(X)) == ["c", "b"]
    head = model.heads["a"]
    calls = []
    head.register_forward_hook(lambda *_: calls.append(1))
    trainer = Trainer(model)
    before = next(head.parameters()).clone()
    result = trainer.train_step({"inputs": X, "targets": {**TARGETS, "c": TARGETS["a"]}})
    assert list(result.losses) == ["c", "b"]
    assert calls == [1]
    assert not torch.equal(next(head.parameters()), before)  # it serves the tasks that read it
    model(X, "a")
    model.disable_task("b")
    model.disable_task("c")
    assert list(model(X)) == []


def test_a_head_that_others_read_is_shared_with_them():
    model = chained()
    shared = {id(parameter) for parameter in model.shared_parameters()}
    assert {id(parameter) for parameter in model.heads["a"].parameters()} <= shared
    assert model.task_parameters("a") == []
    assert len(model.task_parameters("c")) == 2


def test_a_task_added_later_may_read_the_others():
    model = chained()
    before = model(X)
    model.add_task(reading("d", "c"))
    assert_close(model(X)["c"], before["c"])
    assert model(X, "d")["d"].shape == (6,)
    with pytest.raises(InputError, match="task 'e' reads 'z', which is not a task"):
        model.add_task(reading("e", "z"))
    assert "e" not in model.tasks.names


def test_circles_and_unknown_names_are_rejected_with_the_names():
    tasks = [reading("a", "b"), reading("b", "c"), reading("c", "a")]
    with pytest.raises(InputError, match="in a circle: a reads b reads c reads a"):
        MultiTaskModel(nn.Linear(3, 4), tasks)
    with pytest.raises(InputError, match="'a' reads 'bb', which is not a task; did you mean 'b'"):
        MultiTaskModel(nn.Linear(3, 4), [reading("a", "bb"), Regression("b")])
    with pytest.raises(InputError, match=r"'a' reads b, but its head does not take .*takes_reads"):
        MultiTaskModel(nn.Linear(3, 4), [reading("a", "b", head=nn.Linear(4, 1)), Regression("b")])


# Heads that take targets -------------------------------------------------------------------------


class Forced(nn.Linear):
    """Gives what it is told where it is told, as a decoder under teacher forcing may."""

    takes_target = True
    seen = None

    def forward(self, state, target):
        self.seen = target
        return super().forward(state)


def test_a_head_that_takes_targets_gets_them_in_loss_passes_and_none_in_prediction():
    head = Forced(4, 1)
    model = MultiTaskModel(nn.Linear(3, 4), [Regression("a", head=head), Regression("b")])
    trainer = Trainer(model)
    trainer.train_step({"inputs": X, "targets": TARGETS})
    assert torch.equal(head.seen, TARGETS["a"])
    trainer.predict(X)
    assert head.seen is None
    trainer.evaluate((X, TARGETS))
    assert torch.equal(head.seen, TARGETS["a"])
    model(X)
    assert head.seen is None
    model(X, targets={"b": TARGETS["b"]})
    assert head.seen is None
    model(X, targets=TARGETS)
    assert torch.equal(head.seen, TARGETS["a"])


def test_a_classification_may_have_such_a_head_too():
    head = Forced(4, 3)
    model = MultiTaskModel(nn.Linear(3, 4), [Classification("a", classes=3, head=head)])
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    Trainer(model, accumulate=2).train_step({"inputs": X, "targets": {"a": target}})
    assert torch.equal(head.seen, target[3:])
