"""`motet.balancing.backward`: the gradient it leaves behind, and what it refuses."""

import pytest
import torch
from steps import Parabola
from torch import nn
from torch.testing import assert_close

from motet.balancing import (
    MGDA,
    Equal,
    GradDrop,
    LossBalancer,
    Manual,
    PCGrad,
    Uncertainty,
    available,
    backward,
    create,
)
from motet.problems import InputError


def two_losses(x):
    return {"a": (x**2).sum(), "b": (3 * x).sum()}


def test_equal_leaves_the_gradient_of_the_sum():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    backward(two_losses(x), Equal(["a", "b"]))
    torch.testing.assert_close(x.grad, 2 * x.detach() + 3)


def test_gradients_are_accumulated_as_torch_does():
    x = torch.tensor([1.0], requires_grad=True)
    for _ in range(2):
        backward(two_losses(x), Equal(["a", "b"]))
    torch.testing.assert_close(x.grad, torch.tensor([10.0]))


def test_a_task_weight_scales_that_task_alone():
    x = torch.tensor([1.0], requires_grad=True)
    balancer = Equal(["a", "b"])
    balancer.set_weight("b", 5)
    result = backward(two_losses(x), balancer)
    torch.testing.assert_close(x.grad, torch.tensor([2.0 + 15.0]))
    assert result.weights["b"] == 5
    assert result.losses["b"] == 3  # reported as given, without the weight


def test_a_sequence_of_losses_follows_the_order_of_the_tasks():
    x = torch.tensor([1.0], requires_grad=True)
    backward(list(two_losses(x).values()), Manual(["a", "b"], weights={"b": 2.0, "a": 1.0}))
    torch.testing.assert_close(x.grad, torch.tensor([2.0 + 6.0]))


def test_the_penalty_is_added_without_weights():
    x = torch.tensor([1.0], requires_grad=True)
    balancer = Manual(["a"], weights={"a": 10.0})
    backward({"a": x.sum()}, balancer, penalty=(x**2).sum())
    torch.testing.assert_close(x.grad, torch.tensor([12.0]))


def test_reported_weights_are_the_ones_used():
    """An inverted report is a mistake seen elsewhere (methods, section 14)."""
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    balancer = Uncertainty(["a", "b"], initial={"a": 1.0, "b": -2.0})
    result = backward({"a": x[0] ** 2, "b": x[1] ** 2}, balancer)
    used = x.grad / (2 * x.detach())
    torch.testing.assert_close(torch.stack(list(result.weights.values())), used)


def test_tasks_that_share_nothing_are_balanced_apart():
    """C, and an unrelated task with gradient 2; together MGDA would give the three (.571, .381,
    .048).
    """
    x, y = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    losses = {"a": x[0], "b": x[1] - x[0], "c": 2 * y.sum()}
    result = backward(losses, MGDA(list("abc"), scale="paper"))
    torch.testing.assert_close(x.grad, torch.tensor([0.2, 0.4]))
    torch.testing.assert_close(y.grad, torch.tensor([2.0]))
    assert result.components == (("a", "b"), ("c",))


def test_tasks_left_out_keep_the_state_of_the_balancer():
    x = torch.tensor([1.0], requires_grad=True)
    balancer = Uncertainty(["a", "b", "c"])
    backward({"b": 3 * x.sum()}, balancer)
    assert balancer.log_variance.grad.tolist()[0::2] == [0, 0]
    assert balancer.log_variance.grad[1] != 0


def test_half_precision_losses_are_balanced_in_float32():
    x = torch.tensor([1.0], requires_grad=True)
    result = backward({"a": x.bfloat16().sum(), "b": (2 * x).sum()}, Equal(["a", "b"]))
    assert result.weights["a"].dtype == torch.float32
    torch.testing.assert_close(x.grad, torch.tensor([3.0]))


def test_a_balancer_of_ones_own_is_one_method():
    class Worst(LossBalancer):
        def forward(self, losses, present):
            return losses.max()

    x = torch.tensor([1.0], requires_grad=True)
    result = backward(two_losses(x), Worst(["a", "b"]))
    assert [weight.item() for weight in result.weights.values()] == [0, 1]
    torch.testing.assert_close(x.grad, torch.tensor([3.0]))


class Constant(LossBalancer):
    def forward(self, losses, present):
        return nn.Parameter(torch.tensor(1.0))


X = torch.tensor([1.0], requires_grad=True)


@pytest.mark.parametrize(
    ("losses", "balancer", "message"),
    [
        ({"a": X.sum(), "z": X.sum()}, Equal(["a", "b"]), "'z', which is not a task; known: a, b"),
        ({"a": X * 2}, Equal(["a"]), r"shape \(1,\), expected a scalar"),
        ({"a": torch.tensor(1.0)}, Equal(["a"]), "has no graph"),
        ({"a": 1.5}, Equal(["a"]), "the loss of 'a' is 1.5, expected a scalar tensor"),
        (X.sum(), Equal(["a"]), "losses is one tensor, expected a scalar loss for each task"),
        ([X.sum()], Equal(["a", "b"]), "found 1 losses, expected 2: a, b"),
        ({}, Equal(["a"]), "found no loss"),
        ({"a": X.sum()}, "equal", "expected a motet balancer"),
        ({"a": X.sum()}, Equal, r"is the class Equal; create an instance: Equal\(tasks\)"),
        ({"a": X.sum()}, Constant(["a"]), "does not depend on the losses"),
    ],
)
def test_wrong_use_is_a_clear_error(losses, balancer, message):
    with pytest.raises(InputError, match=message):
        backward(losses, balancer)
    assert X.grad is None


NET = nn.Linear(2, 2)
HEAD = nn.Linear(2, 1)
FROZEN = nn.Linear(2, 2).requires_grad_(False)


@pytest.mark.parametrize(
    ("balancer", "options", "message"),
    [
        (PCGrad, {"shared": nn.Linear(2, 2)}, "no loss reaches a parameter in `shared`"),
        (PCGrad, {"shared": FROZEN}, "no parameter that trains; give an encoder that is not"),
        (PCGrad, {"shared": []}, "no parameter that trains"),
        (PCGrad, {"shared": [NET(torch.ones(1, 2))]}, "a tensor that was computed"),
        (PCGrad, {"shared": ["weight"]}, "`shared` holds 'weight', expected parameters"),
        (PCGrad, {"shared": NET.weight}, "`shared` is one tensor, expected a module, or a list"),
        (PCGrad, {"shared": "encoder"}, "`shared` is 'encoder', expected a module, or a list"),
        (PCGrad, {"scaler": 1024.0}, "scaler is 1024.0, expected a torch.amp.GradScaler"),
        (
            PCGrad,
            {"shared": NET, "task_parameters": {"a": [NET.weight]}},
            "a parameter of 'a' is listed in `shared` too; list it once",
        ),
        (
            PCGrad,
            {"shared": nn.Linear(2, 2), "task_parameters": {}},
            "no loss reaches a parameter in `shared`",
        ),
        (PCGrad, {"at": "encoder"}, "at is 'encoder', expected 'parameters' or 'representation'"),
        (PCGrad, {"heads": "none"}, "heads is 'none', expected 'plain' or 'weighted'"),
        (PCGrad, {"memory": "tiny"}, "memory is 'tiny', expected 'normal' or 'low'"),
        (Equal, {"at": "representation"}, "Equal reads only losses"),
        (GradDrop, {"heads": "weighted"}, "GradDrop gives no task weights"),
        (GradDrop, {"memory": "low"}, "for Gramian balancers; GradDrop is none"),
        (Equal, {"memory": "low"}, "for Gramian balancers; Equal is none"),
        (Equal, {"heads": "weighted"}, "weighted in any case; remove heads"),
        (PCGrad, {"gramian": "split"}, "gramian is 'split', expected 'auto' or 'rows' or 'layers'"),
        (GradDrop, {"gramian": "layers"}, "for Gramian balancers; GradDrop is none"),
        (Equal, {"gramian": "rows"}, "for Gramian balancers; Equal is none"),
        (PCGrad, {"gramian": "layers", "memory": "low"}, "no rows; remove one"),
        (PCGrad, {"gramian": "layers", "at": "representation"}, "would change nothing"),
        (PCGrad, {"gramian": "layers", "solve": False}, "remove gramian"),
        (PCGrad, {"memory": "low", "solve": False}, "do not go with"),
        (PCGrad, {"memory": "low", "at": "representation"}, "would save nothing"),
        (PCGrad, {"at": "representation", "solve": False}, "do not go with"),
    ],
)
def test_options_that_cannot_be_had_are_clear_errors(balancer, options, message):
    z = NET(torch.ones(3, 2))
    losses = {"a": HEAD(z).sum(), "b": z.pow(2).sum()}
    with pytest.raises(InputError, match=message):
        backward(losses, balancer(["a", "b"]), **options)
    assert NET.weight.grad is None


def test_doubled_names_are_a_clear_error():
    with pytest.raises(InputError, match="expected one or more names, each once"):
        PCGrad(["a", "a"])
    x = torch.tensor([1.0], requires_grad=True)
    with pytest.raises(InputError, match="found 2 losses, expected 1: a"):
        backward([x.sum(), x.sum()], PCGrad(["a"]))


@pytest.mark.parametrize("name", available())
def test_the_total_of_a_step_is_what_was_minimised(name):
    """For balancers of losses the combined loss, for others the losses times their weights."""
    options = {"weights": {"a": 1.0, "b": 0.5}} if name == "manual" else {}
    balancer, again = (create(name, ["a", "b"], **options) for _ in range(2))
    net = Parabola()
    for each in (balancer, again):
        if each.needs.looks_ahead:
            sgd = torch.optim.SGD(net.parameters(), lr=0.1)
            each.look_ahead(net, sgd, lambda: net.losses("ab"), lambda: net.losses("ab"))
    losses = net.losses("ab")
    result = backward(losses, balancer, net, penalty=net.x.square())
    if balancer.needs.penalizes_norms:
        assert result.total > again(torch.stack(list(losses.values())))
    elif isinstance(balancer, LossBalancer):
        assert_close(result.total, again(torch.stack(list(losses.values()))).detach())
    elif result.weights is None:
        assert result.total is None
    else:
        expected = sum(float(result.losses[t]) * float(result.weights[t]) for t in "ab")
        assert float(result.total) == pytest.approx(expected)
    assert result.total is None or not result.total.requires_grad


def test_the_total_waits_for_the_micro_batch_that_solves():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    for balancer in (Equal(["a", "b"]), PCGrad(["a", "b"])):
        waiting = backward({"a": x[0] * x[1], "b": x.sum()}, balancer, [x], solve=False)
        assert waiting.total is None
        result = backward({"a": x[0] * x[1]}, balancer, [x], previous=waiting)
        assert float(result.total) == 7.0


def test_the_total_of_losses_that_are_not_finite_is_not_a_number():
    for balancer in (Equal(["a", "b"]), PCGrad(["a", "b"])):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        assert backward({"a": x.sum() / 0, "b": x.prod()}, balancer).total.isnan()


def test_finite_losses_whose_sum_overflows_are_minimised():
    x = torch.tensor([3e38, 3e38], requires_grad=True)
    result = backward({"a": x[0], "b": x[1] * 0.5}, Equal(["a", "b"]))
    assert result.status == "ok"
    assert x.grad.tolist() == [1.0, 0.5]


def test_the_total_of_a_gradient_ratio_has_the_penalty_on_norms():
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    losses = {"a": x.square().sum() / 2, "b": x.square().sum()}
    balancer = create("gradient_ratio", ["a", "b"])
    norms = torch.tensor([5.0, 10.0])
    expected = 12.5 + 25.0 + balancer.penalty(norms, torch.arange(2))
    assert_close(backward(losses, balancer).total, expected.detach())
