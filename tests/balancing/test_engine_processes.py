"""`motet.backward` where torch.distributed runs several processes: refused, not silently wrong."""

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from motet.balancing import backward, create
from motet.problems import InputError

TASKS = ["a", "b"]
GRADIENT_BALANCERS = ("pcgrad", "mgda", "graddrop", "gradient_ratio")
LOSS_BALANCERS = ("equal", "uncertainty", "gradnorm")


@pytest.fixture
def processes(monkeypatch):
    """Lets torch.distributed say that it runs so many processes."""

    def runs(count):
        monkeypatch.setattr(distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(distributed, "get_world_size", lambda: count)

    return runs


def losses(x):
    return {"a": (x**2).sum(), "b": (3 * x).sum()}


@pytest.mark.parametrize("name", GRADIENT_BALANCERS)
def test_balancers_of_gradients_refuse_several_processes_and_leave_no_gradient(name, processes):
    processes(2)
    x = torch.ones(1, requires_grad=True)
    with pytest.raises(
        InputError,
        match=r"runs 2 processes, .* give motet.backward process_group=.*such as `equal`",
    ):
        backward(losses(x), create(name, TASKS))
    assert x.grad is None


@pytest.mark.parametrize(
    ("name", "count"), [("pcgrad", 1), *((name, 2) for name in LOSS_BALANCERS)]
)
def test_one_process_and_balancers_of_losses_are_not_refused(name, count, processes):
    processes(count)
    x = torch.ones(1, requires_grad=True)
    backward(losses(x), create(name, TASKS))
    assert x.grad != 0


@pytest.mark.slow
def test_under_ddp_replicas_are_averaged_or_refused(tmp_path):
    multiprocessing.spawn(_replica, (str(tmp_path / "meeting"),), nprocs=2)


def _replica(rank, meeting):
    """One process: raises, and so fails the test, where its gradients are not those of all rows."""
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model, rows = nn.Linear(3, 2), torch.randn(2, 5, 3)
    wrapped = DistributedDataParallel(model)

    def by_task(module, inputs):
        return dict(zip(TASKS, module(inputs).square().mean(dim=0), strict=True))

    for name in GRADIENT_BALANCERS:
        with pytest.raises(InputError, match="runs 2 processes"):
            backward(by_task(wrapped, rows[rank]), create(name, TASKS), shared=model)
    expected = torch.autograd.grad(sum(by_task(model, rows.flatten(0, 1)).values()), model.weight)
    for name in ("equal", "gradnorm"):  # whose first weights are 1
        wrapped.zero_grad()
        backward(by_task(wrapped, rows[rank]), create(name, TASKS), shared=model)
        torch.testing.assert_close(model.weight.grad, *expected)
    distributed.barrier()  # who leaves first would close connections that the other still needs
    distributed.destroy_process_group()
