"""Task gradients of micro-batches added up and solved once, as if there were one big batch."""

import pytest
import torch
from graphs import Agreed, Shorter, Worst, assert_gradients, data, linear
from torch import nn

from motet.balancing import Uncertainty, backward
from motet.balancing.pcgrad import PCGrad
from motet.problems import InputError

TASKS = ("a", "b", "c")
KINDS = (Shorter, PCGrad, Agreed, Worst, Uncertainty)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.heads = linear(3, 4), nn.ModuleList(linear(4, 1) for _ in TASKS)

    def losses(self, rows, tasks=TASKS):
        """Sums over rows, which add up over micro-batches."""
        z = self.encoder(data(6, 3)[rows]).tanh()
        heads = zip(TASKS, self.heads, strict=True)
        return {task: (head(z) - 1).pow(2).sum() for task, head in heads if task in tasks}


def in_two(kind, first, second, **options):
    net, balancer = Net(), kind(TASKS)
    options = {"shared": net.encoder} | options
    waiting = backward(net.losses(*first), balancer, solve=False, **options)
    assert waiting.weights is None
    result = backward(net.losses(*second), balancer, previous=waiting, **options)
    return net, balancer, result


@pytest.mark.parametrize("kind", KINDS)
def test_two_micro_batches_are_the_big_batch(kind):
    net, balancer, result = in_two(kind, (slice(0, 2),), (slice(2, 6),))
    whole, own = Net(), kind(TASKS)
    expected = backward(whole.losses(slice(0, 6)), own)
    assert_gradients(list(net.parameters()), [leaf.grad for leaf in whole.parameters()])
    assert list(result.losses) == list(expected.losses)
    torch.testing.assert_close(list(result.losses.values()), list(expected.losses.values()))
    if expected.weights is not None:
        torch.testing.assert_close(
            list(result.weights.values()), list(expected.weights.values()), check_dtype=False
        )
    for key, value in own.state_dict().items():
        assert torch.equal(balancer.state_dict()[key], value)
    for mine, other in zip(balancer.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, check_dtype=False)


@pytest.mark.parametrize("heads", ["plain", "weighted"])
@pytest.mark.parametrize("first", ["ab", "a", "c"])
@pytest.mark.parametrize("second", ["bc", "abc"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_task_may_be_absent_from_one_micro_batch(kind, first, second, heads):
    if kind in (Agreed, Worst, Uncertainty) and heads == "weighted":
        pytest.skip("refused")
    net, _, result = in_two(kind, (slice(0, 2), first), (slice(2, 6), second), heads=heads)
    whole = Net()
    here = [task for task in TASKS if task in first + second]
    parts = [whole.losses(slice(0, 2), first), whole.losses(slice(2, 6), second)]
    losses = {task: sum(part[task] for part in parts if task in part) for task in here}
    backward(losses, kind(TASKS), shared=whole.encoder, heads=heads)
    assert_gradients(list(net.parameters()), [leaf.grad for leaf in whole.parameters()])
    assert sorted(result.losses) == here


def test_more_than_two_add_up_and_what_waits_is_not_changed():
    net, balancer = Net(), Shorter(TASKS)
    first = backward(net.losses(slice(0, 2)), balancer, solve=False)
    before = first.rows.jacobian.clone()
    second = backward(net.losses(slice(2, 4)), balancer, solve=False, previous=first)
    backward(net.losses(slice(4, 6)), balancer, previous=second)
    assert torch.equal(first.rows.jacobian, before)
    whole = Net()
    backward(whole.losses(slice(0, 6)), Shorter(TASKS))
    assert_gradients(list(net.parameters()), [leaf.grad for leaf in whole.parameters()])


def test_balancing_each_micro_batch_would_be_another_method():
    net = Net()
    for rows in (slice(0, 2), slice(2, 6)):
        backward(net.losses(rows), Shorter(TASKS))
    whole = Net()
    backward(whole.losses(slice(0, 6)), Shorter(TASKS))
    assert not torch.allclose(net.encoder.weight.grad, whole.encoder.weight.grad)


def test_a_loss_scale_is_taken_out_of_every_micro_batch():
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    scaler.scale(torch.ones(()))
    for heads in ("plain", "weighted"):
        halves = ((slice(0, 2),), (slice(2, 6),))
        net, _, _ = in_two(Shorter, *halves, scaler=scaler, heads=heads)
        plain, _, _ = in_two(Shorter, *halves, heads=heads)
        expected = [256 * leaf.grad for leaf in plain.parameters()]
        assert_gradients(list(net.parameters()), expected)


def test_previous_must_hold_gradients_of_the_same_parameters():
    net, balancer = Net(), Shorter(TASKS)
    alone = backward(net.losses(slice(0, 2), "a"), balancer, solve=False)
    with pytest.raises(InputError, match="disagree on what is shared"):
        backward(net.losses(slice(2, 4)), balancer, previous=alone)
    solved = backward(net.losses(slice(0, 2)), balancer)
    with pytest.raises(InputError, match="make it with solve=False"):
        backward(net.losses(slice(2, 4)), balancer, previous=solved)
