"""Tasks with rows of their own in one batch: one pass, the same gradients, or the usual way."""

import pytest
import torch
from graphs import DTYPE, Agreed, Shorter, assert_gradients, data, linear, naive, squares
from quick_cases import others_slow
from torch import nn

from motet.balancing import backward
from motet.balancing.engine.ways import blocks
from motet.balancing.imtl import IMTL
from motet.balancing.mgda import MGDA
from motet.balancing.pcgrad import PCGrad

TASKS = ("a", "b", "c")
N = 8


class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = linear(4, 6), linear(6, 5, bias=False)
        self.norm, self.shift = nn.LayerNorm(6).to(DTYPE), nn.LayerNorm(5).to(DTYPE)
        self.shift.weight.requires_grad_(False)
        self.last = linear(5, 5)
        self.last.bias.requires_grad_(False)

    def forward(self, x):
        y = nn.functional.gelu(self.norm(self.first(x)))
        y = nn.functional.dropout(y, 0.3)
        return self.last(self.shift(self.second(y)).tanh())


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.frozen = linear(5, 5), linear(4, 5).requires_grad_(False)
        self.first = linear(4, 4)

    def forward(self, x):
        y = self.frozen(self.first(x)).relu()
        return self.layer(self.layer(y).relu()) * 2 + y


ENCODERS = {
    "plain": lambda: nn.Sequential(linear(4, 5), nn.ReLU(), linear(5, 5), nn.Tanh()),
    "norms": Norms,
    "twice": Twice,
}


def slices(z, heads):
    return [
        head(z[start:stop]) for head, start, stop in zip(heads, (0, 2, 3), (2, 3, 7), strict=True)
    ]


def parts(z, heads):
    return [head(part) for head, part in zip(heads, z.split([3, 1, 4]), strict=True)]


def picked(z, heads):
    rows = ([0, 5], [7], [1, 2, 3])
    return [head(z[torch.tensor(mine)]) for head, mine in zip(heads, rows, strict=True)]


def masked(z, heads):
    owner = torch.tensor([0, 1, 2, 2, 1, 0, 2, 0])
    return [head(z)[owner == number] for number, head in enumerate(heads)]


READ = {each.__name__: each for each in (slices, parts, picked, masked)}


def made(encoder="plain", read="slices"):
    torch.manual_seed(2)
    encoder = ENCODERS[encoder]() if isinstance(encoder, str) else encoder()
    heads = nn.ModuleList(linear(5, 2) for _ in TASKS)
    outputs = READ[read](encoder(data(N, 4)), heads)
    losses = {task: out.square().mean() for task, out in zip(TASKS, outputs, strict=True)}
    return losses, [*encoder.parameters(), *heads.parameters()]


@pytest.mark.parametrize("move", [0, 10**9])  # gradients of each task's rows, or products
@pytest.mark.parametrize("heads", ["plain", "weighted"])
@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("kind", others_slow([PCGrad], [Shorter, PCGrad, MGDA]))
def test_one_pass_gives_the_gradients_of_every_task(kind, encoder, read, heads, move, monkeypatch):
    monkeypatch.setattr(blocks, "_MOVE", move)
    losses, leaves = made(encoder, read)
    expected = naive(losses, leaves, kind(TASKS), weighted=heads == "weighted")
    result = backward(losses, kind(TASKS), heads=heads)
    assert result.path == "blocks"
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-10)
    plain = backward(made(encoder, read)[0], kind(TASKS), gramian="rows")
    assert plain.path == "rows"
    torch.testing.assert_close(result.gramian, plain.gramian)
    assert result.components == plain.components


EIGHT = tuple("abcdefgh")
SOURCES = {
    "two tasks on each of four sources": [[0, 1], [2, 3], [4, 5], [6, 7]],
    "sources of one to four tasks": [[0, 1, 2, 3], [4], [5, 6], [7]],
    "tasks in any order": [[0, 4], [1, 5], [2, 6], [3, 7]],
}


def several_per_source(sources, encoder="plain", count=16):
    torch.manual_seed(2)
    encoder, heads = ENCODERS[encoder](), nn.ModuleList(linear(5, 2) for _ in EIGHT)
    z = encoder(data(count, 4))
    source_of = {task: k for k, tasks in enumerate(sources) for task in tasks}
    outputs = [
        head(part[: -1 if task % 2 else None])  # not all rows of a source, for some
        for task, head in enumerate(heads)
        for part in [z.chunk(len(sources))[source_of[task]]]
    ]
    return squares(outputs), [*encoder.parameters(), *heads.parameters()], z


@pytest.mark.parametrize("move", [0, 10**9])
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("sources", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("kind", [Shorter, PCGrad, MGDA])
def test_several_tasks_of_a_source_take_a_pass_each(kind, sources, encoder, move, monkeypatch):
    monkeypatch.setattr(blocks, "_MOVE", move)
    losses, leaves, z = several_per_source(sources, encoder)
    expected = naive(losses, leaves, kind(EIGHT))
    passes = []
    z.grad_fn.register_hook(lambda *_: passes.append(1))
    result = backward(losses, kind(EIGHT))
    assert result.path == "blocks"
    assert len(passes) == max(map(len, sources))
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-10)
    plain = backward(several_per_source(sources, encoder)[0], kind(EIGHT), gramian="rows")
    torch.testing.assert_close(result.gramian, plain.gramian)


def test_with_too_many_tasks_per_row_the_usual_way_goes_on_from_what_is_known():
    losses, leaves, z = several_per_source([[0, 1, 2, 3, 4], [5, 6, 7]])
    expected = naive(losses, leaves, Shorter(EIGHT))
    before, behind = [], []
    for loss in losses.values():
        loss.grad_fn.register_hook(lambda *_: before.append(1))
    z.grad_fn.register_hook(lambda *_: behind.append(1))
    assert backward(losses, Shorter(EIGHT)).path == "rows"
    assert (len(before), len(behind)) == (8, 8)
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("sources", [[[0, 1], [2, 3], [4, 5], [6, 7]], [[0, 1, 2, 3, 4, 5, 6, 7]]])
def test_hooks_where_tasks_meet_act_once(sources):
    def graph():
        losses, leaves, z = several_per_source(sources)
        z.register_hook(lambda gradient: 3 * gradient)
        return losses, leaves

    losses, leaves = graph()
    expected = naive(losses, leaves, Shorter(EIGHT))
    assert backward(losses, Shorter(EIGHT)).path == ("rows" if sources[1:] == [] else "blocks")
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("encoder", "last"),
    [
        (lambda: linear(4, 200), "rows"),
        (lambda: nn.Sequential(linear(4, 200), nn.Tanh(), linear(200, 200)), "layers"),
        (lambda: nn.Sequential(linear(4, 200), nn.LayerNorm(200).to(DTYPE)), "rows"),
    ],
    ids=["one layer", "layers", "norm"],
)
@pytest.mark.parametrize("overlapping", [False, True])
def test_hooks_at_a_layer_where_tasks_meet_act_once(encoder, last, overlapping):
    starts = (0, 1, 2, 3) if overlapping else (0, 4, 0, 4)

    def graph():
        torch.manual_seed(0)
        shared, heads = encoder(), nn.ModuleList(linear(200, 1) for _ in starts)
        z = shared(data(N, 4))
        z.register_hook(lambda gradient: 3 * gradient)
        outputs = [head(z[k : k + 4]) for head, k in zip(heads, starts, strict=True)]
        return squares(outputs), [*shared.parameters(), *heads.parameters()]

    losses, leaves = graph()
    expected = naive(losses, leaves, Shorter(list(losses)))
    path = backward(losses, Shorter(list(losses))).path
    assert path == (last if overlapping else "blocks")
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-10)


class Alone(nn.Module):
    """A layer, and something that rows may meet in, or that nobody knows."""

    def __init__(self, change, *more):
        super().__init__()
        self.layer, self.change = linear(4, 5), change
        self.more = nn.ParameterList(more)

    def forward(self, x):
        return self.change(self.layer(x), *self.more)


def listened():
    module = linear(4, 5)
    module.weight.register_hook(lambda gradient: gradient.clamp(-0.1, 0.1))
    return module


@pytest.mark.parametrize(
    "encoder",
    [
        lambda: nn.Sequential(linear(4, 5), nn.BatchNorm1d(5).to(DTYPE)),
        lambda: Alone(lambda z: z - z.mean(0)),
        lambda: Alone(lambda z: z.flip(0)),
        lambda: Alone(lambda z: z.T.reshape(N, 5)),
        lambda: Alone(lambda z: (z @ z.T) @ z),
        lambda: Alone(lambda z: z.softmax(0)),
        lambda: Alone(lambda z: nn.functional.layer_norm(z, (N, 5))),
        lambda: Alone(lambda z: z * z[:1]),
        lambda: Alone(lambda z, scale: z * scale, torch.ones(5, dtype=DTYPE)),
        lambda: Alone(lambda z, all_rows: z + all_rows, data(N, 5)),
        lambda: Alone(lambda z: z.float().double()),
        listened,
    ],
)
def test_where_rows_may_meet_the_usual_way_is_taken(encoder):
    losses, leaves = made(encoder)
    expected = naive(losses, leaves, Shorter(TASKS))
    assert backward(losses, Shorter(TASKS)).path == "rows"
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-10)


def test_a_square_batch_may_be_turned():
    encoder = linear(4, N)
    z = encoder(data(N, 4)).tanh()
    z = z + z.t()
    losses = {"a": z[:4].square().mean(), "b": z[4:].sin().mean()}
    leaves = [*encoder.parameters()]
    expected = naive(losses, leaves, Shorter(["a", "b"]))
    assert backward(losses, Shorter(["a", "b"])).path == "rows"
    assert_gradients(leaves, expected)


def test_a_row_that_counts_for_two_tasks_is_seen():
    encoder, heads = linear(4, 5), [linear(5, 1) for _ in TASKS]
    z = encoder(data(N, 4))
    outputs = [heads[0](z[:3]), heads[1](z[3:6]), heads[2](z[5:])]
    losses = {task: out.square().mean() for task, out in zip(TASKS, outputs, strict=True)}
    leaves = [*encoder.parameters()]
    expected = naive(losses, leaves, Shorter(TASKS))
    assert backward(losses, Shorter(TASKS)).path == "rows"
    assert_gradients(leaves, expected)


def test_parameters_that_are_not_balanced_are_left_to_the_usual_way():
    losses, leaves = made()
    expected = naive(losses, leaves, Shorter(TASKS), shared=leaves[:2])
    assert backward(losses, Shorter(TASKS), shared=leaves[:2]).path == "rows"
    assert_gradients(leaves, expected)


def test_a_balancer_that_reads_gradients_themselves_gets_them():
    losses, leaves = made()
    expected = naive(losses, leaves, Agreed(TASKS))
    assert backward(losses, Agreed(TASKS)).path == "rows"
    assert_gradients(leaves, expected)


def test_a_scale_of_the_loss_and_a_penalty_change_nothing():
    losses, leaves = made()
    expected = naive(losses, leaves, Shorter(TASKS))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    penalty = leaves[0].square().sum()
    result = backward(losses, Shorter(TASKS), scaler=scaler, penalty=penalty)
    assert result.path == "blocks"
    expected[0] = expected[0] + 2 * leaves[0].detach()
    assert_gradients(leaves, [1024 * gradient for gradient in expected])


def test_a_penalty_may_share_the_graph():
    torch.manual_seed(0)
    encoder = linear(4, 5)
    z = encoder(data(N, 4))
    losses = {"a": z[:4].square().mean(), "b": z[4:].sin().mean()}
    leaves = [*encoder.parameters()]
    expected = naive(losses, leaves, Shorter(["a", "b"]))
    more = torch.autograd.grad(z.square().sum(), leaves, retain_graph=True)
    assert backward(losses, Shorter(["a", "b"]), penalty=z.square().sum()).path == "blocks"
    assert_gradients(leaves, [a + b for a, b in zip(expected, more, strict=True)])


def test_heads_of_scaled_losses_get_the_gradient_of_those():
    by_blocks, by_rows = made(), made()
    assert backward(by_blocks[0], IMTL(TASKS)).path == "blocks"
    backward(by_rows[0], IMTL(TASKS), gramian="rows")
    assert_gradients(by_blocks[1], [leaf.grad for leaf in by_rows[1]])


def test_kept_weights_are_those_of_the_pass():
    balancer = PCGrad(TASKS, every=2)
    first = backward(made()[0], balancer)
    second = backward(made()[0], balancer)
    assert (first.path, second.path) == ("blocks", "kept weights")
    assert list(first.weights.values()) == pytest.approx(
        [float(weight) for weight in second.weights.values()]
    )


def test_what_is_not_finite_is_seen_and_the_graph_goes():
    losses, leaves = made()
    losses["b"] = losses["b"] * torch.inf
    assert "not finite" in backward(losses, PCGrad(TASKS)).status
    assert not leaves[0].grad.isfinite().all()
    with pytest.raises(RuntimeError, match="a second time"):
        losses["a"].backward()


def test_gradients_that_cancel_keep_their_precision():
    torch.manual_seed(0)
    layer = nn.Linear(60, 40, bias=False)
    a = torch.randn(1, 60).repeat(12, 1) + 1e-3 * torch.randn(12, 60)
    b = torch.randn(12, 40)
    b -= b.view(3, 4, 40).mean(1).repeat_interleave(4, 0)  # large products nearly add up to nothing
    z = layer(a)
    losses = {
        task: (z[4 * k : 4 * k + 4] * b[4 * k : 4 * k + 4]).sum() for k, task in enumerate(TASKS)
    }
    result = backward(losses, Shorter(TASKS))
    assert result.path == "blocks"
    rows = torch.einsum("tno,tni->toi", b.double().view(3, 4, 40), a.double().view(3, 4, 60))
    exact = rows.flatten(1) @ rows.flatten(1).T
    lengths = exact.diagonal().sqrt()
    assert ((result.gramian - exact) / torch.outer(lengths, lengths)).abs().max() < 1e-4
