"""A model of three tasks whose rows several processes share unevenly.

Task a is labelled everywhere, b on the first process alone, c every third row; of four processes,
the last has no row at all.
"""

import torch
from torch import distributed, nn

TASKS = ("a", "b", "c")
ROWS, WORDS = 12, 3000
SHARES = {
    1: [range(ROWS)],
    2: [range(5), range(5, ROWS)],
    4: [range(3), range(3, 4), range(4, ROWS), range(0)],
}
generator = torch.Generator().manual_seed(0)
X = torch.randn(ROWS, 5, dtype=torch.float64, generator=generator)
IDS = torch.randint(WORDS, (ROWS, 3), generator=generator)
Y = {task: torch.randn(ROWS, dtype=torch.float64, generator=generator) for task in TASKS}
LABELLED = {
    "a": torch.arange(ROWS) >= 0,
    "b": torch.arange(ROWS) < 3,
    "c": torch.arange(ROWS) % 3 == 0,
}


class Model(nn.Module):
    """Linear layers, after a table of words if ``table`` gives its options."""

    def __init__(self, table=None):
        super().__init__()
        torch.manual_seed(1)
        self.table, size = None, 5
        if table is not None:
            words, options = table
            self.table, size = nn.Embedding(words, 6, **options), 6
        self.encoder = nn.Sequential(nn.Linear(size, 7), nn.Tanh(), nn.Linear(7, 6), nn.Tanh())
        self.heads = nn.ModuleDict({task: nn.Linear(6, 1) for task in TASKS})
        self.double()
        self.z = None

    def losses(self, rows, count=1):
        """Return ``count`` times this process's share of the mean over all labelled rows."""
        rows = torch.tensor(list(rows), dtype=torch.long)
        if not len(rows):
            self.z = None
            return {}
        inputs = X[rows]
        if self.table is not None:
            inputs = self.table(IDS[rows] % self.table.num_embeddings).mean(dim=1)
        self.z, found = self.encoder(inputs), {}
        for task in TASKS:
            here = LABELLED[task][rows]
            if here.any():
                residuals = self.heads[task](self.z)[here, 0] - Y[task][rows][here]
                total = residuals.square().sum() + residuals.abs().sum()
                found[task] = count * total / LABELLED[task].sum()
        return found

    @property
    def lists(self):
        shared = [p for n, p in self.named_parameters() if not n.startswith("heads")]
        return {"shared": shared, "task_parameters": dict(self.heads)}


def processes():
    """Return the rank, the number of processes and the argument of `motet.backward`."""
    if not distributed.is_initialized():
        return 0, 1, {}
    group = distributed.group.WORLD
    return distributed.get_rank(), distributed.get_world_size(), {"process_group": group}
