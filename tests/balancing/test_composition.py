"""A loss balancer inside a balancer that reads gradients, and unit rows: as if done by hand."""

import copy
import pickle

import pytest
import torch
from graphs import data, linear
from torch import nn
from torch.testing import assert_close

from motet.balancing import (
    DWA,
    IMTL,
    IMTLG,
    IMTLL,
    MGDA,
    Equal,
    FairGrad,
    GramianBalancer,
    LossBalancer,
    Needs,
    PCGrad,
    Uncertainty,
    available,
    backward,
    combine,
    create,
)
from motet.problems import InputError
from motet.registry import BALANCERS
from motet.tasks import Classification, Regression

TASKS = ("a", "b", "c")
OUTER = [
    name
    for name in available()
    if not issubclass(BALANCERS[name], LossBalancer) and not BALANCERS[name].scales_losses
]
GRAMIAN = [name for name in OUTER if issubclass(BALANCERS[name], GramianBalancer)]
UNIT = [name for name in OUTER if not BALANCERS[name].refuses_unit]
INNER = {
    "dwa": {},
    "uncertainty": {"initial": {"a": 1.0, "b": -1.0, "c": 0.3}},
    "famo": {"learning_rate": 0.3},
}
STEPS = ((0, "abc"), (1, "abc"), (2, "ca"), (3, "b"), (4, "abc"))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(linear(3, 5), nn.Tanh(), linear(5, 4))
        self.heads = nn.ModuleDict({task: linear(4, 1) for task in TASKS})

    def losses(self, number=0, tasks=TASKS, rows=slice(None), size=1.0):
        z = self.encoder(data(6, 3, 7)[..., number][rows]).tanh()
        wanted = zip(TASKS, (1.0, 3.0, 0.2), strict=True)
        factors = {"a": size, "b": 1.0, "c": 1.0}
        return {
            task: factors[task] * (k + 1) * (self.heads[task](z) - k).square().sum() / 6
            for task, k in wanted
            if task in tasks
        }


def inner_balancer(name):
    balancer = create(name, TASKS, **INNER[name]).double()
    if name == "dwa":
        for means in ({"a": 2.0, "b": 1.0, "c": 1.0}, {"a": 1.0, "b": 1.5, "c": 0.9}):
            balancer.end_epoch(means)
    return balancer


def composed(outer, inner, **options):
    return create(outer, TASKS, losses=inner, **options).double()


def gradients(*modules):
    found = [p.grad for module in modules for p in module.parameters()]
    return [gradient for gradient in found if gradient is not None]


def by_hand(losses, outer, inner, **options):
    """Weight the losses as the inner balancer does, then balance them."""
    places = torch.tensor([TASKS.index(task) for task in losses])
    values = torch.stack([loss.detach() for loss in losses.values()]).requires_grad_()
    inner(values, places).backward()
    weights = dict(zip(losses, values.grad, strict=True))
    weighted = {task: weights[task] * loss for task, loss in losses.items()}
    return weights, backward(weighted, outer, **options)


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
def test_it_is_the_balancer_on_losses_that_were_weighted_by_hand(outer, inner):
    """With tasks absent, and state that both balancers have from the steps before."""
    ours, theirs = Net(), Net()
    whole = composed(outer, inner_balancer(inner))
    plain, alone = create(outer, TASKS).double(), inner_balancer(inner)
    for balancer in (whole, plain):
        if not balancer.refuses_weight:
            balancer.set_weight("b", 2.5)
    for number, tasks in STEPS:
        for module in (ours, theirs, whole, alone):
            module.zero_grad()
        losses = ours.losses(number, tasks)
        result = backward(losses, whole, shared=ours.encoder)
        weights, expected = by_hand(
            theirs.losses(number, tasks), plain, alone, shared=theirs.encoder
        )
        assert_close(gradients(ours, whole), gradients(theirs, alone), rtol=1e-9, atol=1e-12)
        assert result.losses == {task: loss.detach() for task, loss in losses.items()}
        assert (result.weights is None) == (expected.weights is None)
        for task, weight in (result.weights or {}).items():
            assert_close(weight, expected.weights[task] * weights[task], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("outer", OUTER)
def test_plain_sums_inside_change_nothing_bit_for_bit(outer):
    ours, theirs = Net(), Net()
    whole, plain = create(outer, TASKS, losses="equal", unit=False), create(outer, TASKS)
    for number, tasks in STEPS:
        ours.zero_grad()
        theirs.zero_grad()
        result = backward(ours.losses(number, tasks), whole, shared=ours.encoder)
        expected = backward(theirs.losses(number, tasks), plain, shared=theirs.encoder)
        assert all(
            torch.equal(*pair) for pair in zip(gradients(ours), gradients(theirs), strict=True)
        )
        assert result.weights == expected.weights
        assert (result.path, result.status) == (expected.path, expected.status)


@pytest.mark.parametrize("inner", [None, "dwa"])
@pytest.mark.parametrize("outer", UNIT)
def test_with_unit_rows_the_scale_of_a_loss_does_not_matter(outer, inner):
    found = []
    for size in (1.0, 100.0):
        net = Net()
        balancer = composed(outer, inner and inner_balancer(inner), unit=True)
        for number, tasks in STEPS:
            net.zero_grad()
            backward(net.losses(number, tasks, size=size), balancer, shared=net.encoder)
            found.append(gradients(net.encoder))
    assert_close(found[: len(STEPS)], found[len(STEPS) :], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("outer", UNIT)
def test_unit_rows_come_before_the_weights_of_losses_and_tasks(outer):
    rows = data(3, 8) * torch.tensor([[1.0], [50.0], [0.1]])
    losses = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    inner = inner_balancer("dwa")
    weights = inner.weights(torch.arange(3))
    whole, plain = composed(outer, inner, unit=True), create(outer, TASKS).double()
    for balancer in (whole, plain):
        if not balancer.refuses_weight:
            balancer.set_weight("b", 2.5)
    scaled = rows / rows.norm(dim=1, keepdim=True) * weights[:, None]
    expected = combine(scaled, plain, losses * weights)
    assert_close(combine(rows, whole, losses), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [*sorted(set(OUTER) - set(UNIT)), "imtl"])
def test_unit_rows_are_refused_where_they_would_have_no_effect_or_meaning(name):
    with pytest.raises(InputError, match="does not support unit: "):
        create(name, TASKS, unit=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FairGrad(TASKS, alpha=1.0, unit=True),
        lambda: MGDA(TASKS, normalize="l2", unit=True),
        lambda: MGDA(TASKS, normalize="loss_l2", unit=True),
    ],
)
def test_unit_rows_are_refused_where_options_leave_them_without_effect(make):
    with pytest.raises(InputError, match="does not support unit: "):
        make()


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"memory": "low"}, "pieces"),
        ({"gramian": "rows"}, "rows"),
        ({"gramian": "layers"}, "layers"),
        ({"heads": "weighted"}, "rows"),
    ],
)
@pytest.mark.parametrize("unit", [False, True])
def test_every_way_through_the_engine_gives_the_same(options, path, unit):
    found = []
    for given in ({}, options):
        net, balancer = Net(), composed("upgrad", inner_balancer("uncertainty"), unit=unit)
        result = backward(net.losses(), balancer, shared=net.encoder, **given)
        head = net.heads["a"].weight.grad
        if "heads" in given:
            head = head / result.weights["a"] * balancer.losses.log_variance[0].neg().exp() / 2
        weights = torch.stack(list(result.weights.values()))
        found.append([*gradients(net.encoder, balancer), head.detach(), weights])
    assert result.path == path
    assert_close(found[1], found[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("outer", ["upgrad", "graddrop", "moco"])
def test_gradients_at_a_representation_are_those_of_the_weighted_losses(outer):
    if outer == "moco":
        with pytest.raises(InputError, match="remembers gradients"):
            backward(Net().losses(), create(outer, TASKS, losses="dwa"), at="representation")
        return
    ours, theirs = Net(), Net()
    options = {"at": "representation"}
    inner = inner_balancer("uncertainty")
    backward(ours.losses(), composed(outer, inner), shared=ours.encoder, **options)
    alone, plain = inner_balancer("uncertainty"), create(outer, TASKS)
    by_hand(theirs.losses(), plain, alone, shared=theirs.encoder, **options)
    assert_close(gradients(ours, inner), gradients(theirs, alone), rtol=1e-6, atol=1e-9)


def test_tasks_with_rows_of_their_own_take_one_pass():
    found = []
    for given in ("auto", "rows"):
        net, balancer = Net().float(), create("pcgrad", TASKS, losses="dwa", unit=True)
        z = net.encoder(data(6, 3).float())
        losses = {
            task: (net.heads[task](z[2 * k : 2 * k + 2]) - k).square().mean()
            for k, task in enumerate(TASKS)
        }
        result = backward(losses, balancer, shared=net.encoder, gramian=given)
        found.append((result.path, gradients(net)))
    assert [path for path, _ in found] == ["blocks", "rows"]
    assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)


def test_groups_that_share_nothing_have_one_loss_balancer():
    x, y = (data(2).requires_grad_() for _ in range(2))
    losses = {"a": x[0] ** 2, "b": (x[1] - x[0]) ** 2, "c": 2 * y.square().sum()}
    whole = composed("mgda", inner_balancer("dwa"))
    result = backward(losses, whole)
    weights = inner_balancer("dwa").weights(torch.arange(3))
    assert result.components == (("a", "b"), ("c",))
    assert_close(result.weights["c"].float(), weights[2].float())


@pytest.mark.parametrize("outer", GRAMIAN)
def test_kept_weights_are_of_losses_that_are_weighted_anew_at_each_step(outer):
    net, balancer = Net(), composed(outer, inner_balancer("famo"), every=3, unit=outer in UNIT)
    seen = []
    for number in range(3):
        for module in (net, balancer):
            module.zero_grad()
        result = backward(net.losses(number), balancer, shared=net.encoder)
        inner = copy.deepcopy(balancer.losses)
        inner.exact = True  # so that it does not learn from the same losses twice
        values = torch.stack(list(result.losses.values())).requires_grad_()
        inner(values).backward()
        seen.append(torch.stack(list(result.weights.values())) / values.grad)
        paths = {result.path}
    assert paths == {"kept weights"}
    assert_close(seen[1], seen[0], rtol=1e-5, atol=1e-9)
    assert_close(seen[2], seen[0], rtol=1e-5, atol=1e-9)
    rows = [
        torch.autograd.grad(loss, net.encoder[0].weight, retain_graph=True)[0]
        for loss in net.losses(2).values()
    ]
    expected = sum(w * row for w, row in zip(result.weights.values(), rows, strict=True))
    assert_close(net.encoder[0].weight.grad, expected)


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
def test_micro_batches_are_one_step(outer, inner):
    found = []
    for pieces in ((slice(0, 6),), (slice(0, 2), slice(2, 6))):
        net, balancer = Net(), composed(outer, inner_balancer(inner), unit=outer in UNIT)
        result = None
        for number, rows in enumerate(pieces, start=1):
            result = backward(
                net.losses(rows=rows),
                balancer,
                shared=net.encoder,
                solve=number == len(pieces),
                previous=result,
            )
        found.append((gradients(net, balancer), balancer.state_dict()))
    assert_close(found[1], found[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("outer", OUTER)
def test_a_loss_scaler_scales_the_gradient_and_nothing_that_is_learned(outer):
    found = []
    for size in (None, 8.0):
        net, balancer = Net(), composed(outer, inner_balancer("uncertainty"))
        scaler = None if size is None else torch.amp.GradScaler("cpu", init_scale=size)
        result = backward(net.losses(), balancer, shared=net.encoder, scaler=scaler)
        unscaled = [gradient / (size or 1) for gradient in gradients(net, balancer)]
        found.append((unscaled, result.weights, balancer.state_dict()))
    assert_close(found[1], found[0])


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
def test_a_resumed_composition_goes_on_as_if_it_had_never_stopped(outer, inner):
    unit = outer in UNIT
    net, kept = Net(), composed(outer, inner_balancer(inner), unit=unit)
    for number, tasks in STEPS[:3]:
        backward(net.losses(number, tasks), kept, shared=net.encoder)
    resumed = create(outer, TASKS, losses={"type": inner, **INNER[inner]}, unit=unit).double()
    resumed.load_state_dict(kept.state_dict())
    for number, tasks in STEPS[3:]:
        found = []
        for balancer in (kept, resumed):
            net.zero_grad()
            balancer.zero_grad()
            backward(net.losses(number, tasks), balancer, shared=net.encoder)
            found.append(gradients(net, balancer))
        assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_state_is_loaded_by_task_name():
    saved = composed("pcgrad", inner_balancer("dwa"))
    moved = create("pcgrad", ("c", "new", "a"), losses="dwa").double()
    moved.load_state_dict(saved.state_dict())
    assert_close(moved.losses.means[[2, 0]], saved.losses.means[[0, 2]])
    assert not moved.losses.means[1].any()


def test_imtl_is_imtl_l_inside_imtl_g():
    ours, theirs = Net(), Net()
    whole, one = IMTLG(TASKS, losses=IMTLL(TASKS)), IMTL(TASKS)
    with torch.no_grad():
        for learned in (whole.losses.log_scale, one.log_scale):
            learned.copy_(torch.tensor([0.5, -1.0, 0.2]))
    results = [
        backward(net.losses(), balancer, shared=net.encoder)
        for net, balancer in ((ours, whole), (theirs, one))
    ]
    assert_close(gradients(ours, whole), gradients(theirs, one), rtol=1e-5, atol=1e-7)
    assert_close(results[0].weights, results[1].weights, rtol=1e-5, atol=1e-7)


def test_a_loss_that_is_not_finite_leaves_both_as_they_were():
    for outer in ("pcgrad", "moco"):
        net, balancer = Net(), create(outer, TASKS, losses={"type": "random"})
        before = copy.deepcopy(balancer.state_dict())
        losses = {**net.losses(), "b": net.losses()["b"] * torch.nan}
        result = backward(losses, balancer, shared=net.encoder)
        assert "finite" in result.status
        assert all(weight.isnan() for weight in result.weights.values())
        assert all(torch.equal(before[key], now) for key, now in balancer.state_dict().items())


def test_a_jacobian_of_ones_own_stays_as_it_is():
    rows = data(3, 5)
    before = rows.clone()
    combine(rows, create("graddrop", TASKS, losses="dwa", unit=True), torch.ones(3).double())
    assert torch.equal(rows, before)


def test_a_balancer_alone_needs_the_losses():
    balancer = PCGrad(TASKS, losses="geometric")
    losses = torch.tensor([1.0, 2.0, 4.0])
    expected = PCGrad(TASKS)(torch.eye(3)) * 2 / (3 * losses)
    assert_close(balancer(torch.eye(3), losses), expected)
    for name in ("pcgrad", "graddrop"):
        with pytest.raises(InputError, match=r"has a loss balancer inside.* pass them too"):
            combine(torch.eye(3), create(name, TASKS, losses="geometric"))


def test_what_the_loss_balancer_needs_of_the_loop_is_part_of_the_record():
    needs = create("pcgrad", TASKS, losses={"type": "famo", "exact": True}).needs
    assert needs == Needs(
        "gramian",
        scales_losses=True,
        after_step=True,
        inner=Needs("losses", after_step=True),
    )
    assert create("moco", TASKS, losses="dwa").needs.epochs
    assert create("upgrad", TASKS, losses="focal").needs.scores
    assert not create("pcgrad", TASKS, losses="famo").needs.after_step
    assert create("pcgrad", TASKS, losses="equal").needs.inner.fixed_weights


def test_calls_of_the_loop_reach_the_loss_balancer_of_a_copy_too():
    balancer = create("pcgrad", TASKS, losses="dwa")
    for each in (balancer, copy.deepcopy(balancer), pickle.loads(pickle.dumps(balancer))):
        each.end_epoch({"a": 3.0})
        assert each.losses.means[0, -1] == 3
    assert balancer.losses.means[0, 0] == 0


def test_what_the_loss_balancer_reads_of_tasks_comes_with_them():
    tasks = [Classification("c", classes=2, weight=3.0), Regression("r", loss="mae")]
    balancer = create("pcgrad", tasks, losses={"type": "uncertainty"})
    assert balancer.losses.kinds == ["classification", "laplace"]
    assert [balancer.weight("c"), balancer.losses.weight("c")] == [3, 1]
    assert create("pcgrad", tasks, losses="uncertainty").losses.kinds[0] == "classification"


def test_the_loss_balancer_may_be_an_object_a_name_or_a_choice():
    for given in (DWA(TASKS, window=3), {"type": "dwa", "window": 3}):
        assert PCGrad(TASKS, losses=given).losses.window == 3
    assert isinstance(MGDA(TASKS, losses="equal").losses, Equal)
    assert PCGrad(TASKS).losses is None


def test_parameters_of_the_loss_balancer_are_those_of_the_whole():
    balancer = PCGrad(TASKS, losses=Uncertainty(TASKS))
    assert [name for name, _ in balancer.named_parameters()] == ["losses.log_variance"]


class _ReadsEpochs(GramianBalancer):
    def forward(self, gramian, losses, present): ...

    def end_epoch(self, means): ...


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PCGrad(TASKS, losses="gradnorm"), "GradNorm inside: it reads norms"),
        (lambda: PCGrad(TASKS, losses="gradient_ratio"), "GradientRatio inside: it reads norms"),
        (lambda: PCGrad(TASKS, losses="meta"), "Meta inside: it learns from the step"),
        (lambda: PCGrad(TASKS, losses="mgda"), "found MGDA.* expected a loss balancer"),
        (lambda: IMTL(TASKS, losses="dwa"), "IMTL scales the losses itself"),
        (lambda: PCGrad(TASKS, losses=DWA(("b", "a", "c"))), "same tasks in the same order"),
        (lambda: PCGrad(TASKS, losses="dwaa"), "did you mean 'dwa'"),
        (lambda: create("pcgrad", TASKS, losses={"type": "dwa", "windw": 2}), "mean 'window'"),
        (lambda: create("pcgrad", TASKS, losses={"window": 2}), "found a mapping; expected a name"),
        (lambda: PCGrad(TASKS, unit=1), "unit: found 1, expected true or false"),
        (lambda: _ReadsEpochs(TASKS, losses="dwa"), "DWA, which has `end_epoch`"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_reason(make, message):
    with pytest.raises(InputError, match=message):
        make()
