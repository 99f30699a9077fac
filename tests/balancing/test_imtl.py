"""IMTL: losses scaled as in IMTL-L, their gradients balanced as in IMTL-G, on every path."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.balancing import IMTL, IMTLG, IMTLL, backward
from motet.problems import InputError

SCALES = torch.tensor([0.5, -1.0])


def model():
    torch.manual_seed(0)
    encoder, heads = nn.Linear(3, 4).double(), nn.ModuleList(nn.Linear(4, 1) for _ in range(2))
    heads.double()
    x = torch.randn(6, 3).double()

    def losses(rows=slice(None)):
        z = encoder(x[rows]).tanh()
        sums = [(k + 1) * (head(z) - k).square().sum() / 6 for k, head in enumerate(heads)]
        return dict(zip("ab", sums, strict=True))

    return encoder, heads, losses


def with_scales(**options):
    balancer = IMTL(["a", "b"], **options)
    balancer.log_scale.data.copy_(SCALES)
    return balancer


def expected():
    """IMTL-G on losses scaled by hand, whose heads get the scaled losses' gradients."""
    encoder, heads, losses = model()
    scaled = {t: s.exp() * loss for s, (t, loss) in zip(SCALES, losses().items(), strict=True)}
    backward(scaled, IMTLG(["a", "b"]), shared=encoder)
    learner = IMTLL(["a", "b"])
    learner.log_scale.data.copy_(SCALES)
    learner(torch.stack([loss.detach() for loss in losses().values()])).backward()
    return [p.grad for p in (*encoder.parameters(), *heads.parameters())] + [learner.log_scale.grad]


def found(balancer, encoder, heads):
    parameters = (*encoder.parameters(), *heads.parameters(), *balancer.parameters())
    return [parameter.grad for parameter in parameters]


@pytest.mark.parametrize(
    "options", [{}, {"memory": "low"}, {"at": "representation"}, {"task_parameters": True}]
)
def test_it_is_imtl_g_on_the_losses_that_imtl_l_scales(options):
    encoder, heads, losses = model()
    if "task_parameters" in options:
        own = dict(zip("ab", (list(head.parameters()) for head in heads), strict=True))
        options = {"task_parameters": own}
    balancer = with_scales()
    result = backward(losses(), balancer, shared=encoder, **options)
    ours, theirs = found(balancer, encoder, heads), expected()
    if options.get("at") == "representation":  # another direction of the encoder
        ours, theirs = ours[2:], theirs[2:]
    assert_close(ours, theirs, rtol=1e-6, atol=1e-8)
    assert result.losses["b"] == losses()["b"]


def test_weights_are_those_of_the_losses_themselves():
    encoder, _, losses = model()
    result = backward(losses(), with_scales(), shared=encoder)
    rows = [
        torch.autograd.grad(loss, encoder.weight, retain_graph=True)[0]
        for loss in losses().values()
    ]
    combined = sum(w * row for w, row in zip(result.weights.values(), rows, strict=True))
    assert_close(encoder.weight.grad, combined)


def test_micro_batches_are_one_step():
    encoder, heads, losses = model()
    balancer = with_scales()
    first = backward(losses(slice(0, 2)), balancer, shared=encoder, solve=False)
    assert balancer.log_scale.grad is None
    backward(losses(slice(2, 6)), balancer, shared=encoder, previous=first)
    assert_close(found(balancer, encoder, heads), expected(), rtol=1e-6, atol=1e-8)


def test_a_loss_scaler_scales_what_its_step_unscales():
    encoder, heads, losses = model()
    balancer = with_scales()
    backward(losses(), balancer, shared=encoder, scaler=torch.amp.GradScaler("cpu", init_scale=8.0))
    scaled = [8 * gradient for gradient in expected()]
    assert_close(found(balancer, encoder, heads), scaled, rtol=1e-6, atol=1e-8)


def test_scales_are_learned_at_steps_that_keep_their_weights_too():
    encoder, heads, losses = model()
    balancer = with_scales(every=2)
    for _ in range(2):
        for module in (encoder, heads, balancer):
            module.zero_grad()
        path = backward(losses(), balancer, shared=encoder).path
    assert path == "kept weights"
    assert_close(found(balancer, encoder, heads), expected(), rtol=1e-6, atol=1e-8)


def test_it_begins_as_imtl_g():
    gramian = torch.tensor([[2.0, -1.0], [-1.0, 3.0]])
    assert_close(IMTL(["a", "b"])(gramian), IMTLG(["a", "b"])(gramian))


def test_it_settles_where_all_scaled_losses_are_one():
    balancer, losses = IMTL(["a", "b"]), {"a": 4.0, "b": 0.25}
    optimizer = torch.optim.Adam(balancer.parameters(), lr=0.05)
    x = torch.ones(2, requires_grad=True)
    for _ in range(400):
        optimizer.zero_grad()
        backward({t: (x * value).mean() for t, value in losses.items()}, balancer, shared=[x])
        optimizer.step()
    assert_close(balancer.log_scale.detach(), -torch.tensor([4.0, 0.25]).log(), rtol=0, atol=1e-2)


def test_absent_tasks_do_not_move_their_scale():
    encoder, _, losses = model()
    balancer = with_scales()
    backward({"b": losses()["b"]}, balancer, shared=encoder)
    assert balancer.log_scale.grad[0] == 0
    assert balancer.log_scale.grad[1] != 0


def test_a_task_weight_is_refused():
    with pytest.raises(InputError, match="use `conflict_free`"):
        IMTL(["a", "b"]).set_weight("a", 2.0)


def test_a_negative_loss_is_a_clear_error():
    encoder, _, losses = model()
    found = losses()
    with pytest.raises(InputError, match="the loss of b is negative"):
        backward({**found, "b": found["b"] - 100}, IMTL(["a", "b"]), shared=encoder)
