"""Random networks: all kinds of module, reuse, ties, frozen parts, subsets of tasks and rows."""

import random
from dataclasses import dataclass, field

import torch
from torch import nn

ROWS, WIDTH, WORDS, TOKENS = 8, 4, 30, 3


class Attention(nn.MultiheadAttention):
    def forward(self, tokens):
        return tokens + super().forward(tokens, tokens, tokens, need_weights=False)[0]


class States(nn.LSTM):
    """In float32 under autocast, as some CPUs have no kernel for less; so do our encoders."""

    def forward(self, tokens):
        if not torch.is_autocast_enabled("cpu"):
            return super().forward(tokens)[0]
        with torch.autocast("cpu", enabled=False):
            return super().forward(tokens.float())[0]


class Windows(nn.Conv1d):
    def forward(self, tokens):
        return super().forward(tokens.mT).mT


class Single(nn.Linear):
    """A layer in float32 among others in float64."""

    def forward(self, x):
        return super().forward(x.float()).to(x.dtype)


class Bags(nn.EmbeddingBag):
    def forward(self, ids):
        return super().forward(ids)[:, None]


def table(draw):
    options = [{}, {"padding_idx": 1}, {"max_norm": 0.8}, {"sparse": True}]
    options += [{"scale_grad_by_freq": True}]
    if draw.random() < 0.3:
        return Bags(WORDS, WIDTH, mode=draw.choice(["sum", "mean", "max"]))
    return nn.Embedding(WORDS, WIDTH, **draw.choice(options))


OF_TOKENS = {
    "attention": lambda: Attention(WIDTH, 2, batch_first=True),
    "lstm": lambda: States(WIDTH, WIDTH, batch_first=True),
    "windows": lambda: Windows(WIDTH, WIDTH, 3, padding=1),
    "layer": lambda: nn.TransformerEncoderLayer(WIDTH, 2, 6, dropout=0.0, batch_first=True),
}
OF_ROWS = {
    "linear": lambda: nn.Linear(WIDTH, WIDTH),
    "no bias": lambda: nn.Linear(WIDTH, WIDTH, bias=False),
    "norm": lambda: nn.LayerNorm(WIDTH),
    "batch norm": lambda: nn.BatchNorm1d(WIDTH),
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


@dataclass
class Network:
    """A network of several tasks; `losses` makes a new graph of the same values."""

    seed: int
    precision: str = "double"
    modules: nn.ModuleList = field(default_factory=nn.ModuleList)

    def __post_init__(self):
        torch.manual_seed(self.seed)
        self.draw = draw = random.Random(self.seed)
        self.tasks = tuple("abcdef")[: draw.randint(2, 6)]
        self.precision = draw.choice(["double"] * 6 + ["single inside", "autocast"])
        self.reads = draw.choice(["numbers", "numbers", "words", "words", "pictures"])
        self.inputs, self.first = self._first()
        self.between = self._chain(OF_TOKENS, 2) if self.reads == "words" else []
        self.trunk = self._chain(OF_ROWS, 4)
        self.branch = self._chain(OF_ROWS, 1)  # of some tasks
        self.plans = {task: self._plan() for task in self.tasks}
        self.rows = draw.choice(["all", "all", "parts", "parts", "masks", "a batch each"])
        self.parts = self._parts()
        if self.precision != "autocast":
            self.modules.double()
            for module in self.modules:
                if isinstance(module, Single):
                    module.float()
        self._freeze()

    def _keep(self, module):
        self.modules.append(module)
        return module

    def _first(self):
        if self.reads == "words":
            first = self._keep(table(self.draw))
            more = [first] if self.draw.random() < 0.3 else []
            return torch.randint(WORDS, (ROWS, TOKENS)), [first, *more]
        if self.reads == "pictures":
            first = nn.Sequential(
                nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(8, WIDTH)
            )
            return torch.randn(ROWS, 1, 4, 4), [self._keep(first)]
        return torch.randn(ROWS, 3), [self._keep(nn.Linear(3, WIDTH))]

    def _chain(self, kinds, most):
        names = [self.draw.choice(list(kinds)) for _ in range(self.draw.randint(0, most))]
        chain = [self._keep(kinds[name]()) for name in names]
        if chain and self.draw.random() < 0.3:
            chain.append(self.draw.choice(chain))  # used twice
        if kinds is OF_ROWS and self.precision == "single inside":
            chain.append(self._keep(Single(WIDTH, WIDTH)))
        return chain

    def _plan(self):
        """Choose what a task reads, and how."""
        linear = [m for m in self.trunk if type(m) is nn.Linear]
        head = self.draw.choice(["own", "own", "own", "none", "tied" if linear else "own"])
        layer = self.draw.choice(linear) if head == "tied" else None
        layer = self._keep(nn.Linear(WIDTH, 2)) if head == "own" else layer
        return self.draw.random() < 0.3, layer

    def _parts(self):
        """Choose the rows of each task."""
        if self.rows == "parts":
            count = self.draw.choice([2, 4])
            pieces = torch.arange(ROWS).chunk(count)
            start = self.draw.randint(0, count)
            return {task: pieces[(start + k) % count] for k, task in enumerate(self.tasks)}
        if self.rows == "masks":
            masks = {task: torch.rand(ROWS) < 0.6 for task in self.tasks}
            return {task: mask | (torch.arange(ROWS) == 0) for task, mask in masks.items()}
        if self.rows == "a batch each":
            return {task: torch.randperm(ROWS)[:4] for task in self.tasks}
        return {}

    def _freeze(self):
        everything = list(self.modules.parameters())
        for parameter in everything:
            parameter.requires_grad_(self.draw.random() > 0.12)
        if not all(loss.requires_grad for loss in self.losses().values()):
            self.modules.requires_grad_(True)

    @property
    def leaves(self):
        return list(self.modules.parameters())

    def losses(self):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "autocast"):
            common = None if self.rows == "a batch each" else self._forward(self.inputs)
            return {task: self._loss(task, common) for task in self.tasks}

    def _forward(self, inputs):
        if inputs.is_floating_point() and self.precision != "autocast":
            inputs = inputs.double()
        z = self.first[0](inputs)
        for again in self.first[1:]:
            z = z + again(inputs.flip(0))
        for module in self.between:
            z = module(z)
        z = z.mean(dim=1) if self.reads == "words" else z
        for module in self.trunk:
            z = module(z)
        deep = z
        for module in self.branch:
            deep = module(deep)
        return z, deep

    def _loss(self, task, common):
        branches, head = self.plans[task]
        rows = self.parts.get(task)
        states = common or self._forward(self.inputs[rows])
        z = states[branches]
        z = z if rows is None or common is None else z[rows]
        z = z if head is None else head(z)
        target = torch.linspace(-1, 1, z.numel()).view(z.shape) + self.tasks.index(task)
        return (z.to(torch.promote_types(z.dtype, torch.float32)) - target).square().mean()
