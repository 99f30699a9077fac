"""What a step does, counted without a clock: the numbers were recorded once and may only fall.

A step of one batch is the fast path of training; whatever is added around it must cost it nothing.
"""

import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import motet
from motet.model import MultiTaskModel
from motet.tasks import Classification, Regression
from motet.training import Trainer

HERE = str(Path(motet.__file__).parent)
RECORDED = {
    "equal": {"operations": 138, "reads": 11, "forwards": 1, "calls": 145},
    "uncertainty": {"operations": 167, "reads": 10, "forwards": 1, "calls": 146},
    "pcgrad": {"operations": 244, "reads": 11, "forwards": 1, "calls": 352},
}
"""Where weights are fixed, the total is read, which these counts see; else all losses are, as a
list, which they do not see."""
WARM = 40
"""Steps before the one that is counted: not one of those that look at graphs or gradients."""


class Operations(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


def work(balancer):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU())
    tasks = [Classification("a", classes=3), Regression("b"), Regression("c")]
    trainer = Trainer(MultiTaskModel(encoder, tasks), balancer)
    batch = {
        "inputs": torch.randn(16, 6),
        "targets": {"a": torch.arange(16) % 3, "b": torch.randn(16), "c": torch.randn(16)},
    }
    batch["targets"]["c"][::2] = torch.nan
    for _ in range(WARM):
        trainer.train_step(batch)
    forwards, calls = [], []
    encoder.register_forward_hook(lambda *_: forwards.append(1))

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(HERE):
            calls.append(frame.f_code.co_qualname)

    with Operations() as operations:
        trainer.train_step(batch)
    seen = len(forwards)
    sys.setprofile(note)
    trainer.train_step(batch)
    sys.setprofile(None)
    return {
        "operations": operations.counts.total(),
        "reads": operations.counts["_local_scalar_dense"],
        "forwards": seen,
        "calls": len(calls),
    }


@pytest.mark.parametrize("balancer", list(RECORDED))
def test_a_step_does_no_more_than_it_did(balancer):
    found = work(balancer)
    more = {
        key: (n, RECORDED[balancer][key]) for key, n in found.items() if n > RECORDED[balancer][key]
    }
    assert not more, f"found and recorded: {more}"
