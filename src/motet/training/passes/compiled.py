"""Compiled parts of a model, in use during the passes of a step.

Encoders, experts and heads are compiled each by itself, so that autograd's graph still shows what
tasks share. Random numbers are those of the model as it is. Evaluation, steps that are tried, and
other users of the model run it as it is, and names of parameters do not change.

Costs: some seconds for each part in the first step, and once more where shapes turn out to vary.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from motet.model import MultiTaskModel
from motet.sharing.experts import LoopedExperts, StackedExperts

Call = Callable[..., Any]


class Compiled:
    """The compiled parts of a model.

    Args:
        parts: The modules to compile; none of them contains another.
    """

    def __init__(self, parts: list[nn.Module]) -> None:
        self.calls = [(part, _compiled(part)) for part in parts]
        """The modules, and their compiled code."""

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let modules run their compiled code inside."""
        before = [vars(part).get("forward") for part, _ in self.calls]
        for part, call in self.calls:
            vars(part)["forward"] = call
        try:
            yield
        finally:
            for (part, _), own in zip(self.calls, before, strict=True):
                del vars(part)["forward"]
                if own is not None:
                    vars(part)["forward"] = own


def parts_to_compile(model: MultiTaskModel) -> list[nn.Module]:
    """List the modules that have several layers, and whose outputs depend on the same parameters.

    What a scheme does between them, such as gates, stays as it is: compiled code does not show
    which of its outputs depend on what, by which parameters are assigned to tasks. So do recurrent
    layers, and what calls them: torch does not compile these, and what is around them would be in
    many small pieces.

    Returns:
        Modules of which none contains another.
    """
    found = [each for root in (model.sharing, *model.heads) for each in _parts(root)]
    parts = [each for each in dict.fromkeys(found) if _has_layers(each)]
    inside = {id(each) for part in parts for each in part.modules() if each is not part}
    return [part for part in parts if id(part) not in inside]


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    ours = type(module).__module__.startswith("motet.sharing")
    if (
        isinstance(module, (nn.ModuleList, nn.ModuleDict))
        or (ours and not isinstance(module, (LoopedExperts, StackedExperts)))
        or any(isinstance(each, nn.RNNBase) for each in module.modules())
    ):
        for child in module.children():
            yield from _parts(child)
    else:
        yield module


def _has_layers(module: nn.Module) -> bool:
    layers = [each for each in module.modules() if not any(True for _ in each.children())]
    return len(layers) > 1 and any(True for _ in module.parameters())


def _compiled(module: nn.Module) -> Call:
    forward = _of_its_own(module.forward)
    compiled = torch.compile(forward, options={"fallback_random": True})  # draws as if it were not
    several = False

    def call(*given: Any, **named: Any) -> Any:
        nonlocal several
        tensors = [each for each in tree_leaves((given, named)) if isinstance(each, Tensor)]
        one = all(each.shape[:1] == (1,) for each in tensors)
        if one and several:  # a last batch of one row, for which torch would compile anew
            return forward(*given, **named)
        several = not one
        for each in tensors:
            _mark_varying(each)
        return compiled(*given, **named)

    return call


def _mark_varying(tensor: Tensor) -> None:
    """Let the number of rows, and the lengths of texts, vary without being compiled again.

    Tokens are (B, L), their letters (B, L, K), states of tokens (B, L, D).
    """
    varying = min(tensor.dim(), 1)
    if tensor.dim() in (2, 3):
        varying = tensor.dim() - tensor.is_floating_point()
    for dimension in range(varying):
        torch._dynamo.maybe_mark_dynamic(tensor, dimension)


def _of_its_own(forward: Call) -> Call:
    """Return a function with code of its own.

    Compiled variants are kept, and limited in number, for a function's code, which all modules of
    a class share; and torch's own classes, such as `nn.Sequential`, with each other.
    """

    def own(*given: Any, **named: Any) -> Any:
        return forward(*given, **named)

    return FunctionType(own.__code__.replace(), own.__globals__, closure=own.__closure__)
