"""What cannot be balanced is refused before a gradient is written, with what to type instead."""

import re

import pytest
import torch
from graphs import Agreed, Shorter, Worst, assert_gradients, data, linear
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from motet.balancing import Equal, GradNorm, LossBalancer, available, backward, combine, create
from motet.balancing.gradient_ratio import GradientRatio
from motet.balancing.pcgrad import PCGrad
from motet.problems import InputError
from motet.registry import BALANCERS

TASKS = ("a", "b")
OF_LOSSES = [name for name in available() if issubclass(BALANCERS[name], LossBalancer)]
OF_GRADIENTS = [name for name in available() if name not in OF_LOSSES]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(linear(3, 4), nn.Tanh())
        self.heads = nn.ModuleDict({task: linear(4, 1) for task in TASKS})

    def losses(self, encoder=None):
        z = (encoder or self.encoder)(data(5, 3))
        return {task: (head(z) - 1).pow(2).mean() for task, head in self.heads.items()}

    @property
    def gradients(self):
        return [leaf.grad for leaf in self.parameters()]


def refused(net, message, balancer=PCGrad, losses=None, **options):
    """Check that a call is refused and writes nothing."""
    balancer = balancer(TASKS) if isinstance(balancer, type) else balancer
    with pytest.raises(InputError, match=message):
        backward(losses or net.losses(), balancer, **options)
    assert net.gradients == [None] * len(net.gradients)


# Iterators ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PCGrad, Agreed, GradNorm, GradientRatio])
def test_a_generator_of_shared_parameters_that_was_read_before_is_named(kind):
    net = Net()
    shared = net.encoder.parameters()
    backward(net.losses(), kind(TASKS), shared)
    net.zero_grad()
    refused(net, r"`shared` is an exhausted iterator.*list\(module", kind, shared=shared)


def test_a_generator_of_a_tasks_parameters_that_was_read_before_is_named():
    """Its head would get no gradient at steps that do not compare the lists with the graph."""
    net = Net()
    own = {task: head.parameters() for task, head in net.heads.items()}
    backward(net.losses(), balancer := PCGrad(TASKS), net.encoder, task_parameters=own)
    net.zero_grad()
    message = "`task_parameters` of 'a' is an exhausted iterator"
    refused(net, message, balancer, shared=net.encoder, task_parameters=own)


def test_a_representation_that_was_read_before_is_named():
    message = "`representation` holds no tensor"
    refused(Net(), message, at="representation", representation=iter(()))


def test_an_empty_list_says_that_a_task_has_no_parameters_of_its_own():
    net = Net()
    z = net.encoder(data(5, 3))
    losses = {"a": z.pow(2).mean(), "b": net.heads["b"](z).mean()}
    own = {"a": [], "b": list(net.heads["b"].parameters())}
    assert backward(losses, PCGrad(TASKS), net.encoder, task_parameters=own).status == "ok"


def test_modules_say_what_belongs_to_tasks_as_lists_do():
    one, other = Net(), Net()
    backward(one.losses(), PCGrad(TASKS), one.encoder)
    own = dict(other.heads.items())
    backward(other.losses(), PCGrad(TASKS), other.encoder, task_parameters=own)
    assert_gradients(list(other.parameters()), one.gradients)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ([1], r"task_parameters is .*, expected \{task: its parameters\}"),
        ({"c": []}, "task_parameters names 'c'; known: a, b"),
        ({"a": ["weight"]}, "`task_parameters` of 'a' holds 'weight', expected parameters"),
    ],
)
def test_parameters_of_no_task_are_refused(own, message):
    net = Net()
    refused(net, message, shared=net.encoder, task_parameters=own)


@pytest.mark.parametrize("make", [Equal, lambda tasks: create("equal", tasks)])
def test_the_name_of_one_task_is_not_read_letter_by_letter(make):
    with pytest.raises(
        InputError, match=r"tasks: found 'ner', expected (a list of|one or more) names"
    ):
        make("ner")


def test_a_generator_of_task_names_is_refused():
    with pytest.raises(InputError, match="expected a list of names"):
        Equal(task for task in TASKS)


# Reentrant checkpoints ---------------------------------------------------------------------------


def recomputed(net):
    return net.losses(lambda x: checkpoint(net.encoder, x.requires_grad_(), use_reentrant=True))


@pytest.mark.parametrize("kind", [PCGrad, Agreed, GradNorm, GradientRatio])
@pytest.mark.parametrize("known", ["nothing", "shared", "all"])
def test_a_reentrant_checkpoint_is_named_with_its_remedy(kind, known):
    net = Net()
    losses = recomputed(net)
    options = {} if known == "nothing" else {"shared": net.encoder}
    if known == "all" and kind in (PCGrad, Agreed):
        options["task_parameters"] = dict(net.heads.items())
    refused(net, "reentrant checkpoint hides.*use_reentrant=False", kind, losses, **options)


@pytest.mark.parametrize("options", [{"at": "representation"}, {"memory": "low"}])
def test_every_way_names_a_reentrant_checkpoint(options):
    net = Net()
    refused(net, "reentrant checkpoint hides", losses=recomputed(net), **options)


def test_where_some_shared_parameters_are_seen_a_reentrant_checkpoint_is_still_named():
    """Those in it would get no gradient, and nobody would know."""
    net, last = Net(), linear(4, 4)
    losses = net.losses(
        lambda x: last(checkpoint(net.encoder, x.requires_grad_(), use_reentrant=True))
    )
    refused(
        net, "reentrant checkpoint hides", losses=losses, shared=nn.ModuleList([net.encoder, last])
    )


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")
def test_a_reentrant_checkpoint_without_a_graph_is_thought_of():
    net = Net()
    losses = net.losses(lambda x: checkpoint(net.encoder, x, use_reentrant=True))
    refused(net, "a checkpoint needs use_reentrant=False", losses=losses, shared=net.encoder)


@pytest.mark.parametrize("kind", [Equal, Worst])
def test_balancers_of_losses_train_through_a_reentrant_checkpoint(kind):
    one, other = Net(), Net()
    backward(one.losses(), kind(TASKS))
    backward(recomputed(other), kind(TASKS))
    assert_gradients(list(other.parameters()), one.gradients)


# Complex parameters ------------------------------------------------------------------------------


class Complex(nn.Module):
    """A shared and a task's own complex parameter, or the same as real ones with a last axis."""

    def __init__(self, real):
        super().__init__()
        torch.manual_seed(0)
        shared, own = torch.randn(4, 3, 2).double(), torch.randn(3, 2).double()
        if not real:
            shared, own = torch.view_as_complex(shared), torch.view_as_complex(own)
        self.real, self.shared, self.own = real, nn.Parameter(shared), nn.Parameter(own)
        self.heads = nn.ModuleList(linear(4, 1) for _ in TASKS)

    def losses(self):
        read = torch.view_as_complex if self.real else lambda each: each
        z = (data(5, 3).to(torch.complex128) @ read(self.shared).T).abs()
        a, b = (head(z) for head in self.heads)
        return {"a": a.pow(2).mean() + read(self.own).abs().sum(), "b": (b - 1).pow(2).mean()}


def real_gradients(module):
    return [torch.view_as_real(p.grad) if p.is_complex() else p.grad for p in module.parameters()]


def made(name):
    return create(name, TASKS, **({"weights": {"a": 1.0, "b": 2.0}} if name == "manual" else {}))


@pytest.mark.parametrize("name", [name for name in OF_LOSSES if name != "meta"])
def test_balancers_of_losses_train_complex_parameters_as_torch_does(name):
    found = []
    for real in (True, False):
        net = Complex(real)
        backward(net.losses(), made(name))
        found.append(real_gradients(net))
    assert_close(found[1], found[0])


@pytest.mark.parametrize("name", OF_GRADIENTS)
def test_balancers_of_gradients_refuse_complex_shared_parameters(name):
    net = Complex(real=False)
    with pytest.raises(
        InputError, match=r"shared parameter has complex numbers \(shape \(4, 3\)\)"
    ):
        backward(net.losses(), made(name), [net.shared])
    assert all(leaf.grad is None for leaf in net.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"memory": "low"},
        {"heads": "weighted"},
        {"gramian": "layers"},
        {"solve": False},
    ],
    ids=str,
)
def test_every_way_refuses_complex_shared_parameters(options):
    net = Complex(real=False)
    with pytest.raises(InputError, match="real gradients; keep real parameters"):
        backward(net.losses(), PCGrad(TASKS), **options)
    assert all(leaf.grad is None for leaf in net.parameters())


def test_kept_weights_refuse_complex_shared_parameters():
    net, balancer = Complex(real=True), PCGrad(TASKS, every=2)
    backward(net.losses(), balancer)
    with pytest.raises(InputError, match="complex numbers"):
        backward(Complex(real=False).losses(), balancer)


def test_a_complex_representation_is_refused_and_a_real_one_is_not():
    one, other = Complex(real=True), Complex(real=False)
    for net in (one, other):
        backward(net.losses(), PCGrad(TASKS), at="representation")
    assert_close(real_gradients(other), real_gradients(one))
    z = data(5, 3).to(torch.complex128) @ other.shared.T
    losses = {"a": z.abs().mean(), "b": z.real.pow(2).mean()}
    with pytest.raises(InputError, match="the representation has complex numbers"):
        backward(losses, PCGrad(TASKS), at="representation", representation=z)


def test_a_tasks_own_parameters_may_be_complex():
    one, other = Complex(real=True), Complex(real=False)
    for options in ({}, {"heads": "weighted"}, {"memory": "low"}):
        for net in (one, other):
            net.zero_grad()
            z = net.losses()
            shared = net.heads[0].weight
            losses = {"a": z["a"], "b": z["b"] + shared.pow(2).sum()}
            backward(losses, Shorter(TASKS), [shared], **options)
        assert_close(real_gradients(other), real_gradients(one))


def test_complex_losses_and_matrices_are_refused():
    z = torch.ones(2, dtype=torch.complex64, requires_grad=True)
    with pytest.raises(InputError, match="the loss of 'a' is complex, expected a real number"):
        backward({"a": z.sum()}, Equal(["a"]))
    for name in OF_GRADIENTS:
        with pytest.raises(InputError, match="jacobian has complex numbers"):
            combine(torch.ones(2, 3, dtype=torch.complex64), made(name), torch.ones(2))


@pytest.mark.parametrize(
    ("jacobian", "losses", "message"),
    [
        (
            torch.eye(2).long(),
            None,
            r"jacobian has whole numbers \(torch.int64\); give jacobian.fl",
        ),
        (torch.eye(2), torch.arange(2), "losses has whole numbers"),
        ([[1.0, 0.0], [0.0, 1.0]], None, r"jacobian is a list, expected a tensor: torch.as_tensor"),
    ],
)
def test_a_matrix_that_is_no_tensor_of_floats_is_refused(jacobian, losses, message):
    with pytest.raises(InputError, match=message):
        combine(jacobian, PCGrad(TASKS), losses)


# Penalties and results of micro-batches before ---------------------------------------------------


@pytest.mark.parametrize("kind", [Equal, GradNorm, GradientRatio, PCGrad, Agreed])
@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (torch.tensor(1.0), "penalty has no graph"),
        (torch.ones(2, requires_grad=True) * 2, r"penalty is of shape \(2,\), expected a real sc"),
        (torch.ones((), dtype=torch.complex64, requires_grad=True), "penalty is complex"),
        (0.5, r"penalty is 0.5, expected a scalar tensor"),
    ],
)
def test_a_penalty_that_cannot_be_minimised_is_refused_before_gradients_are_written(
    kind, penalty, message
):
    refused(Net(), message, kind, penalty=penalty)


def test_a_result_of_another_balancer_is_refused():
    net = Net()
    before = backward(net.losses(), PCGrad(TASKS), net.encoder, solve=False)
    net.zero_grad()
    options = {"shared": net.encoder, "previous": before}
    message = re.escape("previous= was made for another balancer (PCGrad of a, b), found ")
    refused(net, message + "Shorter of a, b", Shorter, **options)
    refused(net, message + "PCGrad of a, b", PCGrad, **options)
    wider = PCGrad(["a", "b", "c"])
    refused(net, message + "PCGrad of a, b, c", wider, **options)


@pytest.mark.parametrize("kind", [PCGrad, Agreed, Worst])
def test_what_is_no_waiting_result_is_refused_before_gradients_are_written(kind):
    net = Net()
    refused(net, "previous is 3, expected the result of motet.backward", kind, previous=3)
    solved = backward(net.losses(), balancer := kind(TASKS), net.encoder)
    net.zero_grad()
    message = "previous= has no task gradients; make it with solve=False"
    refused(net, message, balancer, shared=net.encoder, previous=solved)


def test_micro_batches_that_disagree_on_what_is_shared_write_nothing():
    net, balancer = Net(), Shorter(["a", "b", "c"])
    z = net.encoder(data(5, 3))
    before = backward({t: head(z).mean() for t, head in net.heads.items()}, balancer, solve=False)
    net.zero_grad()
    losses = net.losses()
    losses = {"a": losses["a"], "b": losses["a"] * losses["b"]}
    refused(net, "give shared=", balancer, losses, previous=before)
