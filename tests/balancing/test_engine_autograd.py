"""The engine in every corner of autograd: precision, recomputation, hooks, memory, passes."""

import gc
import weakref
from copy import deepcopy

import graphs
import pytest
import torch
from graphs import Agreed, Shorter, Worst, assert_gradients, data, linear, make, naive, squares
from torch import nn
from torch.utils.checkpoint import checkpoint

from motet.balancing import Equal, backward, combine
from motet.balancing.engine import workspace
from motet.balancing.engine.graph import place, walk
from motet.balancing.families import JacobianBalancer
from motet.balancing.manual import Manual
from motet.balancing.mgda import MGDA
from motet.balancing.pcgrad import PCGrad
from motet.problems import InputError

AB = ["a", "b"]


def small(dtype=torch.float32):
    """An encoder, two heads, and a function that computes their losses."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(3, 4), nn.Tanh()).to(dtype)
    heads = nn.ModuleList(nn.Linear(4, 1) for _ in AB).to(dtype)
    x = torch.randn(6, 3, dtype=dtype)

    def losses(encoder=encoder):
        z = encoder(x)
        return {
            task: (head(z) - k).pow(2).mean()
            for k, (task, head) in enumerate(zip(AB, heads, strict=True))
        }

    return encoder, heads, losses


def all_of(*modules):
    return [leaf for module in modules for leaf in module.parameters()]


# Precision ---------------------------------------------------------------------------------------


def test_under_autocast_rows_are_float32_and_gradients_are_the_naive_ones():
    encoder, heads, losses = small()
    with torch.autocast("cpu", torch.bfloat16):
        values = losses()
    leaves = all_of(encoder, heads)
    expected = naive(values, leaves, Shorter(AB))
    result = backward(values, Shorter(AB), solve=False)
    assert result.rows.jacobian.dtype == torch.float32
    encoder.zero_grad()
    heads.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        values = losses()
    backward(values, Shorter(AB))
    assert_gradients(leaves, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (PCGrad, {}),
        (PCGrad, {"memory": "low"}),
        (PCGrad, {"at": "representation"}),
        (Agreed, {}),
        (Equal, {}),
    ],
)
def test_a_loop_that_calls_it_under_autocast_gets_the_same_to_the_last_bit(kind, options):
    encoder, heads, losses = small()
    leaves = all_of(encoder, heads)
    with torch.autocast("cpu", torch.bfloat16):
        outside = losses()
    before = backward(outside, kind(AB), shared=encoder, **options)
    expected = [leaf.grad.clone() for leaf in leaves]
    encoder.zero_grad()
    heads.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        inside = backward(losses(), kind(AB), shared=encoder, **options)
        assert torch.is_autocast_enabled("cpu")
        rows = torch.tensor([[1.0, 1e-3], [1.0, -1e-3]])
        assert torch.equal(combine(rows, Equal(AB), torch.ones(2)), torch.tensor([2.0, 0.0]))
        assert combine(rows, PCGrad(AB)).dtype == torch.float32
    assert all(torch.equal(leaf.grad, grad) for leaf, grad in zip(leaves, expected, strict=True))
    assert before.gramian is None or torch.equal(before.gramian, inside.gramian)


def test_wide_layers_are_read_in_full_precision_under_autocast(monkeypatch):
    monkeypatch.setattr(graphs, "DTYPE", torch.float32)
    losses, leaves = wide(data(5, 150))
    expected = naive(losses, leaves, Shorter([*"abcdefgh"]))
    with torch.autocast("cpu", torch.bfloat16):
        result = backward(losses, Shorter([*"abcdefgh"]), shared=leaves)
    assert result.path == "layers"
    assert_gradients(leaves, expected, rtol=1e-4, atol=1e-6)


def test_bfloat16_parameters_are_balanced_in_float32_and_get_bfloat16_gradients():
    encoder, heads, losses = small(torch.bfloat16)
    leaves = all_of(encoder, heads)
    values = losses()
    expected = naive(values, leaves, Shorter(AB))
    result = backward(values, Shorter(AB), solve=False)
    assert result.rows.jacobian.dtype == torch.float32
    for leaf in leaves:
        leaf.grad = None
    for _ in range(2):
        backward(losses(), Shorter(AB))
    assert {leaf.grad.dtype for leaf in leaves} == {torch.bfloat16}
    assert_gradients(leaves, [2 * part.double() for part in expected], rtol=2e-2, atol=1e-3)


# Loss scaling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Shorter, PCGrad, Agreed, Equal, Worst])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"memory": "low"},
        {"gramian": "layers"},
        {"heads": "weighted"},
        {"at": "representation"},
    ],
)
def test_a_loss_scale_changes_nothing_once_it_is_taken_out(kind, options):
    refused = {Agreed: {"memory", "gramian", "heads"}}
    refused[Equal] = refused[Worst] = {*refused[Agreed], "at"}
    if refused.get(kind, set()) & set(options):
        pytest.skip("refused")
    encoder, heads, losses = small()
    leaves = all_of(encoder, heads)
    penalty = 0.1 * sum(leaf.pow(2).sum() for leaf in leaves)
    backward(losses(), kind(AB), penalty=penalty, **options)
    expected = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = torch.optim.SGD(leaves, lr=1.0)
    penalty = 0.1 * sum(leaf.pow(2).sum() for leaf in leaves)
    backward(losses(), kind(AB), penalty=penalty, scaler=scaler, **options)
    scaler.unscale_(optimizer)
    assert_gradients(leaves, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"memory": "low"}, {"gramian": "layers"}, {"at": "representation"}]
)
def test_one_infinite_gradient_skips_the_step_and_leaves_the_balancer_alone(options):
    encoder, heads, losses = small()
    leaves = all_of(encoder, heads)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = torch.optim.SGD(leaves, lr=1.0)
    balancer = PCGrad(AB)
    before, weights = deepcopy(balancer.state_dict()), [leaf.detach().clone() for leaf in leaves]
    values = losses()
    values["a"] = values["a"] * float("inf")
    result = backward(values, balancer, scaler=scaler, **options)
    assert "not finite" in result.status
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 512
    for leaf, old in zip(leaves, weights, strict=True):
        assert torch.equal(leaf, old)
    for key, value in balancer.state_dict().items():
        assert torch.equal(value, before[key])


def test_a_disabled_scaler_is_none():
    encoder, _, losses = small()
    backward(losses(), Shorter(AB), scaler=torch.amp.GradScaler("cpu", enabled=False))
    expected = [leaf.grad for leaf in encoder.parameters()]
    encoder.zero_grad()
    backward(losses(), Shorter(AB))
    assert_gradients(list(encoder.parameters()), expected, rtol=0, atol=0)


# Penalty -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"memory": "low"}, {"gramian": "layers"}, {"at": "representation"}]
)
def test_a_penalty_may_share_its_graph_with_the_losses(options):
    encoder, head = linear(3, 4), linear(4, 2)
    leaves = all_of(encoder, head)

    def made():
        z = encoder(data(5, 3)).tanh()
        return squares(head(z).unbind(1)), z.pow(2).mean()

    losses, penalty = made()
    plus = torch.autograd.grad(penalty, leaves, allow_unused=True)
    backward(made()[0], Shorter(AB), **options)
    expected = [
        leaf.grad if p is None else leaf.grad + p for leaf, p in zip(leaves, plus, strict=True)
    ]
    for leaf in leaves:
        leaf.grad = None
    losses, penalty = made()
    backward(losses, Shorter(AB), penalty=penalty, **options)
    assert_gradients(leaves, expected)


# Recomputation, compilation ----------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"memory": "low"}, {"at": "representation"}])
@pytest.mark.parametrize("width", [4, 150])
def test_checkpointed_layers_get_the_same_gradients(options, width):
    torch.manual_seed(0)
    encoder = nn.Sequential(linear(3, width), nn.ReLU(), linear(width, width), nn.Tanh())
    heads = nn.ModuleList(linear(width, 1) for _ in range(8))
    leaves = all_of(encoder, heads)

    def losses(z):
        return squares([head(z) for head in heads])

    backward(losses(encoder(data(5, 3))), Shorter([*"abcdefgh"]), **options)
    expected = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    z = checkpoint(encoder, data(5, 3), use_reentrant=False)
    backward(losses(z), Shorter([*"abcdefgh"]), **options)
    assert_gradients(leaves, expected)


def compiled(encoder):
    torch._dynamo.reset()
    return torch.compile(encoder, backend="aot_eager")


def test_a_compiled_encoder_gets_the_same_gradients():
    encoder, heads, losses = small()
    backward(losses(), Shorter(AB))
    expected = [leaf.grad for leaf in all_of(encoder, heads)]
    for leaf in all_of(encoder, heads):
        leaf.grad = None
    backward(losses(compiled(encoder)), Shorter(AB), shared=encoder)
    assert_gradients(all_of(encoder, heads), expected)


def test_buffers_that_a_compiled_module_gives_away_are_explained():
    class Compiled(torch.autograd.Function):
        """Raise what compiled modules raise, where torch's version makes them."""

        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError("was compiled with non-empty donated buffers which requires")

    z = Compiled.apply(linear(3, 4)(data(5, 3)))
    with pytest.raises(
        InputError, match=r"create the balancer first, or call torch._dynamo.reset\(\)"
    ):
        backward(squares([z, z]), Shorter(AB))


def test_batch_norm_counts_one_batch_a_step():
    encoder = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    for options in ({}, {"memory": "low"}, {"at": "representation"}):
        z = encoder(torch.randn(6, 3))
        backward({"a": z.sum(), "b": z.pow(2).sum()}, Shorter(AB), **options)
    assert encoder[1].num_batches_tracked == 3


# Passes ------------------------------------------------------------------------------------------


class Counted(torch.autograd.Function):
    passes = 0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        Counted.passes += 1
        return gradient


@pytest.mark.parametrize(
    ("balancer", "options", "passes"),
    [
        (Equal, {}, 1),
        (Worst, {}, 1),
        (Shorter, {}, 3),
        (Agreed, {}, 3),
        (Shorter, {"heads": "weighted"}, 3),
        (Shorter, {"at": "representation"}, 1),
        (Agreed, {"at": "representation"}, 1),
    ],
)
def test_the_shared_part_is_passed_as_often_as_the_kind_of_balancer_says(balancer, options, passes):
    encoder = linear(3, 4)
    z = Counted.apply(encoder(data(5, 3)))
    Counted.passes = 0
    backward(squares([z.sin(), z.cos(), z.tanh()]), balancer([*"abc"]), **options)
    assert Counted.passes == passes


def test_each_tasks_own_part_is_passed_once():
    z = linear(3, 4)(data(5, 3))
    outputs = [Counted.apply(z) * 2, Counted.apply(z) * 3]
    Counted.passes = 0
    backward(squares(outputs), Shorter(AB))
    assert Counted.passes == 2


def test_components_keep_their_weights_apart():
    balancer = Shorter([*"abcd"], every=2)
    left, right = linear(3, 4), linear(3, 4)

    def step(tasks):
        z, y = Counted.apply(left(data(5, 3))), Counted.apply(right(data(5, 3)))
        losses = squares([z.sin(), z.cos(), y.sin(), y.cos()])
        Counted.passes = 0
        backward({task: losses[task] for task in tasks}, balancer)
        return Counted.passes

    assert step("abcd") == 4
    assert step("abcd") == 2  # once through each component
    assert step("abcd") == 4
    assert step("ab") == 1  # the other component may be absent
    assert step("cd") == 1
    assert step("abcd") == 4
    assert step("abc") == 3  # c was weighed with d
    assert step("ab") == 2  # their second step passed with the one before


def test_inner_products_of_many_numbers_are_as_exact_as_the_numbers():
    count = 100_000
    x = torch.zeros(count, requires_grad=True)
    rows = 1 + torch.rand(2, count, generator=torch.Generator().manual_seed(0))
    found = backward(list((rows * x).sum(dim=1)), Shorter(AB), shared=[x]).gramian
    exact = rows.double() @ rows.double().T
    torch.testing.assert_close(found, exact, rtol=1e-7, atol=0)


def test_a_step_with_kept_weights_passes_once_and_lets_the_graph_go():
    balancer = Shorter(AB, every=2)
    encoder = linear(3, 4)
    leaves = list(encoder.parameters())
    for step, passes in enumerate((2, 1, 2)):
        z = Counted.apply(encoder(data(5, 3) + step))
        losses = squares([z.sin(), z.cos()])
        rows = [torch.autograd.grad(loss, leaves, retain_graph=True) for loss in losses.values()]
        encoder.zero_grad()
        Counted.passes = 0
        result = backward(losses, balancer)
        assert Counted.passes == passes
        weights = result.weights.values()
        expected = [
            sum(weight * g for weight, g in zip(weights, column, strict=True))
            for column in zip(*rows, strict=True)
        ]
        assert_gradients(leaves, expected)
        with pytest.raises(RuntimeError, match="a second time"):
            next(iter(losses.values())).backward()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"memory": "low"},
        {"gramian": "layers"},
        {"at": "representation"},
        {"heads": "weighted"},
    ],
)
@pytest.mark.parametrize("kind", [Equal, Shorter])
def test_a_second_backward_over_the_graph_raises_as_in_torch(kind, options):
    if kind is Equal and options:
        pytest.skip("loss balancers have one way")
    _, _, losses = small()
    values = losses()
    backward(values, kind(AB), **options)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        backward(values, kind(AB), **options)


def test_the_walk_visits_each_node_once_however_deep_the_graph():
    x = torch.ones((), requires_grad=True)
    y = x
    for _ in range(10_000):
        y = y + y  # two ways to each node
    graph = walk([place(y * 2), place(y * 3)])  # by ways there would be 2 ** 10_000
    assert graph.leaves == {x: 0b11}
    assert list(graph.cuts) == [(y.grad_fn, 0)]


# What .grad holds --------------------------------------------------------------------------------


def test_gradients_of_different_leaves_share_no_memory():
    a, b, c = (torch.ones(3, requires_grad=True) for _ in range(3))
    z = torch.ones(3, requires_grad=True)
    losses = {"a": ((a + b).sum() * z.sum()).pow(2), "b": (c * z).sum()}
    backward(losses, Shorter(AB), shared=[z])
    for leaf in (a, b, c, z):
        expected = leaf.grad.clone() * 2
        leaf.grad.mul_(2)  # as clipping does
        torch.testing.assert_close(leaf.grad, expected)
    torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("kind", [Shorter, Agreed, Equal])
def test_gradients_are_added_in_place_to_what_is_there(kind):
    encoder, heads, losses = small()
    leaves = all_of(encoder, heads)
    backward(losses(), kind(AB))
    there = [leaf.grad for leaf in leaves]
    expected = [2 * leaf.grad for leaf in leaves]
    backward(losses(), kind(AB))
    assert all(leaf.grad is old for leaf, old in zip(leaves, there, strict=True))
    assert_gradients(leaves, expected)


@pytest.mark.parametrize("kind", [Shorter, Agreed])
def test_gradients_keep_their_values_while_later_steps_use_the_same_memory(kind):
    encoder, heads, losses = small()
    leaves, balancer = all_of(encoder, heads), kind(AB)
    backward(losses(), balancer)
    held = [leaf.grad for leaf in leaves]
    values = [gradient.clone() for gradient in held]
    for leaf in leaves:
        leaf.grad = None
        leaf.data.mul_(-1)
    backward(losses(), balancer)
    for gradient, value in zip(held, values, strict=True):
        assert torch.equal(gradient, value)


def test_a_direction_that_is_a_row_is_no_view_of_the_rows():
    class First(JacobianBalancer):
        def forward(self, jacobian, losses, present):
            return jacobian[0]

    x = torch.ones(2, requires_grad=True)
    balancer = First(AB, scale="paper")
    backward({"a": x.sum(), "b": 2 * x.sum()}, balancer)
    held = x.grad
    x.grad = None
    backward({"a": 5 * x.sum(), "b": 2 * x.sum()}, balancer)
    assert held.tolist() == [1, 1]
    assert x.grad.tolist() == [5, 5]


def test_memory_kept_between_steps_is_no_state_and_goes_with_the_balancer():
    encoder, _, losses = small()
    balancer = Shorter(AB)
    keys = set(balancer.state_dict())
    backward(losses(), balancer)
    assert set(balancer.state_dict()) == keys
    size = sum(leaf.numel() for leaf in encoder.parameters())
    assert len(workspace._KEPT[balancer]) == 2 * size
    deepcopy(balancer)
    assert balancer in workspace._KEPT
    gone = weakref.ref(balancer)
    del balancer
    gc.collect()
    assert gone() is None


def test_fewer_or_more_tasks_fit_into_the_memory_kept():
    losses, leaves = make("hard_sharing")
    balancer = Shorter([*"abc"])
    for some in ("ab", "abc", "c", "bc"):
        for leaf in leaves:
            leaf.grad = None
        losses, leaves = make("hard_sharing")
        chosen = {task: losses[task] for task in some}
        shared = leaves[:4]
        expected = naive(chosen, leaves, balancer, shared=shared)
        backward(chosen, balancer, shared=shared)
        assert_gradients(leaves, expected)


def test_gradients_follow_the_memory_format_of_their_parameters():
    x = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    own = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    backward({"a": (x * own).sum(), "b": x.pow(2).sum()}, Shorter(AB))
    assert x.grad.stride() == x.stride()
    assert own.grad.stride() == own.stride()


@pytest.mark.parametrize("gramian", ["rows", "layers"])
def test_hooks_between_layers_act_on_every_row(gramian):
    first, second, heads = linear(4, 4), linear(4, 4), [linear(4, 1) for _ in range(3)]
    y = first(data(2, 4))
    y.register_hook(lambda gradient: gradient.abs())
    z = second(y)
    z.register_hook(lambda gradient: 3 * gradient)
    losses = squares([head(z) for head in heads])
    leaves = all_of(first, second)
    expected = naive(losses, leaves, Shorter([*"abc"]))
    assert backward(losses, Shorter([*"abc"]), gramian=gramian).path == gramian
    assert_gradients(leaves, expected)


def test_hooks_on_shared_parameters_act_on_every_row():
    for width in (4, 150):  # also where layers are read as products
        torch.manual_seed(0)
        encoder = nn.Sequential(linear(width, width), nn.ReLU(), linear(width, width))
        encoder[0].weight.register_hook(lambda gradient: 2 * gradient)
        heads = [linear(width, 1) for _ in range(8)]
        z = encoder(data(2, width))
        z.register_hook(lambda gradient: 3 * gradient)
        losses = squares([head(z) for head in heads])
        leaves = [*encoder.parameters()]
        expected = naive(losses, leaves, Shorter([*"abcdefgh"]))
        backward(losses, Shorter([*"abcdefgh"]))
        assert_gradients(leaves, expected)


def manual(tasks):
    return Manual(tasks, weights=dict(zip(tasks, (1.0, 0.3), strict=True)))


def test_it_may_be_called_where_gradients_are_off():
    encoder, _, losses = small()
    for kind in (Shorter, Agreed, Equal, manual, Worst):
        values, again = losses(), losses()
        encoder.zero_grad()
        backward(values, kind(AB))
        expected = [leaf.grad for leaf in encoder.parameters()]
        encoder.zero_grad()
        with torch.no_grad():
            backward(again, kind(AB))
        assert_gradients(list(encoder.parameters()), expected)
        unusable = {task: loss * torch.nan for task, loss in losses().items()}
        with torch.no_grad():
            result = backward(unusable, kind(AB))
        assert "not finite" in result.status


# Layers read as products -------------------------------------------------------------------------


def wide(inputs, **options):
    torch.manual_seed(0)
    encoder = nn.Sequential(linear(150, 150, **options), nn.ReLU(), linear(150, 150, **options))
    z = encoder(inputs)
    losses = squares([linear(150, 1)(z) for _ in range(8)])
    return losses, list(encoder.parameters())


def test_wide_layers_are_read_as_products_only_where_that_is_cheaper():
    def path(rows, tasks=8, **options):
        losses, _ = wide(data(rows, 150))
        some = dict(list(losses.items())[:tasks])
        return backward(some, options.pop("kind", Shorter)([*"abcdefgh"]), **options).path

    assert path(5) == "layers"
    assert path(200) == "rows"  # more rows than columns
    assert path(60, tasks=2) == "rows"  # finding R would not pay
    assert path(5, kind=Agreed) == "rows"  # reads the rows themselves
    assert path(5, solve=False) == "rows"


def test_a_layer_of_several_batches_is_one_with_all_their_rows_where_that_is_cheaper():
    def path(rows, width=512, **options):
        torch.manual_seed(0)
        encoder = nn.Linear(width, width)
        batches = torch.randn(4, rows, width)
        losses = {task: encoder(x).square().mean() for task, x in zip("abcd", batches, strict=True)}
        expected = naive(losses, [encoder.weight, encoder.bias], Shorter([*"abcd"]))
        result = backward(losses, Shorter([*"abcd"]), **options)
        assert_gradients([encoder.weight, encoder.bias], expected, rtol=1e-4, atol=1e-6)
        return result.path

    assert path(2) == "layers"
    assert path(2, width=150) == "rows"  # rows of all tasks stay in the cache
    assert path(100) == "rows"
    assert path(200, gramian="layers") == "layers"  # more rows than columns


def test_several_uses_by_all_tasks_are_added_up():
    torch.manual_seed(0)
    layer, heads = linear(150, 150), [linear(150, 1) for _ in range(8)]
    z = layer(layer(data(3, 150)).relu()).relu() + layer(data(2, 3, 150).sum(0))
    losses = squares([head(z) for head in heads])
    expected = naive(losses, [layer.weight, layer.bias], Shorter([*"abcdefgh"]))
    assert backward(losses, Shorter([*"abcdefgh"]), gramian="layers").path == "layers"
    assert_gradients([layer.weight, layer.bias], expected)


def test_inputs_that_would_be_recomputed_are_left_to_autograd():
    torch.manual_seed(0)
    encoder, heads = linear(150, 150), [linear(150, 1) for _ in range(8)]
    z = checkpoint(encoder, data(5, 150), use_reentrant=False)
    losses = squares([head(z) for head in heads])
    assert backward(losses, Shorter([*"abcdefgh"])).path == "rows"


@pytest.mark.parametrize("inputs", ["dependent", "zero", "huge", "tiny"])
def test_layers_whose_inputs_depend_on_each_other_are_read_exactly(inputs):
    x = data(6, 150)
    x[3:] = {"dependent": x[:3], "zero": 0.0, "huge": 1e8 * x[3:], "tiny": 1e-8 * x[3:]}[inputs]
    losses, leaves = wide(x)
    expected = naive(losses, leaves, Shorter([*"abcdefgh"]))
    assert backward(losses, Shorter([*"abcdefgh"])).path == "layers"
    assert_gradients(leaves, expected, rtol=1e-7, atol=1e-9 * max(1, x.abs().max()))


def test_gradients_that_cancel_over_the_batch_keep_their_precision():
    """⟨A Aᵀ Bₖ, Bₗ⟩ in float32 would lose what is left of them."""
    torch.manual_seed(0)
    layer = nn.Linear(150, 150, bias=False)
    a = torch.randn(1, 150).repeat(10, 1) + 1e-3 * torch.randn(10, 150)
    b = torch.randn(8, 10, 150)
    b -= b.mean(dim=1, keepdim=True)  # so large products nearly add up to nothing
    losses = dict(zip("abcdefgh", (layer(a) * b).sum(dim=(1, 2)), strict=True))
    result = backward(losses, Shorter([*"abcdefgh"]))
    assert result.path == "layers"
    rows = torch.einsum("tno,ni->toi", b.double(), a.double()).flatten(1)
    exact = rows @ rows.T
    lengths = exact.diagonal().sqrt()
    error = (result.gramian - exact) / torch.outer(lengths, lengths)
    assert error.abs().max() < 1e-4


def test_not_a_number_in_a_layer_is_seen():
    x = data(5, 150)
    x[0, 0] = torch.nan
    losses, leaves = wide(x)
    result = backward(losses, Shorter([*"abcdefgh"]))
    assert "not finite" in result.status
    assert leaves[0].grad.isnan().any()


# Sparse, empty, odd ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"memory": "low"}, {"heads": "weighted"}])
def test_sparse_gradients_are_balanced_and_stay_sparse_where_they_are_plain(options):
    torch.manual_seed(0)
    shared = nn.Embedding(7, 3, sparse=True, dtype=torch.float64)
    own = nn.Embedding(7, 3, sparse=True, dtype=torch.float64)
    heads = [linear(3, 1) for _ in AB]

    def losses():
        z = shared(torch.tensor([1, 2, 2]))
        return squares([heads[0](z + own(torch.tensor([3, 3, 4]))), heads[1](z)])

    dense = [shared.weight, own.weight]
    for module in (shared, own):
        module.sparse = False
    expected = naive(losses(), dense, Shorter(AB), weighted="heads" in options)
    for module in (shared, own):
        module.sparse = True
    for _ in range(2):
        backward(losses(), Shorter(AB), **options)
    assert own.weight.grad.is_sparse
    assert_gradients(dense, [2 * part for part in expected])


def test_empty_and_scalar_parameters_take_part():
    empty = torch.zeros(0, 3, dtype=torch.float64, requires_grad=True)
    scalar = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    losses = {"a": empty.sum() + scalar.pow(2), "b": empty.sum() - scalar}
    backward(losses, PCGrad(AB))
    assert empty.grad.shape == (0, 3)
    torch.testing.assert_close(scalar.grad, torch.tensor(0.0, dtype=torch.float64))


def test_empty_parameters_alone_have_nothing_to_say():
    empty = torch.zeros(0, requires_grad=True)
    result = backward({"a": empty.sum(), "b": empty.sum()}, MGDA(AB))
    assert empty.grad.shape == (0,)
    assert torch.equal(result.gramian, torch.zeros(2, 2, dtype=torch.float64))


def test_a_loss_may_be_a_parameter_itself():
    x = torch.tensor(3.0, requires_grad=True)
    backward({"a": x, "b": 2 * x}, Shorter(AB))
    torch.testing.assert_close(x.grad, torch.tensor(1 * 4 / 3 + 2 * 2 / 3))


def test_one_loss_may_be_given_for_two_tasks():
    x = torch.tensor([3.0], requires_grad=True)
    loss = x.pow(2).sum()
    backward({"a": loss, "b": loss}, Shorter(AB))
    torch.testing.assert_close(x.grad, torch.tensor([12.0]))


def test_a_function_of_ones_own_may_keep_what_it_likes():
    class Odd(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.variable = x
            return 2 * x

        @staticmethod
        def backward(ctx, gradient):
            return 2 * gradient

    x = torch.tensor([3.0], requires_grad=True)
    y = Odd.apply(x * 1)
    backward({"a": y.sum(), "b": 3 * y.sum()}, Shorter(AB))
    torch.testing.assert_close(x.grad, torch.tensor([2 * 3 / 2 + 6 / 2]))
