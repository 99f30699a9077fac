"""Balancers that take turns: who acts when, what is saved, what is refused."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from motet.balancing import DWA, Equal, PCGrad, Uncertainty
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression
from motet.training import Trainer

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
DATA = (X, {"a": X[:, 0] + X[:, 1], "b": X[:, 0] - X[:, 2]})
STAGES = [{"until": 2, "type": "equal"}, {"until": 3, "type": "uncertainty"}, {"type": "mgda"}]


def made(**options):
    torch.manual_seed(0)
    tasks = [Regression("a"), Regression("b", **options)]
    return MultiTaskModel(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), tasks)


def trained(balancer, epochs=5, **options):
    trainer = Trainer(made(), balancer, batch_size=16, learning_rate=1e-2, **options)
    trainer.fit(DATA, epochs=epochs)
    return trainer


def test_each_stage_acts_in_its_epochs_and_records_say_which():
    records = []
    trained(STAGES, on_record=records.append)
    acting = [record["balancer"] for record in records if record["event"] == "epoch"]
    assert acting == ["equal", "equal", "uncertainty", "mgda", "mgda"]


def test_step_records_say_which_balancer_acts():
    records = []
    trained([{"until": 10, "type": "equal"}, "pcgrad"], epochs=26, on_record=records.append)
    steps = {record["step"]: record for record in records if record["event"] == "step"}
    assert set(steps) == {50, 100}  # four steps an epoch
    assert all(record["balancer"] == "pcgrad" for record in steps.values())


def test_a_stage_trains_as_its_balancer_alone_would():
    """One epoch of the plain sum, then PCGrad: the same as two trainers, one after the other."""
    both = trained([{"until": 1, "type": "equal"}, "pcgrad"], epochs=2, lr_schedule="constant")
    model, optimizers = made(), []
    for number, name in enumerate(("equal", "pcgrad")):
        one = Trainer(model, name, batch_size=16, learning_rate=1e-2, lr_schedule="constant")
        one.progress.epoch, one.progress.step = number, 4 * number
        if optimizers:
            one.optimizer.load_state_dict(optimizers[-1].state_dict())
        one.train_epoch(DATA)
        optimizers.append(one.optimizer)
    for ours, theirs in zip(both.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_what_a_later_stage_learns_is_in_the_optimizer_and_waits_for_its_turn():
    trainer = Trainer(made(), STAGES, batch_size=16)
    scales = trainer.stages[1].log_variance
    assert any(scales is p for group in trainer.optimizer.param_groups for p in group["params"])
    trainer.fit(DATA, epochs=2)
    assert not scales.any()
    trainer.fit(DATA, epochs=3)
    assert scales.all()
    settled = scales.detach().clone()
    trainer.fit(DATA, epochs=5)
    assert torch.equal(scales, settled)


def test_a_stage_begins_fresh():
    trainer = Trainer(made(), [{"until": 2, "type": "equal"}, "dwa"], batch_size=16)
    trainer.fit(DATA, epochs=2)
    assert isinstance(trainer.balancer, DWA)
    assert not trainer.balancer.means.any()
    trainer.fit(DATA, epochs=3)
    assert trainer.balancer.means[:, -1].all()


def test_weights_of_a_stage_are_not_reported_for_one_that_has_none():
    trainer = trained([{"until": 1, "type": "mgda"}, "graddrop"], epochs=2)
    weights = [set(record["tasks"]["a"]) for record in trainer.history]
    assert weights == [{"loss", "weight"}, {"loss"}]


@pytest.mark.parametrize("stop", [3, 9, 14])
def test_a_trainer_stopped_inside_a_stage_goes_on_as_if_it_had_not(stop):
    whole = trained(STAGES)
    states = []

    def keep(kind):
        if first.step == stop:
            tensors, header = first.state()
            states.append(({name: t.clone() for name, t in tensors.items()}, header))

    first = Trainer(
        made(), STAGES, batch_size=16, learning_rate=1e-2, checkpoint_every=1, on_checkpoint=keep
    )
    first.fit(DATA, epochs=5)
    second = Trainer(made(), STAGES, batch_size=16, learning_rate=1e-2)
    second.load_state(*states[0])
    second.fit(DATA, epochs=5)
    for name, tensor in whole.state()[0].items():
        assert torch.equal(tensor, second.state()[0][name]), name


def test_balancers_may_be_objects():
    stages = [{"until": 1, "type": Uncertainty(["a", "b"])}, PCGrad(["b", "a"])]
    trainer = Trainer(made(), stages, batch_size=16)
    assert trainer.balancer is stages[0]["type"]
    trainer.fit(DATA, epochs=1)
    assert trainer.balancer is stages[1]


def test_task_weights_hold_in_every_stage():
    trainer = Trainer(made(weight=3.0), [{"until": 1, "type": "equal"}, "pcgrad"])
    assert [stage.weight("b") for stage in trainer.stages] == [3, 3]
    with pytest.raises(InputError, match="MGDA takes no weight for 'b'"):
        Trainer(made(weight=3.0), STAGES[::2])


def one_step(stage):
    """Make one step; return what the balancer did, and the gradients of the heads."""
    trainer = Trainer(made(), stage)
    targets = {task: torch.as_tensor(values) for task, values in DATA[1].items()}
    step = trainer.train_step({"inputs": torch.as_tensor(X), "targets": targets})
    own = {task: trainer.model.task_parameters(task) for task in targets}
    return step.balanced, {task: [p.grad for p in own[task]] for task in own}


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "rows"),
        ({"at": "parameters", "heads": "plain", "memory": "normal"}, "rows"),
        ({"at": "representation"}, "representation"),
        ({"memory": "low"}, "pieces"),
        ({"gramian": "layers"}, "layers"),
        ({"heads": "weighted"}, "rows"),
    ],
)
def test_a_stage_says_how_to_go_back(options, path):
    balanced, heads = one_step({"type": "upgrad", **options})
    _, plain = one_step("upgrad")
    assert balanced.path == path
    for task, weight in balanced.weights.items():
        factor = weight if options.get("heads") == "weighted" else 1.0
        for gradient, alone in zip(heads[task], plain[task], strict=True):
            torch.testing.assert_close(gradient, alone * factor, check_dtype=False)


def test_each_stage_goes_back_in_its_own_way():
    stages = [{"until": 1, "type": "upgrad", "at": "representation"}, PCGrad(["a", "b"])]
    trainer, paths = Trainer(made(), stages, batch_size=16), []
    step = trainer.train_step
    trainer.train_step = lambda batch: [found := step(batch), paths.append(found.balanced.path)][0]
    trainer.fit(DATA, epochs=2)
    assert paths == ["representation"] * 4 + ["rows"] * 4


@pytest.mark.parametrize("names", [("meta", "equal"), ("equal", "meta")])
def test_a_stage_that_looks_ahead_may_come_first_or_last(names):
    trainer = Trainer(made(), [{"until": 1, "type": names[0]}, names[1]], batch_size=16)
    trainer.fit(DATA, DATA, epochs=2)
    weights = [
        record["tasks"]["a"]["weight"] for record in trainer.history if record["split"] == "train"
    ]
    assert (weights[names.index("meta")] != 1, weights[names.index("equal")]) == (True, 1)
    with pytest.raises(InputError, match="learns its weights from validation data"):
        trainer.fit(DATA, epochs=3)


SAME = Equal(["a", "b"])


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "expected at least one stage"),
        (["equal", "pcgrad"], "`until` of stage 1 of balancer: missing"),
        ([{"until": 3, "type": "equal"}], "found 3, expected none: the last stage has no end"),
        (
            [{"until": 3, "type": "equal"}, {"until": 3, "type": "mgda"}, "pcgrad"],
            "`until` of stage 2 of balancer: found 3, expected an epoch after 3",
        ),
        ([{"until": "x", "type": "equal"}, "mgda"], "until: found 'x'; expected a whole number"),
        (
            [{"until": 2, "type": SAME, "seed": 1}, "mgda"],
            "found options beside a balancer object; remove seed",
        ),
        ([{"until": 2, "type": SAME}, SAME], "the same balancer in two stages"),
        ([{"until": 2}, "equal"], "expected a name"),
        ({"type": "equal", "heads": "plain"}, "Equal weights the losses.*remove heads"),
        ({"type": "equal", "at": "representation"}, "Equal reads only losses"),
        ({"type": "graddrop", "memory": "low"}, "for Gramian balancers; GradDrop is none"),
        ({"type": "graddrop", "heads": "weighted"}, "GradDrop gives no task weights"),
        ({"type": "graddrop", "gramian": "rows"}, "for Gramian balancers; GradDrop is none"),
        ({"type": "moco", "at": "representation"}, "MoCo remembers gradients"),
        ({"type": "mgda", "at": "representation", "memory": "low"}, "would save nothing"),
        ({"type": "mgda", "at": "here"}, "at is 'here', expected 'parameters' or"),
    ],
)
def test_wrong_stages_are_a_clear_error(stages, message):
    with pytest.raises(InputError, match=message):
        Trainer(made(), stages)


def compiled(*more):
    """A model whose encoder is compiled."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    encoder = torch.compile(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), *more), backend="aot_eager")
    return MultiTaskModel(encoder, [Regression("a"), Regression("b")])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("later", ["pcgrad", "graddrop", {"type": "gradnorm", "layer": "all"}])
def test_a_compiled_encoder_trains_in_every_stage(later):
    stages = [{"until": 1, "type": "equal"}, later]
    plain = Trainer(made(), stages, batch_size=16, learning_rate=1e-2)
    plain.fit(DATA, epochs=2)
    model = compiled()
    trainer = Trainer(model, stages, batch_size=16, learning_rate=1e-2)
    trainer.fit(DATA, epochs=2)
    for one, other in zip(model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


class Recomputed(nn.Module):
    """Recomputes its layer in the backward pass, in the way that hides the layer's parameters."""

    def __init__(self):
        super().__init__()
        self.first, self.layer = nn.Linear(4, 8), nn.Linear(8, 8)

    def forward(self, x):
        return checkpoint(self.layer, self.first(x), use_reentrant=True).relu()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    ("make", "later", "message"),
    [
        (compiled, "gradnorm", 'does not show which that is; create it with layer="all"'),
        (compiled, {"type": "gradient_ratio", "layer": "all"}, "Leave torch.compile out"),
        (None, "pcgrad", "reentrant checkpoint hides"),
    ],
)
def test_what_a_later_stage_cannot_have_is_reported_before_the_first_step(
    make, later, message, accumulate
):
    if accumulate > 1 and later != "pcgrad":
        pytest.skip("refused for other reasons")
    model = (
        make(nn.Linear(8, 8))
        if make
        else MultiTaskModel(Recomputed(), [Regression("a"), Regression("b")])
    )
    stages = [{"until": 1, "type": "equal"}, later]
    trainer = Trainer(model, stages, batch_size=16, accumulate=accumulate)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(InputError, match=message):
        trainer.fit(DATA, epochs=2)
    assert trainer.step == 0
    for parameter, value in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)


def test_gradients_are_not_looked_at_where_the_graph_serves_one_pass():
    model = MultiTaskModel(Recomputed(), [Regression("a"), Regression("b")])
    trainer = Trainer(model, "equal", batch_size=16)
    trainer.fit(DATA, epochs=13)  # past step 50, where they are looked at
    assert trainer.statistics()["gradients"] == {}


def test_trying_later_stages_changes_no_step():
    plain = trained("equal", epochs=1)
    staged = trained([{"until": 1, "type": "equal"}, "pcgrad"], epochs=1)
    for one, other in zip(plain.model.parameters(), staged.model.parameters(), strict=True):
        assert torch.equal(one, other)
