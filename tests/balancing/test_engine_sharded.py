"""`motet.backward` on parameters of FSDP2, in two processes: what one process gives on all rows."""

from copy import deepcopy

import pytest
import quick_cases
import torch
from graphs import Agreed, data, linear
from quick_cases import others_slow
from torch import distributed, nn

from motet.balancing import available, backward, create
from motet.balancing.families import JacobianBalancer
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.processes import processes_of
from motet.tasks import Regression
from motet.training import Trainer
from tests.gloo import in_processes

TASKS = ("a", "b", "c")
ROWS = 7
LABELLED = {"a": [0, 1, 2, 5, 6], "b": range(ROWS), "c": [1, 2]}  # c: on one process alone
OPTIONS = {"gradnorm": {"layer": "all"}, "manual": {"weights": {"a": 1.0, "b": 2.0, "c": 0.5}}}
REFUSED = {"graddrop", "gradient_ratio", "meta"}


class Net(nn.Module):
    """An encoder and heads; of those, FSDP has the first, the others are whole everywhere."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(linear(3, 5), nn.Tanh(), linear(5, 4))
        self.heads = nn.ModuleDict({task: linear(4, 2) for task in TASKS})

    def sharded(self):
        if processes_of().several:
            fully_shard, mesh = _fsdp()
            for module in (*self.encoder[::2], self.encoder, self.heads["a"]):
                fully_shard(module, mesh=mesh)
        self.listed = {
            "shared": list(self.encoder.parameters()),
            "task_parameters": {task: list(head.parameters()) for task, head in self.heads.items()},
        }
        return self

    def states(self, rows=slice(0, ROWS)):
        """States of this process's share of some rows, and which rows these are."""
        rows = range(ROWS)[rows]
        mine = list(rows[processes_of().share(len(rows))])
        return self.encoder(data(ROWS, 3)[mine]).tanh(), mine

    def losses(self, z, rows):
        """Each a mean over all labelled rows, of which this process may have none."""
        found = {}
        for place, task in enumerate(TASKS):
            here = [number for number, row in enumerate(rows) if row in LABELLED[task]]
            target = data(ROWS, 3)[rows][here, place, None]
            errors = (self.heads[task](z[here]) - target).square().sum()
            found[task] = errors * processes_of().count / len(LABELLED[task])
        return found

    def whole(self, gradients=False):
        """Every parameter, or its gradient, gathered."""
        for module in self.modules():
            if hasattr(module, "reshard"):
                module.reshard()
        found = [p.grad if gradients else p.detach() for p in self.parameters()]
        return [p.full_tensor() if hasattr(p, "full_tensor") else p for p in found]

    def lists(self):
        return {"shared": self.encoder, "task_parameters": dict(self.heads)}


def _fsdp():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    return fully_shard, init_device_mesh("cpu", (distributed.get_world_size(),))


@pytest.fixture(autouse=True, scope="module")
def imported():
    """Imports once what each process would import for itself; this takes seconds."""
    import torch.distributed.fsdp  # noqa: F401


def trained(make, steps=5, call=None):
    """Parameters after some steps, the weights of the last one, and the balancer's state."""
    net = Net().sharded()
    balancer = make()
    optimizer = torch.optim.SGD([*net.parameters(), *balancer.parameters()], 0.1, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        if call is None:
            result = backward(net.losses(*net.states()), balancer, **net.lists())
        else:
            result = call(net, balancer)
        optimizer.step()
    weights = None if result.weights is None else torch.stack([*result.weights.values()])
    return {
        "parameters": net.whole(),
        "weights": weights,
        "losses": torch.stack([*result.losses.values()]),
        "gramian": result.gramian,
        "own": [p.detach() for p in balancer.parameters()],
    }


def assert_as_one(work, *arguments, count=2):
    """Compare what each of several processes finds with what one does."""
    expected = work(*arguments)
    for found in in_processes(count, work, *arguments):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12, check_dtype=False)


def balancers():
    return [name for name in available() if name not in REFUSED]


QUICK = [name for name in quick_cases.BALANCERS if name not in REFUSED]


@pytest.mark.parametrize(
    ("names", "count"),
    [
        pytest.param(QUICK, 2, id="2"),
        *(pytest.param(balancers(), n, id=f"all-{n}", marks=pytest.mark.slow) for n in (2, 4)),
    ],
)
def test_five_steps_of_every_balancer_are_those_of_one_process(names, count):
    def each():
        return {
            name: trained(lambda name=name: create(name, TASKS, **OPTIONS.get(name, {})))
            for name in names
        }

    assert_as_one(each, count=count)


def with_options(net, balancer, **options):
    return backward(net.losses(*net.states()), balancer, **net.lists(), **options)


def in_micro_batches(net, balancer):
    first = backward(net.losses(*net.states(slice(0, 3))), balancer, **net.lists(), solve=False)
    rest = net.losses(*net.states(slice(3, ROWS)))
    return backward(rest, balancer, **net.lists(), previous=first)


def with_penalty(net, balancer):
    z, rows = net.states()
    losses = net.losses(z, rows)
    penalty = (z.square().sum() + net.heads["b"](z).square().sum()) * processes_of().count
    return backward(losses, balancer, **net.lists(), penalty=penalty)


def at_representation(net, balancer, **options):
    z, rows = net.states()
    options = net.lists() | {"at": "representation", "representation": z} | options
    return backward(net.losses(z, rows), balancer, **options)


def with_scaler(net, balancer):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    result = with_options(net, balancer, scaler=scaler)
    for parameter in net.parameters():
        parameter.grad /= 1024.0
    return result


CALLS = {
    "weighted heads": lambda net, balancer: with_options(net, balancer, heads="weighted"),
    "rows": lambda net, balancer: with_options(net, balancer, gramian="rows"),
    "lists of parameters": lambda net, balancer: backward(
        net.losses(*net.states()), balancer, **net.listed | {"shared": iter(net.listed["shared"])}
    ),
    "micro-batches": in_micro_batches,
    "penalty": with_penalty,
    "representation": at_representation,
    "representation, weighted heads": lambda net, balancer: at_representation(
        net, balancer, heads="weighted"
    ),
    "scaler": with_scaler,
}
KINDS = {
    "upgrad": {},
    "upgrad, every": {"every": 2},
    "upgrad, weighted losses": {"losses": "uncertainty"},
    "moco": {},
    "uncertainty": {},
}
NO_GRADIENTS = {"weighted heads", "rows", "representation", "representation, weighted heads"}
NOT_MOCO = {"rows", "representation", "representation, weighted heads"}


@pytest.mark.parametrize("kind", others_slow(["upgrad", "moco"], KINDS))
def test_options_of_a_call_are_those_of_one_process(kind):
    name = kind.partition(",")[0]
    left_out = {"uncertainty": NO_GRADIENTS, "moco": NOT_MOCO}.get(name, set())

    def each():
        return {
            call: trained(lambda: create(name, TASKS, **KINDS[kind]), 3, CALLS[call])
            for call in CALLS
            if call not in left_out
        }

    assert_as_one(each)


def test_processes_without_a_number_of_some_parameter_take_part():
    assert_as_one(lambda: trained(lambda: create("moco", TASKS), 2), count=4)


class Clipped(JacobianBalancer):
    """Column by column, with a sum over all of them."""

    divisible = True

    def forward(self, jacobian, losses, present):
        longest = self.over_columns(jacobian.abs().sum(dim=1)).max()
        return jacobian.clamp(-1, 1).sum(dim=0) / longest


@pytest.mark.parametrize("options", [{}, {"unit": True}])
def test_a_method_of_ones_own_may_divide_columns(options):
    def each():
        whole = trained(lambda: Clipped(TASKS, **options), 3)
        return whole, trained(lambda: Clipped(TASKS, **options), 3, at_representation)

    assert_as_one(each)


def test_one_gradient_per_task_is_scattered_and_parameters_are_gathered_once(monkeypatch):
    sizes = {"reduce_scatter_single": [], "all_gather_single": [], "all_reduce": []}

    def counted(name):
        exchange = getattr(distributed, name)

        def call(*tensors, **options):
            given = [options.get("output"), *tensors, options.get("input")]
            sizes[name].append(max(each.numel() for each in given if each is not None))
            return exchange(*tensors, **options)

        return call

    def exchanged():
        net, balancer = Net().sharded(), create("pcgrad", TASKS)
        losses = net.losses(*net.states())
        for name in sizes:
            monkeypatch.setattr(distributed, name, counted(name))
        backward(losses, balancer, **net.lists())
        return {name: sum(each) for name, each in sizes.items()}

    encoder, head, heads = 18 + 6 + 20 + 4, 8 + 2, 2 * (8 + 2)  # axes of even length
    for found in in_processes(2, exchanged):
        assert found["reduce_scatter_single"] == 3 * encoder + head
        assert found["all_gather_single"] == encoder + head
        assert found["all_reduce"] == heads + 8 + 8 + 2 * 3 + 3 * 3  # flags, facts, losses, Gramian


def message(call, *arguments):
    try:
        call(*arguments)
    except InputError as error:
        return str(error)


REFUSALS = {
    "graddrop": (lambda net: with_options(net, create("graddrop", TASKS)), "whole task gradients"),
    "custom": (lambda net: with_options(net, Agreed(TASKS)), "whole task gradients"),
    "ratio": (lambda net: with_options(net, create("gradient_ratio", TASKS)), "layer='all'"),
    "last": (lambda net: with_options(net, create("gradnorm", TASKS)), "layer='all'"),
    "meta": (lambda net: with_options(net, create("meta", TASKS)), "tries a step"),
    "low": (lambda net: with_options(net, create("pcgrad", TASKS), memory="low"), "saves nothing"),
    "layers": (
        lambda net: with_options(net, create("pcgrad", TASKS), gramian="layers"),
        "reads weights in the graph",
    ),
    "no representation": (
        lambda net: with_options(net, create("pcgrad", TASKS), at="representation"),
        "give representation=",
    ),
    "no lists": (
        lambda net: backward(
            net.losses(*net.states()), create("pcgrad", TASKS), shared=net.encoder
        ),
        "several processes need task_parameters",
    ),
    "mixed": (
        lambda net: backward(
            net.losses(*net.states()),
            create("pcgrad", TASKS),
            shared=nn.ModuleList([net.encoder, net.heads["b"]]),
            task_parameters={},
        ),
        "2 whole ones",
    ),
    "a loss on one process": (
        lambda net: backward(
            {
                task: loss
                for task, loss in net.losses(*net.states()).items()
                if task != "c" or processes_of().first
            },
            create("pcgrad", TASKS),
            **net.lists(),
        ),
        "1 of 2 processes gave a loss of 'c'",
    ),
    "unlisted": (
        lambda net: backward(
            net.losses(*net.states()),
            create("pcgrad", TASKS),
            shared=net.encoder,
            task_parameters={"a": net.heads["a"]},
        ),
        "List it in task_parameters",
    ),
    "gathered": (
        lambda net: backward(
            net.losses(*net.states()),
            create("pcgrad", TASKS),
            shared=net.encoder,
            task_parameters={task: list(head.parameters()) for task, head in net.heads.items()},
        ),
        "FSDP gathered",
    ),
}


@pytest.mark.parametrize("name", ["equal", "pcgrad", "graddrop"])
@pytest.mark.parametrize("place", ["`shared`", "`task_parameters`"])
def test_parameters_that_fsdp_gathered_are_refused(name, place):
    def each():
        fully_shard, mesh = _fsdp()
        net = Net()
        for module in [net.encoder] if place == "`shared`" else net.heads.values():
            fully_shard(module, mesh=mesh)
        losses = net.losses(*net.states())
        lists = {"shared": list(net.encoder.parameters()), "task_parameters": dict(net.heads)}
        group = distributed.group.WORLD
        return message(lambda: backward(losses, create(name, TASKS), **lists, process_group=group))

    for found in in_processes(2, each):
        assert (found or "").startswith(f"{place} holds a parameter that FSDP gathered")


def test_what_is_not_exact_is_refused_by_every_process():
    def each():
        return {name: message(call, Net().sharded()) for name, (call, _) in REFUSALS.items()}

    first, second = in_processes(2, each)
    assert first == second
    for name, (_, expected) in REFUSALS.items():
        assert expected in (first[name] or ""), name


def test_the_trainer_refuses_a_model_in_parts():
    def each():
        fully_shard, mesh = _fsdp()
        model = MultiTaskModel(nn.Linear(3, 4), [Regression("a")])
        fully_shard(model, mesh=mesh)
        return message(Trainer, model)

    for found in in_processes(2, each):
        assert "of which each process holds a part" in found


def test_a_value_on_one_process_that_is_not_finite_gives_weights_of_nan_on_all():
    def each():
        found = []
        for name in ("pcgrad", "moco", "equal"):
            net = Net().sharded()
            z, rows = net.states()
            losses = net.losses(z * (torch.inf if processes_of().first else 1.0), rows)
            result = backward(losses, create(name, TASKS), **net.lists())
            found.append((result.status, torch.stack([*result.weights.values()])))
        return found

    first, second = in_processes(2, each)
    for (status, weights), (other, _) in zip(first, second, strict=True):
        assert status == other != "ok"
        assert weights.isnan().all()


def test_columns_that_a_balancer_remembers_are_those_of_its_process():
    def each():
        net, balancer = Net().sharded(), create("moco", TASKS)
        backward(net.losses(*net.states()), balancer, **net.lists())
        states = processes_of().of_each(balancer.state_dict())
        found = []
        for state in (states[processes_of().rank], states[0]):
            again = create("moco", TASKS)
            again.load_state_dict(deepcopy(state))
            call = lambda again=again: backward(  # noqa: E731
                net.losses(*net.states()), again, **net.lists()
            )
            found.append(message(call))
        return found

    first, second = in_processes(2, each)
    assert first[0] is second[0] is None
    assert "here part 1 of 2, found 2 of 2" in second[1]
    assert "here part 1 of 2, found 1 of 2" in first[1]  # it would wait for the other
