"""A fixture of files that compile often; one that imports it has it in each test."""

import pytest
import torch

from motet.training.passes import checks, compiled


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Compile to a graph that is one node of autograd's, but not to machine code."""
    compile = torch.compile
    monkeypatch.setattr(checks, "_lacking_compiler", lambda device: None)  # none is called
    monkeypatch.setattr(
        compiled.torch, "compile", lambda forward, options: compile(forward, backend="aot_eager")
    )
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
