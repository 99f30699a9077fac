"""What happens before the first step of a run, and what does not: imports and collections."""

import json
import subprocess
import sys

LOADED = """
import gc, json, sys
import motet.cli.training
from motet.cli.importing import importing
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase))
with importing():
    import motet.run.training
    count = len(collections)
import motet, torch
weight = torch.ones(2, requires_grad=True)
balancer = motet.balancing.create("equal", ["a", "b"])
motet.backward({"a": weight.sum(), "b": weight.square().sum()}, balancer, shared=[weight])
assert weight.grad.tolist() == [3.0, 3.0]
print(json.dumps([count, gc.isenabled(), gc.get_freeze_count(), sorted(sys.modules)]))
"""


LEFT_OUT = {"pyarrow.dataset", "torch._dynamo", "torch.fx.experimental.symbolic_shapes", "sympy"}


def test_a_command_imports_without_collections_and_no_more_than_its_steps_need():
    call = [sys.executable, "-c", LOADED]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    count, collects, frozen, modules = json.loads(done.stdout)
    assert count == 0
    assert collects
    assert frozen > 0
    assert "torch" in modules
    assert not LEFT_OUT & set(modules)
