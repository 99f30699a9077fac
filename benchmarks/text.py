"""What `motet.Trainer` costs on texts, compared with a hand-written PyTorch loop.

The same tokens of the reviews of motet://clothing, the same LSTM and heads, the same batches and
optimizer, in turn in one process, each batch by both. Prints the time of an epoch of each and the
ratio, pair by pair; then the same for an evaluation of all reviews by a small transformer, with
batches of texts of similar length, compared with the original row order, and for an epoch of its
training, compared with batches of any lengths (an LSTM skips padding, and gains little). Time is
that of the process's own thread.

    OMP_NUM_THREADS=1 python benchmarks/text.py [--rows 1024] [--pairs 5]
"""

import argparse

import torch
from interleaved import compare, ratio
from torch import nn
from torch.nn import functional as F

import motet
from motet.data import from_texts
from motet.data.arrays import ArrayData
from motet.data.ragged import bucketed
from motet.data.sources import read
from motet.encoders import LSTM, Transformer
from motet.training.evaluation import evaluate

BATCH, EVALUATED = 64, 256


def make_data(rows=None, **options):
    table = read("motet://clothing").slice(0, rows)
    labels = {name: table[name].to_pylist() for name in ("recommended", "department")}
    return from_texts(table["text"].to_pylist(), labels, **options)


def make_model(data, encoder):
    tasks = [motet.tasks.Classification(task, classes=data.classes[task]) for task in data.classes]
    return motet.MultiTaskModel(encoder, tasks)


class Plain(nn.Module):
    """The same network without motet."""

    def __init__(self, data):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = LSTM(data.sizes.vocabulary)
        self.heads = nn.ModuleDict(
            {task: nn.Linear(128, len(names)) for task, names in data.classes.items()}
        )

    def forward(self, ids):
        pooled = self.encoder({"ids": ids}).pooled
        return {name: head(pooled) for name, head in self.heads.items()}


def plain_epoch(model, optimizer, rows, targets, order):
    """Pad each batch to its longest row, as in a hand-written loop."""
    model.train()
    for chosen in order.split(BATCH):
        ids = nn.utils.rnn.pad_sequence([rows[row] for row in chosen.tolist()], batch_first=True)
        raw = model(ids)
        loss = sum(F.cross_entropy(raw[task], targets[task][chosen]) for task in raw)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class InOrder(ArrayData):
    """Rows that are evaluated in their own order."""

    def once(self, size):
        for batch in self.batches(size):
            yield None, batch


class AnyLengths(ArrayData):
    """Rows whose batches in training are those of the drawn order."""

    def epoch(self, size, *, seed, number, done=0):
        return self.batches(size, self.order(seed, number)[done * size :])


def training(data):
    """Return the epochs of motet and by hand, by the number of a pair."""
    torch.manual_seed(0)
    model = make_model(data, LSTM(data.sizes.vocabulary))
    trainer = motet.Trainer(model, batch_size=BATCH, device="cpu")
    plain = Plain(data)
    decays = [
        parameter
        for name, parameter in plain.named_parameters()
        if parameter.dim() > 1 and "embedding" not in name
    ]
    kept = {id(parameter) for parameter in decays}
    others = [parameter for parameter in plain.parameters() if id(parameter) not in kept]
    optimizer = torch.optim.AdamW(
        [{"params": decays}, {"params": others, "weight_decay": 0.0}], lr=1e-3, fused=True
    )
    ids = data.inputs["ids"]
    rows = list(ids.values.split(ids.lengths.tolist()))
    given = ArrayData(data.inputs, data.targets)

    def epochs(pair):
        order = bucketed(data.order(0, pair), ids.lengths, BATCH, 0, pair)
        return {
            "motet": lambda: trainer.train_epoch(given),
            "by hand": lambda: plain_epoch(plain, optimizer, rows, data.targets, order),
        }

    return epochs


def small(data):
    return make_model(data, Transformer(data.sizes.vocabulary, width=64, heads=4, layers=2))


def evaluation(data):
    """Return evaluations in batches of similar length and in row order."""
    model, in_order = small(data), InOrder(data.inputs, data.targets)

    def evaluations(_):
        return {
            "like lengths": lambda: evaluate(model, data, batch_size=EVALUATED),
            "own order": lambda: evaluate(model, in_order, batch_size=EVALUATED),
        }

    return evaluations


def bucketing(data):
    """Return epochs of a small transformer, in batches of similar and of any length."""
    trainer = motet.Trainer(small(data), batch_size=BATCH, device="cpu")
    given = ArrayData(data.inputs, data.targets)
    any_lengths = AnyLengths(data.inputs, data.targets)

    def trainings(_):
        return {
            "like lengths": lambda: trainer.train_epoch(given),
            "any lengths": lambda: trainer.train_epoch(any_lengths),
        }

    return trainings


def figures(quick):
    data = make_data(512 if quick else 1024, tokenizer="words", max_length=128)
    pairs = 5 if quick else 9
    yield "an epoch of texts, LSTM / by hand", ratio(pairs, training(data)), 1.10
    yield "an epoch of texts / in any order", ratio(pairs, bucketing(data)), None
    whole = data if quick else make_data(like=data)
    yield "evaluation of texts / in row order", ratio(pairs, evaluation(whole)), 0.6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    data = make_data(arguments.rows, tokenizer="words", max_length=128)
    what = f"{len(data):,} texts, two tasks, LSTM of width 128, batch {BATCH}"
    compare(what, arguments.pairs, training(data))
    whole = make_data(like=data)
    what = f"evaluation of {len(whole):,} texts, batch {EVALUATED}"
    compare(what, arguments.pairs, evaluation(whole))
    what = f"training on {len(data):,} texts, small transformer, batch {BATCH}"
    compare(what, arguments.pairs, bucketing(data))


if __name__ == "__main__":
    main()
