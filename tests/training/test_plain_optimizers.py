"""Optimizers without the compiler: the steps, hooks and states of torch's."""

import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from motet.training import plain_optimizers

TRAINED = """
import sys, torch
from torch import nn
import motet
def made():
    tasks = [motet.tasks.Regression("a"), motet.tasks.Regression("b")]
    return motet.Trainer(motet.MultiTaskModel(nn.Linear(3, 4), tasks), "pcgrad", clip_norm=1.0)
data = torch.ones(8, 3), {"a": torch.arange(8.0), "b": torch.arange(8.0)}
trainer, other = made(), made()
trainer.fit(data, data, epochs=2)
other.load_state(trainer.state())
print("torch._dynamo" in sys.modules)
"""


def test_a_run_does_not_import_the_compiler():
    done = subprocess.run(
        [sys.executable, "-c", TRAINED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


def steps_of(kind, hooked=False):
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    optimizer, seen = kind(layer.parameters(), lr=0.1, weight_decay=0.1), []
    if hooked:
        optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
        optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.arange(6.0).view(2, 3)).square().sum().backward()
        optimizer.step()
    return layer.weight.detach(), seen, optimizer


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "SGD"])
def test_steps_hooks_and_states_are_those_of_torch(name, hooked):
    own, torchs = getattr(plain_optimizers, name), getattr(torch.optim, name)
    weight, seen, optimizer = steps_of(own, hooked)
    expected, also_seen, other = steps_of(torchs, hooked)
    assert torch.equal(weight, expected)
    assert seen == also_seen == (["before", "after"] * 3 if hooked else [])
    other.load_state_dict(optimizer.state_dict())
    optimizer.load_state_dict(other.state_dict())
    assert isinstance(optimizer, torchs)
    assert type(optimizer).__name__ == name
    assert type(pickle.loads(pickle.dumps(optimizer))) is own


def test_a_step_is_in_the_profile():
    _, _, optimizer = steps_of(plain_optimizers.SGD)
    with torch.profiler.profile() as profile:
        optimizer.step()
    assert any("Optimizer.step#SGD" in each.key for each in profile.key_averages())
