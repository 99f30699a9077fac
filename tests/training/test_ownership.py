"""What a balancer counts as shared is what the graph of a step shows, however a model is built."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from motet import balancing
from motet.balancing.engine import leaves
from motet.balancing.engine.graph import walk, whole_graph
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression
from motet.training import Trainer
from tests.balancing.graphs import naive

WIDTH = 4
BALANCERS = ["mgda", "pcgrad", "upgrad", "cagrad", "graddrop"]


class Head(nn.Module):
    """A head that may use a layer of others: registered, or only remembered."""

    def __init__(self, layer=None, reads=None, registered=True):
        super().__init__()
        self.own = nn.Linear(WIDTH, 1, dtype=torch.float64)
        others = [each for each in (layer, reads) if each is not None]
        self.others = nn.ModuleList(others) if registered else None
        self._uses = [layer, reads]

    def forward(self, z):
        layer, reads = self._uses
        if layer is not None:
            z = torch.tanh(layer(z))
        out = self.own(z)
        return out if reads is None else out + torch.tanh(reads(z))


class Wrapped(nn.Module):
    def __init__(self, encoder, heads):
        super().__init__()
        self.encoder, self.heads = encoder, nn.ModuleDict(heads)

    def forward(self, x):
        z = self.encoder(x)
        return {task: head(z)[:, 0] for task, head in self.heads.items()}


def linear():
    return nn.Linear(WIDTH, WIDTH, dtype=torch.float64)


@st.composite
def models(draw):
    """A model with ties at random, made of parts or wrapped."""
    torch.manual_seed(draw(st.integers(0, 99)))
    layers = [linear() for _ in range(draw(st.integers(1, 3)))]
    encoder = nn.Sequential(*(part for layer in layers for part in (layer, nn.Tanh())))
    names = "abc"[: draw(st.integers(2, 3))]
    heads = {}
    for name in names:
        layer = draw(st.sampled_from([None, *layers]))
        reads = draw(st.sampled_from([None, *heads.values()]))
        heads[name] = Head(layer, reads, draw(st.booleans()))
    if draw(st.booleans()):  # tied weights, not modules
        heads["b"].own.weight = heads["a"].own.weight
    tasks = [Regression(name) for name in names]
    if draw(st.booleans()):
        model = MultiTaskModel.wrap(Wrapped(encoder, heads), tasks)
    else:
        tasks = [Regression(name, head=head) for name, head in heads.items()]
        model = MultiTaskModel(encoder, tasks)
    frozen = draw(st.sampled_from([None, layers[0], heads["a"].own]))
    if frozen is not None:
        frozen.requires_grad_(False)
    return model


def batch(tasks, absent=()):
    torch.manual_seed(5)
    x = torch.randn(6, WIDTH, dtype=torch.float64)
    targets = {task: torch.randn(6, dtype=torch.float64) for task in tasks}
    for task in absent:
        targets[task][:] = torch.nan
    return {"inputs": x, "targets": targets}


def shared_by_graph(model, inputs):
    """The parameters that the outputs of two tasks depend on."""
    leaves = [p for p in model.parameters() if p.requires_grad]
    count = dict.fromkeys(map(id, leaves), 0)
    for raw in model(inputs).values():
        found = [None] * len(leaves)
        if raw.requires_grad:
            found = torch.autograd.grad(raw.sum(), leaves, retain_graph=True, allow_unused=True)
        for leaf, each in zip(leaves, found, strict=True):
            count[id(leaf)] += each is not None
    return [leaf for leaf in leaves if count[id(leaf)] > 1] or None


@settings(max_examples=60)
@given(
    model=models(),
    balancer=st.sampled_from(BALANCERS),
    absent=st.sampled_from([(), ("a",), ("b",)]),
    parts=st.sampled_from([1, 2]),
)
@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
def test_a_step_leaves_the_gradient_of_a_naive_computation(model, balancer, absent, parts):
    rows = batch(model.tasks.names, absent)
    trainer = Trainer(model, balancer, optimizer="sgd", learning_rate=1e-6, accumulate=parts)
    losses = model.losses(model(rows["inputs"]), rows["targets"])
    losses = {task: loss for task, loss in losses.items() if loss.requires_grad}
    made, leaves = trainer.balancer, list(model.parameters())
    expected = naive(losses, leaves, made, shared=shared_by_graph(model, rows["inputs"]))
    trainer.train_step(rows)
    for (name, leaf), gradient in zip(model.named_parameters(), expected, strict=True):
        zero = torch.zeros_like(leaf)
        pair = (zero if each is None else each for each in (leaf.grad, gradient))
        assert_close(*pair, msg=name)


def tied_to_encoder():
    """A head whose matrix is that of the encoder, as of a language model."""
    encoder, heads = nn.Sequential(linear(), nn.Tanh()), {"a": Head(linear()), "b": Head(linear())}
    heads["a"]._uses[0].weight = encoder[0].weight
    return encoder, heads


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_weight_that_encoder_and_head_have_in_common_is_shared(wrapped):
    encoder, heads = tied_to_encoder()
    if wrapped:
        tasks = [Regression("a", learning_rate=0.5), Regression("b")]
        model = MultiTaskModel.wrap(Wrapped(encoder, heads), tasks, heads=heads)
    else:
        tasks = [Regression("a", head=heads["a"], learning_rate=0.5)]
        model = MultiTaskModel(encoder, [*tasks, Regression("b", head=heads["b"])])
    tied = encoder[0].weight
    assert any(each is tied for each in model.shared_parameters())
    assert not any(each is tied for each in model.task_parameters("a"))
    trainer = Trainer(model, learning_rate=0.1, lr_schedule="constant")
    rate = {id(p): g["lr"] for g in trainer.optimizer.param_groups for p in g["params"]}
    assert rate[id(tied)] == 0.1
    assert rate[id(heads["a"].own.weight)] == 0.5
    model.freeze("encoder")
    assert not tied.requires_grad
    assert heads["a"].own.weight.requires_grad


def test_heads_of_a_wrapped_module_are_found_in_the_first_step():
    """Under mgda, a head counted as shared can get weight 0 and never learn."""
    module = Wrapped(nn.Sequential(linear(), nn.Tanh()), {"a": Head(), "b": Head()})
    model = MultiTaskModel.wrap(module, [Regression("a"), Regression("b")])
    rows = batch("ab")
    rows["targets"]["b"] *= 1e3
    Trainer(model, "mgda", optimizer="sgd").train_step(rows)
    assert {id(p) for p in model.shared_parameters()} == set(map(id, module.encoder.parameters()))
    for task, head in module.heads.items():
        assert [id(p) for p in model.task_parameters(task)] == list(map(id, head.parameters()))
        assert head.own.weight.grad.abs().min() > 0


@pytest.mark.parametrize("named", [True, False])
def test_the_direction_of_a_single_enabled_task_is_clipped(named):
    heads = {"a": Head(), "b": Head()}
    module = Wrapped(nn.Sequential(linear(), nn.Tanh()), heads)
    tasks = [Regression("a"), Regression("b", enabled=False)]
    model = MultiTaskModel.wrap(module, tasks, heads=heads if named else None)
    trainer = Trainer(model, {"type": "nash", "max_norm": 1e-3}, optimizer="sgd")
    encoder = set(map(id, module.encoder.parameters()))

    def norm():
        trainer.train_step(batch("ab"))
        assert encoder <= {id(p) for p in model.shared_parameters()}
        return torch.cat([p.grad.flatten() for p in module.encoder.parameters()]).norm()

    assert 0 < norm() <= 1e-3 * (1 + 1e-6)
    model.enable_task("b")
    assert 0 < norm() <= 1e-3 * (1 + 1e-6)
    assert encoder == {id(p) for p in model.shared_parameters()}


class Skipping(nn.Module):
    """Outputs that depend on a common layer only from the third pass on."""

    def __init__(self):
        super().__init__()
        self.passes, self.extra = 0, linear()
        self.heads = nn.ModuleDict({task: nn.Linear(WIDTH, 1).double() for task in "ab"})

    def forward(self, x):
        self.passes += self.training
        z = x if self.passes < 3 else torch.tanh(self.extra(x))
        return {task: head(z)[:, 0] for task, head in self.heads.items()}


def test_what_graphs_show_later_is_added_and_survives_a_restart():
    model = MultiTaskModel.wrap(Skipping(), [Regression("a"), Regression("b")])
    trainer = Trainer(model, "upgrad", optimizer="sgd")
    for _ in range(5):
        trainer.train_step(batch("ab"))
    extra = set(map(id, model.sharing.module.extra.parameters()))
    assert extra == {id(p) for p in model.shared_parameters()}
    again = MultiTaskModel.wrap(Skipping(), [Regression("a"), Regression("b")])
    Trainer(again, "upgrad", optimizer="sgd").load_state(*trainer.state())
    assert again.ownership.seen == model.ownership.seen


def test_what_a_wrapped_module_shares_is_asked_for_where_no_step_has_shown_it():
    module = Wrapped(nn.Sequential(linear(), nn.Tanh()), {"a": Head(), "b": Head()})
    model = MultiTaskModel.wrap(module, [Regression("a"), Regression("b")])
    with pytest.raises(InputError, match=r"heads=\{task: module.part\}"):
        model.freeze("encoder")
    with pytest.raises(InputError, match=r"heads=\{task: module.part\}"):
        Trainer(model, shared_learning_rate=0.1)
    assert not model.frozen
    named = MultiTaskModel.wrap(module, list(model.tasks), heads=dict(module.heads))
    named.freeze("encoder")
    assert len(named.frozen) == 2


@pytest.mark.parametrize("reads", ["head", "layer"])
@pytest.mark.parametrize("registered", [True, False])
def test_a_head_may_use_another_ones_parts(reads, registered):
    """Its gradient reaches them: the plain sum is what `equal` gives."""
    gradients = []
    for balancer in ("equal", "nash"):
        torch.manual_seed(0)
        encoder, first = nn.Sequential(linear(), nn.Tanh()), Head(linear())
        used = {"layer": first._uses[0]} if reads == "layer" else {"reads": first}
        second = Head(**used, registered=registered)
        tasks = [Regression("a", head=first), Regression("b", head=second)]
        model = MultiTaskModel(encoder, tasks)
        Trainer(model, balancer, optimizer="sgd").train_step(batch("ab"))
        gradients.append(first._uses[0].weight.grad)
    assert torch.linalg.matrix_rank(torch.stack([g.flatten() for g in gradients])) == 2
    shared = set(map(id, model.shared_parameters()))
    assert set(map(id, first._uses[0].parameters())) <= shared
    assert set(map(id, second.own.parameters())).isdisjoint(shared)


def test_one_head_can_serve_two_tasks():
    head = nn.Linear(WIDTH, 1, dtype=torch.float64)
    model = MultiTaskModel(nn.Sequential(linear()), [Regression(t, head=head) for t in "ab"])
    assert len(model.shared_parameters()) == 4
    rows = batch("ab")
    made = Trainer(model, "mgda", optimizer="sgd", learning_rate=1e-6)
    losses = model.losses(model(rows["inputs"]), rows["targets"])
    expected = naive(losses, list(model.parameters()), balancing.create("mgda", ["a", "b"]))
    made.train_step(rows)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert_close(parameter.grad, gradient)


def test_a_batch_of_tasks_that_reach_nothing_shared_trains_their_own_parts():
    encoder, alone = nn.Sequential(linear(), nn.Tanh()), Head()
    heads = {"a": Head(), "b": Head(), "c": Detached(alone)}
    tasks = [Regression(task, head=head) for task, head in heads.items()]
    model = MultiTaskModel(encoder, tasks)
    before = deepcopy(alone.own.weight)
    Trainer(model, "upgrad", optimizer="sgd").train_step(batch("abc", absent="ab"))
    assert not torch.equal(alone.own.weight, before)


class Detached(nn.Module):
    """A head that passes no gradient back."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, z):
        return self.head(z.detach())


class Branches(nn.Module):
    """Heads behind layers of their own; those of the last two tasks are one."""

    def __init__(self, tasks):
        super().__init__()
        self.common = linear()
        layers = {task: linear() for task in tasks[:-1]}
        self.layers = nn.ModuleDict(layers | {tasks[-1]: layers[tasks[-2]]})
        self.heads = nn.ModuleDict({task: nn.Linear(WIDTH, 1).double() for task in tasks})

    def forward(self, x):
        z = torch.tanh(self.common(x))
        return {task: head(self.layers[task](z))[:, 0] for task, head in self.heads.items()}


def branches():
    torch.manual_seed(0)
    return MultiTaskModel.wrap(Branches("abc"), [Regression(task) for task in "abc"])


def test_a_part_is_looked_at_when_it_trains_in_the_place_of_another_one():
    model, rows = branches(), batch("abc")
    module = model.sharing.module
    trainer = Trainer(model, "mgda", optimizer="sgd")
    module.layers["a"].requires_grad_(False)
    for _ in range(5):  # the sixth step of a kind looks at no graph
        trainer.train_step(rows)
    module.layers["a"].requires_grad_(True)
    module.layers["b"].requires_grad_(False)
    loss = model.losses(model(rows["inputs"]), rows["targets"])["a"]
    expected = torch.autograd.grad(loss, module.layers["a"].weight)[0]
    trainer.train_step(rows)
    assert_close(module.layers["a"].weight.grad, expected)


@pytest.mark.parametrize("balancer", ["moco", "db_mtl", "excess"])
def test_what_is_remembered_of_shared_parameters_follows_when_others_turn_out_to_be_shared(
    balancer,
):
    """Task c shows that its layer is shared, and that its head is not."""
    model, rows = branches(), batch("abc")
    trainer = Trainer(model, balancer, optimizer="sgd")
    model.disable_task("c")
    trainer.train_step(rows)
    model.enable_task("c")
    (name,) = trainer.balancer.column_state
    common = sum(p.numel() for p in model.sharing.module.common.parameters())
    state = dict(trainer.balancer.named_buffers())[name]
    trainer.train_step(rows)
    now = dict(trainer.balancer.named_buffers())[name]
    assert state.shape == (3, common + WIDTH + 1)  # the head of c, which nothing has shown
    assert now.shape == (3, common + WIDTH * (WIDTH + 1))
    losses = model.losses(model(rows["inputs"]), rows["targets"])
    head = model.sharing.module.heads["c"].weight
    expected = torch.autograd.grad(losses["c"], head)[0]
    trainer.train_step(rows)
    assert_close(head.grad, expected)
    again = Trainer(branches(), balancer, optimizer="sgd")
    again.load_state(trainer.state())
    for each in (trainer, again):
        each.train_step(rows)
    for parameter, other in zip(model.parameters(), again.model.parameters(), strict=True):
        assert_close(parameter, other, rtol=0, atol=0)


def test_columns_move_with_their_parameters():
    balancer = balancing.create("excess", ["a", "b"])
    first, second, third = (torch.zeros(size) for size in (1, 2, 3))
    balancer(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    balancer.move_columns([first, second], [second, third])
    expected = [[4.0, 9.0, 0.0, 0.0, 0.0], [25.0, 36.0, 0.0, 0.0, 0.0]]
    assert_close(balancer.squares, torch.tensor(expected))


@pytest.mark.parametrize("balancer", ["pcgrad", "graddrop"])
def test_a_step_walks_the_graph_at_most_once_to_find_parameters(balancer, monkeypatch):
    walks = []
    monkeypatch.setattr(leaves, "walk", lambda *given: walks.append("look") or walk(*given))
    monkeypatch.setattr(
        leaves, "whole_graph", lambda *given: walks.append("again") or whole_graph(*given)
    )
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    trainer = Trainer(MultiTaskModel(encoder, [Regression("a"), Regression("b")]), balancer)
    rows = {"inputs": torch.randn(6, 4), "targets": {"a": torch.randn(6), "b": torch.randn(6)}}
    counts = []
    for _ in range(6):
        trainer.train_step(rows)
        counts.append(len(walks))
    assert set(walks) == {"look"}
    assert counts == [1, 2, 3, 3, 4, 4]
