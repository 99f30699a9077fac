"""Half precision in two processes that hold a part of the parameters each, or all of them."""

import torch
from torch import distributed, nn

from motet.balancing import backward, create
from motet.processes import processes_of
from tests.gloo import in_processes

TASKS = ("a", "b")
BALANCERS = ("equal", "upgrad", "graddrop", "db_mtl")
LARGE = 60.0  # as a target: the loss is finite, its gradient times the scale is not in float16


def trained(name, dtype, sharded):
    """Parameters after each of three steps, the second of which overflows in the last process."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    heads = nn.ModuleDict({task: nn.Linear(4, 1) for task in TASKS})
    rows = torch.randn(8, 6)[processes_of().share(8)]
    balancer = create(name, TASKS)
    options = {"shared": encoder, "task_parameters": dict(heads)}
    if sharded:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (2,))
        for module in (encoder, *heads.values()):  # all: torch's scaler takes no mixture
            fully_shard(module, mesh=mesh)
    else:
        options["process_group"] = distributed.group.WORLD
    leaves = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.SGD(leaves, 1e-4)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    found = []
    for step in range(3):
        overflows = step == 1 and processes_of().rank == 1
        with torch.autocast("cpu", dtype):
            z = encoder(rows)
            target = LARGE if overflows else 0.5
            losses = {task: (head(z) - target).square().mean() for task, head in heads.items()}
        optimizer.zero_grad()
        result = backward(losses, balancer, scaler=scaler, **options)
        scaler.step(optimizer)
        scaler.update()
        assert all(loss.isfinite() for loss in result.losses.values())
        whole = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in leaves]
        found.append((torch.cat([p.detach().flatten() for p in whole]), scaler.get_scale()))
    return found


def test_an_overflow_in_one_process_skips_the_step_in_both_with_fsdp():
    names = [name for name in BALANCERS if name != "graddrop"]

    def each():
        return {name: trained(name, torch.float16, sharded=True) for name in names}

    first, second = in_processes(2, each)
    for name in names:
        (one, scale), (skipped, halved), (later, kept) = first[name]
        assert torch.equal(one, skipped), name
        assert not torch.equal(skipped, later), name
        assert (scale, halved, kept) == (4096.0, 2048.0, 2048.0)
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)


def test_bfloat16_has_the_range_of_float32_and_skips_nothing():
    def each():
        return {name: trained(name, torch.bfloat16, sharded=False) for name in BALANCERS}

    first, second = in_processes(2, each)
    for name, steps in first.items():
        assert [scale for _, scale in steps] == [4096.0] * 3
        assert not torch.equal(steps[0][0], steps[1][0])
        torch.testing.assert_close(steps, second[name], rtol=0, atol=0)
