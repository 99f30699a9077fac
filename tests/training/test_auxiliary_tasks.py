"""Auxiliary tasks train on rows of their own, beside the balancer unless they are balanced."""

from itertools import product

import pytest
import torch
from quick_cases import others_slow
from torch import nn

import motet
from motet.options import AuxiliaryOptions, Unpack, checked
from motet.problems import InputError
from motet.tasks import Auxiliary, Classification, Regression
from motet.training import Trainer

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
TARGETS = {"a": torch.arange(24) % 2, "b": X.sum(dim=1)}
BATCH = {"inputs": X, "targets": TARGETS}


class Noisy(Auxiliary):
    """Restore inputs to which noise was added."""

    def __init__(self, name: str, **common: Unpack[AuxiliaryOptions]) -> None:
        super().__init__(name, **common)
        self.outputs = 4

    def view(self, inputs, generator):
        return inputs + torch.randn(inputs.shape, generator=generator), inputs

    def loss(self, raw, target):
        return self.add_up(lambda raw, target: (raw - target) ** 2, raw, target)


def made(*auxiliary, norm=False, dropout=0.0):
    torch.manual_seed(0)
    layers = [nn.Linear(4, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.ReLU()]
    encoder = nn.Sequential(*layers, nn.Dropout(dropout))
    return motet.MultiTaskModel(
        encoder, [Classification("a", classes=2), Regression("b"), *auxiliary]
    )


def in_turns(*auxiliary):
    tasks = [Classification("a", classes=2), Regression("b"), *auxiliary]
    sharing = motet.sharing.create("progressive", epochs=1, lateral=False)
    return motet.MultiTaskModel(nn.Linear(4, 8), tasks, sharing=sharing)


AT_REPRESENTATION = {"type": "mgda", "at": "representation"}


def trainer(*auxiliary, balancer="equal", model=None, **options):
    return Trainer(made(*auxiliary) if model is None else model, balancer, **options)


def grads(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad", "upgrad", "graddrop"])
def test_a_part_beside_leaves_the_balanced_one_on_its_path(balancer):
    alone, both = trainer(balancer=balancer), trainer(Noisy("n"), balancer=balancer)
    both.model.load_state_dict(alone.model.state_dict(), strict=False)
    one, two = alone.train_step(BATCH), both.train_step(BATCH)
    assert one.balanced.path == two.balanced.path
    assert list(two.losses) == ["a", "b", "n"]
    assert two.balanced.tasks == one.balanced.tasks
    for task in ("a", "b"):
        assert two.losses[task].equal(one.losses[task])
        if one.balanced.weights is not None:
            assert two.balanced.weights[task].equal(one.balanced.weights[task])


def test_its_gradient_is_added_after_balancing_times_its_weight():
    steps = {}
    for weight in (1.0, 3.0, None):
        task = () if weight is None else (Noisy("n", weight=weight),)
        found = trainer(*task, optimizer="sgd", learning_rate=1e-9)
        found.model.sharing.load_state_dict(made().sharing.state_dict())
        result = found.train_step(BATCH)
        steps[weight] = grads(found.model), result
    shared = [name for name in steps[None][0] if "sharing" in name]
    assert shared
    for name in shared:
        one, three = (steps[weight][0][name] - steps[None][0][name] for weight in (1.0, 3.0))
        assert one.abs().max() > 1e-4
        torch.testing.assert_close(3 * one, three)
    assert steps[1.0][1].losses["n"].equal(steps[3.0][1].losses["n"])


def test_a_balanced_one_is_weighted_with_the_others_in_one_call():
    found = trainer(Noisy("n", balanced=True), balancer="pcgrad")
    result = found.train_step(BATCH)
    assert result.balanced.tasks == ("a", "b", "n")
    assert result.balanced.cosines.shape == (3, 3)
    assert set(result.balanced.weights) == {"a", "b", "n"}
    assert tuple(trainer(Noisy("n"), balancer="pcgrad").balancer.tasks) == ("a", "b")


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad"])
@pytest.mark.parametrize("pieces", [2, 5])
def test_micro_batches_add_up_to_the_step_of_the_whole_batch(balanced, balancer, pieces):
    found = []
    for accumulate in (1, pieces):
        each = trainer(Noisy("n", balanced=balanced), balancer=balancer, accumulate=accumulate)
        result = each.train_step(BATCH)
        found.append((grads(each.model), result.losses))
    (whole, losses), (cut, of_cut) = found
    for name, gradient in whole.items():
        torch.testing.assert_close(cut[name], gradient, rtol=1e-4, atol=1e-5)
    for task, loss in losses.items():
        torch.testing.assert_close(of_cut[task], loss)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "pcgrad"])
@pytest.mark.parametrize("rows", [0, 5])
def test_a_view_may_have_other_rows_than_the_batch(balanced, balancer, rows):
    class Some(Noisy):
        def view(self, inputs, generator):
            return super().view(inputs[:rows], generator)

    found = []
    for accumulate in (1, 4):
        each = trainer(Some("n", balanced=balanced), balancer=balancer, accumulate=accumulate)
        result = each.train_step(BATCH)
        assert list(result.losses) == (["a", "b", "n"] if rows else ["a", "b"])
        found.append(grads(each.model))
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("balanced", [False, True])
def test_what_the_data_rows_draw_does_not_depend_on_it(balanced):
    alone = trainer(model=made(dropout=0.5))
    both = trainer(model=made(Noisy("n", balanced=balanced), dropout=0.5))
    both.model.load_state_dict(alone.model.state_dict(), strict=False)
    one, two = alone.train_step(BATCH), both.train_step(BATCH)
    assert all(one.losses[task].equal(two.losses[task]) for task in ("a", "b"))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_averages_of_batch_norm_move_only_in_balanced_parts(accumulate):
    alone = trainer(model=made(norm=True), accumulate=accumulate)
    beside = trainer(model=made(Noisy("n"), norm=True), accumulate=accumulate)
    balanced = trainer(model=made(Noisy("n", balanced=True), norm=True), accumulate=accumulate)
    for each in (beside, balanced):
        each.model.load_state_dict(alone.model.state_dict(), strict=False)
    for each in (alone, beside, balanced):
        each.train_step(BATCH)
    means = [
        next(b for n, b in each.model.named_buffers() if n.endswith("running_mean"))
        for each in (alone, beside, balanced)
    ]
    assert means[0].equal(means[1])
    assert not means[0].equal(means[2])


def test_rows_without_any_label_train_it_alone():
    found = trainer(Noisy("n"))
    nothing = {"a": torch.full((24,), -100), "b": torch.full((24,), torch.nan)}
    result = found.train_step({"inputs": X, "targets": nothing})
    assert list(result.losses) == ["n"]
    assert result.balanced is None
    assert result.gradient_norm > 0


def test_a_step_whose_view_is_not_finite_changes_nothing():
    class Broken(Noisy):
        def view(self, inputs, generator):
            return inputs * torch.inf, inputs

    found = trainer(Broken("n"))
    before = {name: each.clone() for name, each in found.model.state_dict().items()}
    assert found.train_step(BATCH).skipped
    for name, each in found.model.state_dict().items():
        assert each.equal(before[name])


def test_it_is_evaluated_by_its_loss_always_on_the_same_views_and_has_no_score():
    model = made(Noisy("n"))
    found = trainer(model=model, batch_size=8)
    torch.manual_seed(1)
    one = found.evaluate((X, TARGETS))
    two = found.evaluate((X, TARGETS))
    assert one == two
    assert set(one["n"]) == {"loss", "count"}
    assert one["n"]["count"] == X.numel()
    assert list(one.scores) == ["a", "b"]
    assert list(found.evaluate((X, TARGETS), tasks=["n"]).tasks) == ["n"]
    assert set(found.predict(X)) == {"a", "b"}
    assert set(model(X)) == {"a", "b"}
    assert found.predict(X, tasks="n")["n"].shape == (24, 4)


def test_fit_records_its_losses_and_watches_the_others():
    found = trainer(Noisy("n"), batch_size=8, learning_rate=1e-2)
    history = found.fit((X, TARGETS), (X, TARGETS), epochs=8)
    training, held_out = (history.curve("n", "loss", split) for split in ("train", "validation"))
    assert len(training) == len(held_out) == 8
    assert held_out[-1] < held_out[0]


BALANCERS = ("uncertainty", "dwa", "pcgrad", "famo", "meta")
RESUMED = [*product((False, True), BALANCERS)]
QUICK = [(False, "famo"), (True, "uncertainty"), (True, "meta")]


@pytest.mark.parametrize(("balanced", "balancer"), others_slow(QUICK, RESUMED))
def test_training_resumes_bit_for_bit(balanced, balancer):
    def fresh():
        return trainer(Noisy("n", balanced=balanced), balancer=balancer, batch_size=8)

    whole, first, second = fresh(), fresh(), fresh()
    whole.fit((X, TARGETS), (X, TARGETS), epochs=3)
    states = []
    first.on_checkpoint = lambda kind: states.append(first.state())
    first.checkpoint_every = 4
    first.fit((X, TARGETS), (X, TARGETS), epochs=3)
    second.load_state(states[1])
    assert 0 < second.step < whole.step
    second.fit((X, TARGETS), (X, TARGETS), epochs=3)
    for ours, theirs in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)


def test_it_can_be_disabled_and_enabled():
    found = trainer(Noisy("n", enabled=False))
    assert list(found.train_step(BATCH).losses) == ["a", "b"]
    found.model.enable_task("n")
    assert found.model.auxiliary_tasks == ("n",)
    assert list(found.train_step(BATCH).losses) == ["a", "b", "n"]


def test_its_weight_may_change_from_epoch_to_epoch():
    changing = {"from": 4.0, "to": 1.0, "epochs": (1, 2)}
    found = trainer(Noisy("n", weight=changing), batch_size=24)
    weights = []
    plan = found.planner.plan
    found.planner.plan = lambda *given: (
        weights.append(plan(*given).beside[0].weight) or plan(*given)
    )
    found.fit((X, TARGETS), epochs=2)
    assert weights == [4.0, 1.0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Noisy("n", column="x"), "no option 'column'"),
        (lambda: Noisy("n", main=True), "no option 'main'"),
        (lambda: Noisy("n", balanced="yes, all"), "balanced"),
        (lambda: trainer(Noisy("n")).fit((X, {**TARGETS, "n": X}), epochs=1), "makes its own"),
        (
            lambda: trainer(Noisy("n", balanced=True), balancer=AT_REPRESENTATION),
            "at: found representation, which is of one forward pass; n makes one",
        ),
        (
            lambda: Trainer(motet.MultiTaskModel(nn.Linear(4, 8), [Noisy("n")])),
            "the model has only auxiliary tasks beside the balancer",
        ),
        (
            lambda: trainer(model=in_turns(Noisy("n"))).fit((X, TARGETS), epochs=3),
            "tasks: found the auxiliary task n in the last column",
        ),
        (
            lambda: trainer(Noisy("n"), monitor="n").fit((X, TARGETS), (X, TARGETS)),
            "monitor: found",
        ),
    ],
)
def test_what_has_no_effect_on_it_is_rejected(wrong, message):
    with pytest.raises(InputError, match=message):
        wrong()


def test_a_part_beside_does_not_move_the_representation():
    result = trainer(Noisy("n"), balancer=AT_REPRESENTATION).train_step(BATCH)
    assert result.balanced.path == "representation"
    assert list(result.losses) == ["a", "b", "n"]


def test_a_view_that_returns_something_else_is_explained():
    class Wrong(Noisy):
        def view(self, inputs, generator):
            return inputs

    with pytest.raises(InputError, match=r"view of Wrong: found a Tensor; expected \(inputs, targ"):
        trainer(Wrong("n")).train_step(BATCH)


def test_checked_options_are_those_of_auxiliary_tasks():
    class Sized(Noisy):
        @checked
        def __init__(self, name: str, **common: Unpack[AuxiliaryOptions]) -> None:
            super().__init__(name, **common)

    assert Sized("n", balanced=True, weight=2.0).balanced
    with pytest.raises(InputError, match="did you mean 'weight'"):
        Sized("n", wieght=2.0)
