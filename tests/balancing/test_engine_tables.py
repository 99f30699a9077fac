"""Embedding tables by the rows used: the gradients of whole rows, in less memory, or left alone."""

import pytest
import torch
from graphs import DTYPE, Agreed, Shorter, assert_gradients, linear, naive, squares
from torch import nn
from torch.utils.checkpoint import checkpoint

from motet.balancing import backward, create
from motet.balancing.engine import workspace
from motet.balancing.mgda import MGDA
from motet.balancing.pcgrad import PCGrad

TASKS = ("a", "b", "c")
V, D = 6000, 4
"""Long enough that few rows of a table are worth reading alone."""


def table(**options):
    return nn.Embedding(V, D, dtype=DTYPE, **options)


def bags(**options):
    return nn.EmbeddingBag(V, D, dtype=DTYPE, **options)


def ids(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    found = torch.randint(V, shape, generator=draw)
    found.view(-1)[::3] = found.view(-1)[0]  # some rows are looked up several times
    return found


def read_by_all(states, *modules, encoder=None):
    """One head per task on what the tables gave."""
    encoder = encoder or linear(D, 5)
    heads = nn.ModuleList(linear(5, 2) for _ in TASKS)
    z = encoder(states).tanh()
    return squares([head(z) for head in heads]), [*modules, encoder, heads]


def words():
    module = table()
    return read_by_all(module(ids(5, 3)).mean(1), module)


def padded():
    module = table(padding_idx=-3)
    read = ids(5, 3)
    read[:, 2] = V - 3
    return read_by_all(module(read).mean(1), module)


def looked_up_twice():
    module = table()
    return read_by_all(module(ids(5, 3)).mean(1) * module(ids(5, seed=1)), module)


def short_rows():
    module = table(max_norm=0.5)
    return read_by_all(module(ids(5, 3)).sum(1), module)


def sums_of_bags():
    module = bags(mode="sum", padding_idx=2)
    read = ids(5, 3)
    read[1] = 2
    return read_by_all(module(read), module)


def means_of_bags():
    module = bags(padding_idx=2, include_last_offset=True)
    read = ids(9)
    read[4:6] = 2
    return read_by_all(module(read, torch.tensor([0, 3, 3, 7, 9])), module)


def numbers_of_32_bits():
    module = table()
    return read_by_all(module(ids(5).int()), module)


def several_tables():
    first, second = table(), nn.Embedding(V, 7, dtype=DTYPE)
    z = torch.cat([first(ids(5)), second(ids(5, seed=2))], dim=1)
    return read_by_all(z, first, second, encoder=linear(D + 7, 5))


def a_lookup_for_each_task():
    module, encoder = table(), linear(D, 5)
    heads = nn.ModuleList(linear(5, 2) for _ in TASKS)
    outputs = [head(encoder(module(ids(4, seed=k))).tanh()) for k, head in enumerate(heads[:2])]
    outputs.append(heads[2](encoder(torch.ones(4, D, dtype=DTYPE))))  # reads no table
    return squares(outputs), [module, encoder, heads]


def nothing_else_in_common():
    first, second = table(), table()
    outputs = [first(ids(3)), first(ids(3, seed=1)).sin(), second(ids(3)).cos()]
    return squares(outputs), [first, second]


READ_BY_ROWS = {
    each.__name__: each
    for each in (
        words,
        padded,
        looked_up_twice,
        short_rows,
        sums_of_bags,
        means_of_bags,
        numbers_of_32_bits,
        several_tables,
        a_lookup_for_each_task,
        nothing_else_in_common,
    )
}


def made(graph):
    torch.manual_seed(0)
    losses, modules = graph()
    return losses, [leaf for module in modules for leaf in module.parameters()]


@pytest.mark.parametrize("heads", ["plain", "weighted"])
@pytest.mark.parametrize("kind", [Shorter, PCGrad, MGDA])
@pytest.mark.parametrize("graph", READ_BY_ROWS.values(), ids=READ_BY_ROWS)
def test_rows_used_give_the_gradients_of_whole_tables(graph, kind, heads):
    losses, leaves = made(graph)
    expected = naive(losses, leaves, kind(TASKS), weighted=heads == "weighted")
    result = backward(losses, kind(TASKS), heads=heads)
    assert result.path == "tables"
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-12)
    plain = backward(made(graph)[0], kind(TASKS), heads=heads, gramian="rows")
    assert plain.path == "rows"
    torch.testing.assert_close(result.gramian, plain.gramian)
    assert result.components == plain.components


def tied():
    module = table()
    z = module(ids(5))
    return squares([z, z @ module.weight[:7].T]), [module]


def tied_with_an_output_layer():
    module = table()
    z = module(ids(5)).tanh()
    return squares([nn.functional.linear(z, module.weight), z]), [module]


def listened():
    losses, modules = words()
    modules[0].weight.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
    return losses, modules


def scaled_by_frequency():
    module = table(scale_grad_by_freq=True)
    return read_by_all(module(ids(5, 3)).mean(1), module)


def largest_of_bags():
    module = bags(mode="max")
    return read_by_all(module(ids(5, 3)), module)


def weighted_bags():
    module = bags(mode="sum")
    weights = torch.rand(5, 3, dtype=DTYPE)
    return read_by_all(module(ids(5, 3), per_sample_weights=weights), module)


def recomputed():
    module = table()
    return read_by_all(checkpoint(module, ids(5), use_reentrant=False), module)


def two_paddings():
    module = table()
    read = [nn.functional.embedding(ids(5), module.weight, padding_idx=k) for k in (1, 2)]
    return read_by_all(read[0] + read[1], module)


def indexed():
    module = table()
    return read_by_all(module.weight[ids(5)], module)


LEFT = {
    each.__name__: each
    for each in (
        tied,
        tied_with_an_output_layer,
        listened,
        scaled_by_frequency,
        largest_of_bags,
        weighted_bags,
        recomputed,
        two_paddings,
        indexed,
    )
}


@pytest.mark.parametrize("graph", LEFT.values(), ids=LEFT)
def test_a_table_whose_gradient_may_be_more_is_left_to_whole_rows(graph):
    losses, leaves = made(graph)
    expected = naive(losses, leaves, Shorter(TASKS))
    assert backward(losses, Shorter(TASKS)).path == "rows"
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-12)


def test_a_table_is_read_whole_where_most_of_its_rows_are_used_or_it_is_short():
    def paths(count, rows, **options):
        module = nn.Embedding(rows, D)
        losses = read_by_all(module(torch.arange(count) % rows).double(), module)[0]
        return backward(losses, Shorter(TASKS), **options).path

    assert paths(1000, 2 * V) == "tables"
    assert paths(V + 1, 2 * V) == "rows"
    assert paths(10, 1000) == "rows"
    assert paths(10, 1000, gramian="layers") == "tables"
    assert paths(10, 2 * V, gramian="rows") == "rows"


def test_the_buffer_holds_the_rows_used_alone():
    losses, leaves = made(words)
    balancer = Shorter(TASKS)
    backward(losses, balancer)
    used = len(ids(5, 3).unique())
    encoder = sum(leaf.numel() for leaf in leaves[1:3])
    assert workspace.lend(balancer).numel() == 3 * (used * D + encoder)


def test_balancers_that_read_gradients_themselves_get_whole_tables():
    losses, leaves = made(words)
    expected = naive(losses, leaves, Agreed(TASKS))
    assert backward(losses, Agreed(TASKS)).path == "rows"
    assert_gradients(leaves, expected)


@pytest.mark.parametrize("gramian", ["auto", "rows"])
@pytest.mark.parametrize("before", ["nothing", "sparse", "dense"])
def test_a_sparse_table_gets_a_sparse_gradient(before, gramian):
    losses, leaves = made(words)
    expected = naive(losses, leaves, Shorter(TASKS))
    torch.manual_seed(0)
    module = table(sparse=True)
    losses, modules = read_by_all(module(ids(5, 3)).mean(1), module)
    leaves = [leaf for each in modules for leaf in each.parameters()]
    if before != "nothing":
        module(ids(2)).sum().backward()
        more = module.weight.grad.to_dense()
        module.weight.grad = more.clone() if before == "dense" else module.weight.grad
        expected[0] = expected[0] + more
    backward(losses, Shorter(TASKS), gramian=gramian)
    assert module.weight.grad.is_sparse == (before != "dense")
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-12)


def test_a_sparse_table_in_half_precision_takes_a_dense_gradient_too():
    module = nn.Embedding(V, D, dtype=torch.bfloat16)
    module.weight.grad = torch.sparse_coo_tensor(
        torch.tensor([[3]]),
        torch.ones(1, D, dtype=torch.bfloat16),
        (V, D),
        check_invariants=True,
    )
    z = module(ids(5)).float()
    backward({"a": z.sum(), "b": z.sin().sum()}, Shorter(["a", "b"]))
    assert module.weight.grad.dtype == torch.bfloat16
    assert module.weight.grad[3].tolist() == [1.0] * D


def test_a_sparse_optimizer_trains_a_table_that_is_balanced():
    torch.manual_seed(0)
    module, heads = table(sparse=True), nn.ModuleList(linear(D, 2) for _ in TASKS)
    optimizer = torch.optim.SparseAdam(module.parameters(), lr=0.1)
    balancer, first = PCGrad(TASKS), None
    for _ in range(30):
        z = module(ids(5))
        losses = {
            task: (head(z) - 1).square().mean() for task, head in zip(TASKS, heads, strict=True)
        }
        first = sum(losses.values()).item() if first is None else first
        optimizer.zero_grad()
        backward(losses, balancer)
        optimizer.step()
    assert sum(losses.values()).item() < first / 2


def test_a_loss_scale_and_a_penalty_on_a_table_change_nothing():
    losses, leaves = made(words)
    expected = naive(losses, leaves, Shorter(TASKS))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    result = backward(losses, Shorter(TASKS), scaler=scaler, penalty=leaves[0].square().sum())
    assert result.path == "tables"
    expected[0] = expected[0] + 2 * leaves[0].detach()
    assert_gradients(leaves, [1024 * gradient for gradient in expected], rtol=1e-8, atol=1e-10)


def test_hooks_at_the_output_of_an_embedding_act_on_every_task():
    def graph():
        module = table()
        z = module(ids(5))
        z.register_hook(lambda gradient: gradient * 3)
        return read_by_all(z, module)

    losses, leaves = made(graph)
    expected = naive(losses, leaves, Shorter(TASKS))
    assert backward(losses, Shorter(TASKS)).path == "tables"
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-12)


def test_an_optimizer_in_the_backward_pass_steps_once_on_the_whole_gradient():
    losses, leaves = made(words)
    expected = naive(losses, leaves, Shorter(TASKS))
    seen = []
    leaves[0].register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad.clone()))
    backward(losses, Shorter(TASKS))
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], expected[0])


def test_half_precision_tables_are_added_up_in_float32():
    torch.manual_seed(0)
    module = nn.Embedding(2 * V, D, dtype=torch.bfloat16)
    z = module(torch.zeros(4096, dtype=torch.long)).float()
    losses = {"a": z.sum() * 1e-3, "b": z.sin().sum() * 1e-3}
    result = backward(losses, Shorter(["a", "b"]))
    assert result.path == "tables"
    expected = D * (4096 * float(torch.tensor(1e-3).bfloat16())) ** 2
    assert result.gramian[0, 0].item() == pytest.approx(expected, rel=1e-5)
    assert module.weight.grad.dtype == torch.bfloat16


def test_what_is_not_finite_in_a_table_is_seen():
    losses, leaves = made(words)
    result = backward({**losses, "b": losses["b"] * torch.inf}, PCGrad(TASKS))
    assert "not finite" in result.status
    assert not leaves[0].grad[ids(5, 3)].isfinite().all()


def test_kept_weights_go_with_tables():
    balancer = create("pcgrad", TASKS, every=2)
    paths = [backward(made(words)[0], balancer).path for _ in range(3)]
    assert paths == ["tables", "kept weights", "tables"]


@pytest.mark.parametrize("sparse", [False, True])
def test_micro_batches_add_up_whole_tables(sparse):
    torch.manual_seed(0)
    module, heads = table(sparse=sparse), nn.ModuleList(linear(D, 2) for _ in TASKS)
    leaves, read = [*module.parameters(), *heads.parameters()], ids(6)

    def losses(here, share=1.0):
        z = module(read[here])
        return {
            t: share * (head(z) - 1).square().mean() for t, head in zip(TASKS, heads, strict=True)
        }

    expected, balancer = naive(losses(slice(6)), leaves, Shorter(TASKS)), Shorter(TASKS)
    first = backward(losses(slice(3), 0.5), balancer, module, solve=False)
    backward(losses(slice(3, 6), 0.5), balancer, module, previous=first)
    assert module.weight.grad.is_sparse == sparse
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-12)


def test_on_other_devices_rows_are_added_up_in_a_fixed_order(monkeypatch):
    losses, leaves = made(looked_up_twice)
    expected = naive(losses, leaves, Shorter(TASKS))
    monkeypatch.setattr("motet.balancing.engine.embedding_tables._FAST", "none")
    backward(losses, Shorter(TASKS))
    assert_gradients(leaves, expected, rtol=1e-8, atol=1e-12)
