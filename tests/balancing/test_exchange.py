"""What `motet.backward` sends to other processes, what it refuses there, and what is wrong."""

import pytest
import torch
from gloo import in_processes
from rows_of_processes import ROWS, SHARES, TASKS, WORDS, Model, X, processes
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from motet.balancing import backward, create
from motet.balancing.engine import averaging, shares
from motet.problems import InputError
from motet.processes import Group

ALL = range(ROWS)


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters()}


def once(name, before=None, **options):
    """Make one call; return the gradients that it leaves."""
    rank, count, group = processes()
    model = Model()
    for parameter in model.parameters() if before else ():
        parameter.grad = torch.full_like(parameter, before)
    losses = model.losses(SHARES[count][rank], count)
    backward(losses, create(name, TASKS), **model.lists, **group, **options)
    return gradients(model)


def exchanged(name, table=None):
    """Count the numbers that one call sends into, or gets out of, large exchanges; by kind."""
    rank, count, group = processes()
    sizes = dict.fromkeys(["total", "begin_total", "begin_share_of_total", "joined_shares"], 0)
    kept = {kind: getattr(Group, kind) for kind in sizes}

    def counting(kind):
        def call(self, numbers, *more):
            found = kept[kind](self, numbers, *more)
            sizes[kind] += found.numel() if kind == "joined_shares" else numbers.numel()
            return found

        return call

    for kind in sizes:
        setattr(Group, kind, counting(kind))
    model, balancer = Model(table), create(name, TASKS)
    losses = model.losses(SHARES[count][rank], count)
    backward(losses, balancer, **model.lists, **group)
    shared = sum(p.numel() for p in model.lists["shared"])
    return sizes, shared, sum(p.numel() for p in model.heads.parameters())


def test_a_gramian_balancer_moves_a_row_per_task_and_a_direction():
    for sizes, shared, own in in_processes(2, exchanged, "mgda"):
        assert sizes["begin_share_of_total"] == len(TASKS) * shared
        assert sizes["joined_shares"] == shared
        assert own <= sizes["begin_total"] < own + 20  # and which of them are reached
        assert sizes["total"] < 100  # losses, Gramian, and which leaves are reached


def test_a_loss_balancer_moves_one_gradient():
    for sizes, shared, own in in_processes(2, exchanged, "uncertainty"):
        assert shared + own <= sizes["begin_total"] < shared + own + 40
        assert sizes["total"] < 20
        assert sizes["begin_share_of_total"] == sizes["joined_shares"] == 0


@pytest.mark.parametrize(
    ("name", "kind"), [("mgda", "begin_share_of_total"), ("equal", "begin_total")]
)
def test_of_a_long_table_the_rows_in_use_are_moved(name, kind):
    for sizes, shared, own in in_processes(2, exchanged, name, (WORDS, {})):
        table = WORDS * 6
        used = 3 * ROWS * 6
        assert sizes[kind] < len(TASKS) * (shared - table + own + used) + 40 < table


def replaced_gradient(wrong):
    """Return the gradient of the shared part by a scheme that is not exact."""
    rank, count, _ = processes()
    model, balancer = Model(), create("mgda", TASKS)
    shared = model.lists["shared"]
    losses = model.losses(SHARES[count][rank], count)
    everyone = [losses.get(task) for task in TASKS]
    rows = [
        torch.zeros(sum(p.numel() for p in shared), dtype=torch.float64)
        if loss is None
        else nn.utils.parameters_to_vector(torch.autograd.grad(loss, shared, retain_graph=True))
        for loss in everyone
    ]
    jacobian, group = torch.stack(rows), Group()
    gramian = jacobian @ jacobian.T
    if wrong == "the mean of the processes' Gramians":
        gramian = group.total(gramian) / count
    direction = balancer(gramian) @ jacobian
    return group.total(direction) / count


def test_other_schemes_give_other_gradients():
    exact = once("mgda")
    exact = torch.cat([g.flatten() for n, g in exact.items() if n.startswith("encoder")])
    (found, _) = in_processes(2, once, "mgda")
    found = torch.cat([g.flatten() for n, g in found.items() if n.startswith("encoder")])
    assert_close(found, exact, rtol=1e-12, atol=1e-12)
    for wrong in ("the mean of the processes' Gramians", "each process balances its own rows"):
        (given, _) = in_processes(2, replaced_gradient, wrong)
        assert (given - exact).norm() > 0.01 * exact.norm(), wrong


@pytest.mark.parametrize("name", ["equal", "mgda"])
def test_only_what_a_call_adds_is_averaged(name):
    expected = once(name, before=3.0)
    for found in in_processes(2, once, name, 3.0):
        assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["equal", "mgda", "gradient_ratio"])
def test_leaves_that_no_process_reaches_keep_no_gradient(name):
    def run():
        rank, count, group = processes()
        model = Model()
        losses = {"a": model.losses(SHARES[count][rank], count)["a"]} if rank == 0 else {}
        losses = losses if rank == 0 else {}
        backward(losses, create(name, TASKS), **model.lists, **group)
        return [name for name, p in model.named_parameters() if p.grad is None]

    for found in in_processes(2, run):
        assert found == ["heads.b.weight", "heads.b.bias", "heads.c.weight", "heads.c.bias"]


def test_gradients_are_sent_while_autograd_still_runs(monkeypatch):
    monkeypatch.setattr(averaging, "_BUCKET", 1)
    expected, events = once("equal"), []

    def run():
        rank, count, group = processes()
        model = Model()
        begin = Group.begin_total
        Group.begin_total = lambda *given: events.append("sent") or begin(*given)
        next(model.parameters()).register_hook(lambda _: events.append("first layer"))
        losses = model.losses(SHARES[count][rank], count)
        backward(losses, create("equal", TASKS), **model.lists, **group)
        return gradients(model), events

    found, events = in_processes(2, run)[0]
    assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert events[: len(events) // 2].count("sent") >= 3
    assert "sent" in events[: events.index("first layer")]


@pytest.mark.parametrize("options", [{}, {"memory": "low"}])
@pytest.mark.parametrize("count", [2, 3])
def test_rows_are_sent_while_the_next_ones_are_computed(monkeypatch, options, count):
    monkeypatch.setattr(shares, "_TOGETHER", 1)
    monkeypatch.setitem(SHARES, 3, [range(2), range(0), range(2, ROWS)])
    expected = once("mgda", **options)

    def run():
        rank, count, group = processes()
        model, events = Model(), []
        begin = Group.begin_share_of_total
        Group.begin_share_of_total = lambda *given: events.append("sent") or begin(*given)
        losses = model.losses(SHARES[count][rank], count)
        if losses:
            model.z.register_hook(lambda _: events.append("pass"))
        backward(losses, create("mgda", TASKS), **model.lists, **options, **group)
        return gradients(model), events

    for rank, (found, events) in enumerate(in_processes(count, run)):
        assert_close(found, expected, rtol=1e-12, atol=1e-12)
        assert events.count("sent") >= len(TASKS)
        if rank == 0:
            assert events[:6] == ["pass", "sent"] * len(TASKS)


@pytest.mark.parametrize("name", ["equal", "mgda"])
def test_an_optimizer_in_the_backward_pass_steps_once_with_the_joined_gradient(name):
    def run():
        rank, count, group = processes()
        model, steps = Model(), []

        def step(parameter):
            steps.append(1)
            parameter.data -= parameter.grad
            parameter.grad = None

        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(step)
        losses = model.losses(SHARES[count][rank], count)
        backward(losses, create(name, TASKS), **model.lists, **group)
        return model.state_dict(), len(steps)

    expected, count = run()
    for found, times in in_processes(2, run):
        assert times == count == 10
        assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["uncertainty", "mgda"])
def test_a_module_in_ddp_is_averaged_once(name):
    def run(wrap):
        rank, count, group = processes()
        model = Model()
        lists = model.lists
        if wrap:
            model.encoder = DistributedDataParallel(model.encoder)
        for _ in range(2):
            losses = model.losses(SHARES[count][rank], count)
            backward(losses, create(name, TASKS), **lists, **group)
        return [parameter.grad for parameter in lists["shared"]]

    for found in in_processes(2, run, True):
        assert_close(found, run(False), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "options"), [("equal", {}), ("mgda", {}), ("mgda", {"at": "representation"})]
)
def test_lists_may_be_generators(name, options):
    def run():
        rank, count, group = processes()
        model = Model()
        losses = model.losses(SHARES[count][rank], count)
        given = {"representation": model.z} if options else {}
        shared = (parameter for parameter in model.encoder.parameters())
        own = {
            task: (parameter for parameter in head.parameters())
            for task, head in model.heads.items()
        }
        backward(
            losses, create(name, TASKS), shared, task_parameters=own, **options, **given, **group
        )
        return gradients(model)

    expected = once(name) if not options else None
    first, second = in_processes(2, run)
    assert_close(first, second if expected is None else expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("name", ["equal", "mgda"])
def test_gradients_keep_the_precision_of_their_parameters(name, dtype):
    def run():
        rank, count, group = processes()
        x = torch.tensor([1.0, 2.0, 3.0], dtype=dtype, requires_grad=True)
        losses = {"a": count * x[rank].float(), "b": (x * x).sum().float()}
        balancer = create(name, ["a", "b"])
        backward(losses, balancer, shared=[x], task_parameters={}, **group)
        return x.grad

    first, second = in_processes(2, run)
    assert first.dtype == dtype
    assert torch.equal(first, second)
    if name == "equal":
        assert_close(first.float(), torch.tensor([3.0, 5.0, 6.0]))


@pytest.mark.parametrize("name", ["uncertainty", "mgda", "graddrop", "gradient_ratio"])
def test_an_overflow_on_one_process_skips_the_step_on_all(name):
    def run():
        rank, count, group = processes()
        model = Model()
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = model.losses(SHARES[count][rank], count)
        if rank == 1:
            losses["a"] = losses["a"] * torch.inf
        backward(losses, create(name, TASKS), **model.lists, scaler=scaler, **group)
        scaler.step(optimizer)
        scaler.update()
        return model.state_dict(), scaler.get_scale()

    for found, scale in in_processes(2, run):
        assert scale == 2.0
        assert_close(found, Model().state_dict(), rtol=0, atol=0)


def test_a_reentrant_checkpoint_is_refused():
    def change(rank, model, given):
        z = checkpoint(model.encoder, X.clone().requires_grad_(), use_reentrant=True)
        given["losses"] = {task: model.heads[task](z).square().mean() for task in TASKS}

    for message in refused(change, "equal"):
        assert "a reentrant checkpoint hides its parameters" in message


def refused(change, name="mgda", **options):
    """Return the message of each of two processes; ``change`` may alter the arguments of one."""

    def run():
        rank, count, group = processes()
        model = Model()
        losses = model.losses(SHARES[count][rank], count)
        given = {"losses": losses, "balancer": create(name, TASKS), **model.lists, **group}
        given |= options
        change(rank, model, given)
        with pytest.raises(InputError) as error:
            backward(**given)
        assert all(p.grad is None for p in model.parameters())
        return str(error.value)

    return in_processes(2, run)


def nothing(rank, model, given):
    pass


@pytest.mark.parametrize("option", ["shared", "task_parameters"])
def test_parameters_must_be_listed(option):
    for message in refused(nothing, **{option: None}):
        assert message.startswith(f"several processes need {option}: a process without rows")


def test_an_error_on_one_process_is_raised_on_all():
    def change(rank, model, given):
        if rank == 1:
            given["losses"]["a"] = given["losses"]["a"].repeat(2)

    first, second = refused(change)
    assert "failed on another process" in first
    assert "the loss of 'a' has shape (2,)" in second


@pytest.mark.parametrize("name", ["equal", "mgda"])
def test_a_loss_may_reach_no_parameter_that_is_not_listed(name):
    def change(rank, model, given):
        del given["task_parameters"]["c"]

    for message in refused(change, name):
        assert "the loss of 'c' reaches a parameter of shape (1, 6) that is in neither" in message


def test_a_penalty_may_reach_no_parameter_that_is_not_listed():
    def change(rank, model, given):
        given["penalty"] = torch.ones(2, requires_grad=True).sum()

    for message in refused(change, "equal"):
        assert "the penalty reaches a parameter of shape (2,) that is in neither" in message


@pytest.mark.parametrize("more", [[], [torch.float64]])
def test_lists_must_be_alike(more):
    def change(rank, model, given):
        for dtype in [torch.float32] if rank == 1 else more:
            given["shared"] = [*given["shared"], nn.Parameter(torch.ones(2, dtype=dtype))]

    for message in refused(change):
        assert "the processes call motet.backward with different arguments" in message


def test_options_of_the_balancer_must_be_alike():
    def change(rank, model, given):
        given["balancer"] = create("mgda", TASKS, scale=["sum", "mean"][rank])

    for message in refused(change):
        assert "the processes call motet.backward with different arguments" in message


def test_some_process_must_have_a_loss():
    def change(rank, model, given):
        given["losses"] = {}

    for message in refused(change):
        assert "no process has a loss with a graph" in message


@pytest.mark.parametrize("tasks", ["abc", "ac"])
def test_the_last_layer_is_that_of_all_tasks_or_refused(tasks):
    def run():
        rank, count, group = processes()
        torch.manual_seed(0)
        first, second = nn.Linear(3, 3).double(), nn.Linear(3, 3).double()
        heads = nn.ModuleDict({task: nn.Linear(3, 1).double() for task in TASKS})
        z = first(torch.ones(1, 3, dtype=torch.float64)).tanh()
        deep = second(z).tanh()
        states = {"a": z, "b": first(deep).tanh(), "c": deep}
        losses = {task: heads[task](state).square().sum() for task, state in states.items()}
        if count > 1:  # a and c have a row on the first process, b one on each of the two
            losses = {task: loss if task == "b" else 2 * loss for task, loss in losses.items()}
            here = tasks if rank == 0 else "b"
            losses = {task: losses[task] for task in here}
        balancer, shared = create("gradnorm", TASKS), nn.ModuleList([first, second])
        try:
            backward(losses, balancer, shared, task_parameters=dict(heads), **group)
        except InputError as error:
            return str(error)
        return {name: value.double() for name, value in balancer.state_dict().items()}

    expected = run()
    for found in in_processes(2, run):
        if tasks == "abc":
            assert_close(found, expected, rtol=1e-12, atol=1e-12)
        else:
            assert "which is another one for the tasks of each process" in found


def test_complex_parameters_are_refused():
    def change(rank, model, given):
        given["shared"] = [*given["shared"], nn.Parameter(torch.ones(2, dtype=torch.cfloat))]

    for message in refused(change, "equal"):
        assert "a listed parameter is complex" in message


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("mgda", {"gramian": "layers"}, "those of rows on different processes would be missing"),
        ("mgda", {"at": "representation"}, "needs representation="),
        ("graddrop", {"at": "representation"}, "columns of its own rows"),
    ],
)
def test_what_is_not_exact_is_refused_with_the_reason(name, options, reason):
    for message in refused(nothing, name, **options):
        assert reason in message


def test_a_penalty_waits_for_the_call_that_solves():
    def change(rank, model, given):
        given |= {"solve": False, "penalty": next(model.parameters()).sum()}

    for message in refused(change):
        assert "only at the call that solves; give it the penalty" in message


def test_a_process_group_is_one_of_torch_distributed():
    model = Model()
    with pytest.raises(InputError, match=r"process_group is true, expected one of torch.distrib"):
        backward(model.losses(ALL), create("mgda", TASKS), **model.lists, process_group=True)


def test_a_group_of_one_process_needs_no_lists():
    def run():
        model = Model()
        alone = [distributed.new_group([rank]) for rank in range(2)][distributed.get_rank()]
        backward(model.losses(ALL), create("mgda", TASKS), process_group=alone)
        return gradients(model)

    for found in in_processes(2, run):
        assert_close(found, once("mgda"))
