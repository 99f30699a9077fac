"""Every registered scheme on one small network, in float64."""

import torch
from torch import nn

from motet import sharing
from motet.model import MultiTaskModel
from motet.sharing.experts import StackedLinear
from motet.tasks import Classification, Regression

TASKS = ("a", "b", "c")
WIDTH = 3
OPTIONS = {
    "mmoe": {"experts": 3},
    "cgc": {"experts": 2, "task_experts": 1},
    "ple": {"experts": 2, "task_experts": 2, "levels": 3},
    "dselect_k": {"experts": 5, "k": 2},
    "attention": {"width": 4},
}
"""Options that make a scheme small, or that it cannot be without."""

FORMS = {
    "attention of tokens": ("attention", {"form": "tokens", "width": 4, "heads": 2}),
    "progressive without adapters": ("progressive", {"adapters": False}),
    "routing, learned": ("routing", {"mode": "learned", "pick": "soft", "width": 3}),
    "routing, learned for all rows": ("routing", {"mode": "learned", "pick": "soft", "blocks": 2}),
    "soft, proximal": ("soft", {"regularizer": "group_lasso", "proximal": True}),
}
"""More that has to hold what every scheme has to."""

X = torch.randn(7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = {
    "a": torch.linspace(-1, 1, 7, dtype=torch.float64),
    "b": torch.tensor([0, 1, -100, 2, 1, -100, 0]),
    "c": torch.tensor([0.3, torch.nan, 1.0, -2.0, torch.nan, 0.0, 1.0], dtype=torch.float64),
}


def backbone():
    """Four stages, each with an activation."""
    sizes = ((4, 6), (6, 5), (5, 5), (5, WIDTH))
    layers = [layer for size in sizes for layer in (nn.Linear(*size), nn.Tanh())]
    return nn.Sequential(*layers)


def scheme(name, **more):
    name, options = FORMS.get(name, (name, OPTIONS.get(name, {})))
    return sharing.create(name, **{**options, **more})


def module(name, seed=0, **more):
    torch.manual_seed(seed)
    stages = sharing.Stages.of(backbone())
    return scheme(name, **more).build(stages, TASKS, WIDTH).double()


def model(name, seed=0, encoder=backbone, **more):
    torch.manual_seed(seed)
    tasks = [Regression("a"), Classification("b", classes=3), Regression("c")]
    return MultiTaskModel(encoder(), tasks, sharing=scheme(name, **more)).double()


def reached(found):
    """For each parameter, the tasks whose representation reaches it."""
    states = found(X, TASKS)
    parameters = list(found.parameters())
    tasks = {}
    for task, state in states.items():
        each = torch.autograd.grad(state.sum(), parameters, retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(parameters, each, strict=True):
            if gradient is not None:
                tasks.setdefault(parameter, set()).add(task)
    return tasks


def counted_rows(monkeypatch):
    """Note how many rows each product of one expert has."""
    seen = []
    of_parts = StackedLinear.of_parts

    def noted(self, parts):
        seen.append([len(part) for part in parts])
        return of_parts(self, parts)

    monkeypatch.setattr(StackedLinear, "of_parts", noted)
    return seen
