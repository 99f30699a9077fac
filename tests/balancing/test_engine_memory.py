"""Gradients of the tasks are the memory that balancing takes, and little else."""

from itertools import accumulate

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from motet.balancing import available, backward, create
from motet.balancing.families import GramianBalancer, JacobianBalancer

TASKS = ("a", "b", "c", "d")
READING = [
    name
    for name in available()
    if name != "manual" and isinstance(create(name, TASKS), (GramianBalancer, JacobianBalancer))
]


def peak(balancer, **options):
    """Return the most bytes that a first step holds, and those of one gradient per task."""
    torch.manual_seed(0)
    layers = [layer for _ in range(4) for layer in (nn.Linear(384, 384), nn.ReLU())]
    encoder, inputs = nn.Sequential(*layers), torch.randn(32, 384)
    heads = [nn.Linear(384, 1) for _ in TASKS]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        features = encoder(inputs)
        losses = {t: head(features).square().mean() for t, head in zip(TASKS, heads, strict=True)}
        if balancer is None:
            sum(losses.values()).backward()
        else:
            backward(losses, balancer, shared=encoder, **options)
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    ordered = sorted(events, key=lambda event: event.start_ns())
    rows = len(TASKS) * 4 * sum(p.numel() for p in encoder.parameters())
    return max(accumulate(event.nbytes() for event in ordered)), rows


@pytest.mark.parametrize("name", READING)
def test_a_step_holds_one_gradient_per_task_and_one_state_of_that_size(name):
    balancer = create(name, TASKS)
    jacobian = isinstance(balancer, JacobianBalancer)
    state, options = (len(balancer.column_state), {}) if jacobian else (0, {"gramian": "rows"})
    plain, rows = peak(None)
    held, _ = peak(balancer, **options)
    assert held <= 1.1 * (plain + (1 + state) * rows)
