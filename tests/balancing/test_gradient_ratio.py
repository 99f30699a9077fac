"""The gradient-ratio penalty: known answers (methods, section 5), and finite differences."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.balancing import backward, combine
from motet.balancing.gradient_ratio import GradientRatio
from motet.problems import InputError

TASKS = ("a", "b")
FORMS = ("general", "pair")


@pytest.mark.parametrize(
    ("form", "order", "expected"),
    [("general", [0, 1], 2 / 7), ("pair", [0, 1], 0.25), ("pair", [1, 0], 1 / 3)],
)
def test_known_penalties(form, order, expected):
    balancer = GradientRatio(TASKS, alpha=1.0, form=form)
    norms = torch.tensor([3.0, 4.0])[order]
    assert balancer.penalty(norms, torch.arange(2)).item() == pytest.approx(expected)


def quadratics(x):
    centres, factors = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double(), (1.0, 3.0)
    return {
        task: 0.5 * factor * (x - centre).square().sum()
        for task, factor, centre in zip(TASKS, factors, centres, strict=True)
    }


@pytest.mark.parametrize(("form", "value"), [("pair", 0.789181), ("general", 1.303550)])
def test_the_penalty_on_two_quadratics(form, value):
    x = torch.tensor([2.0, 1.0], dtype=torch.float64, requires_grad=True)
    norms = torch.stack([torch.autograd.grad(loss, x)[0].norm() for loss in quadratics(x).values()])
    penalty = GradientRatio(TASKS, alpha=1.0, form=form).penalty(norms, torch.arange(2))
    assert penalty.item() == pytest.approx(value, abs=1e-6)
    backward(quadratics(x), GradientRatio(TASKS, alpha=1.0, form=form))
    (plain,) = torch.autograd.grad(sum(quadratics(x).values()), x)
    if form == "pair":
        expected = torch.tensor([-0.0210819, -0.1475730]).double()
        assert_close(x.grad - plain, expected, rtol=0, atol=1e-7)


class Net(nn.Module):
    def __init__(self, tasks, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.encoder = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh())
        self.heads = nn.ModuleDict({task: nn.Linear(4, 1) for task in tasks})
        self.double()

    def losses(self):
        inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(2)).double()
        states = self.encoder(inputs)
        return {
            task: (head(states).squeeze(1) - inputs[:, k % 3] * (k + 1)).square().mean()
            for k, (task, head) in enumerate(self.heads.items())
        }


def total(net, balancer):
    """Naive reference: the value whose gradient `backward` should leave."""
    losses = net.losses()
    chosen = list(net.encoder.parameters())
    chosen = chosen[-2:] if balancer.layer == "last" else chosen
    norms = [
        torch.cat(
            [g.flatten() for g in torch.autograd.grad(loss, chosen, retain_graph=True)]
        ).norm()
        for loss in losses.values()
    ]
    values = [balancer.weight(task) * loss for task, loss in losses.items()]
    if balancer.form == "pair":
        return sum(values) + balancer.alpha * (norms[0] / norms[1] - 1).abs()
    mean = sum(norms) / len(norms)
    return sum(values) + balancer.alpha * sum((norm / mean - 1).abs() for norm in norms)


@pytest.mark.parametrize("layer", ["last", "all"])
@pytest.mark.parametrize(("form", "tasks"), [("pair", "ab"), ("general", "ab"), ("general", "abc")])
def test_the_gradient_is_that_of_finite_differences(form, tasks, layer):
    net = Net(tasks)
    balancer = GradientRatio(list(tasks), alpha=0.7, form=form, layer=layer)
    balancer.set_weight("a", 3.0)
    result = backward(net.losses(), balancer)
    assert {task: weight.item() for task, weight in result.weights.items()}["a"] == 3
    for parameter in net.parameters():
        numbers = parameter.data.view(-1)
        for index in range(len(numbers)):
            kept, ends = numbers[index].item(), []
            for end in (kept + 1e-5, kept - 1e-5):
                numbers[index] = end
                ends.append(total(net, balancer).item())
            numbers[index] = kept
            slope = (ends[0] - ends[1]) / 2e-5
            assert parameter.grad.view(-1)[index].item() == pytest.approx(slope, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_all_losses_scaled_together_have_the_same_penalty(form):
    extras = []
    for factor in (1.0, 1000.0):
        net = Net("ab")
        losses = {task: factor * loss for task, loss in net.losses().items()}
        backward(losses, GradientRatio(TASKS, form=form))
        plain = torch.autograd.grad(factor * sum(net.losses().values()), list(net.parameters()))
        extras.append([p.grad - g for p, g in zip(net.parameters(), plain, strict=True)])
    assert_close(extras[1], extras[0], rtol=1e-6, atol=1e-9)


def test_training_with_it_evens_out_the_gradients():
    ratios = []
    for alpha in (0.0, 5.0):
        net, balancer = Net("ab"), GradientRatio(TASKS, alpha=alpha)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(60):
            optimizer.zero_grad()
            backward(net.losses(), balancer)
            optimizer.step()
        last = list(net.encoder.parameters())[-2:]
        norms = [
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, last)]).norm()
            for loss in (net.losses()[task] for task in TASKS)
        ]
        ratios.append(abs(norms[0] / norms[1] - 1).item())
    assert ratios[1] < 0.3 * ratios[0]


def test_a_loss_scaler_scales_losses_and_penalty_once():
    net = Net("ab")
    backward(net.losses(), GradientRatio(TASKS))
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    scaler.scale(torch.ones(()))
    backward(net.losses(), GradientRatio(TASKS), scaler=scaler)
    assert_close([p.grad / 2**12 for p in net.parameters()], expected)


def test_a_task_alone_and_gradients_of_zero_have_no_penalty():
    balancer = GradientRatio(TASKS)
    assert balancer.penalty(torch.tensor([3.0]), torch.tensor([1])) == 0
    assert balancer.penalty(torch.zeros(2), torch.arange(2)) == 0
    x = torch.tensor([1.0], requires_grad=True)
    backward({"a": (x**2).sum(), "b": (0 * x).sum()}, balancer)
    assert x.grad.isfinite().all()


def test_a_regulariser_is_added_and_gradients_accumulate():
    net = Net("ab")
    backward(net.losses(), GradientRatio(TASKS))
    expected = [2 * p.grad for p in net.parameters()]
    net.zero_grad()
    for _ in range(2):
        backward(net.losses(), GradientRatio(TASKS), penalty=sum(p.sum() for p in net.parameters()))
    assert_close([p.grad - 2 for p in net.parameters()], expected)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * x.exp()


def fused_attention(x):
    heads = x[None, None]
    return nn.functional.scaled_dot_product_attention(heads, heads, heads)[0, 0]


@pytest.mark.parametrize("operation", [Once.apply, fused_attention])
def test_a_model_that_cannot_be_differentiated_twice_is_refused_and_nothing_is_written(operation):
    shared = nn.Linear(16, 16)
    states = operation(shared(torch.ones(4, 16)))
    losses = {"a": states.square().sum(), "b": (states**3).sum()}
    with pytest.raises(InputError, match="cannot be differentiated twice"):
        backward(losses, GradientRatio(TASKS))
    assert shared.weight.grad is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GradientRatio(("a", "b", "c"), form="pair"), "for 2 tasks, but there are 3"),
        (
            lambda: backward(Net("ab").losses(), GradientRatio(TASKS), solve=False),
            "do not add up over micro-batches",
        ),
        (
            lambda: combine(torch.eye(2), GradientRatio(TASKS), torch.ones(2)),
            "use motet.backward",
        ),
    ],
)
def test_wrong_use_is_a_clear_error(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_loop_without_the_penalty_is_warned_once():
    balancer = GradientRatio(TASKS)
    with pytest.warns(UserWarning, match="it only minimises the sum of the losses") as caught:
        [balancer(torch.ones(2)) for _ in range(300)]
    assert len(caught) == 1
