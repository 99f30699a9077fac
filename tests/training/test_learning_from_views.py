"""Auxiliary tasks on tokens learn what the neighbours of a token determine."""

import math
from itertools import product

import pytest
import torch
from quick_cases import others_slow

from motet import MultiTaskModel
from motet.encoders import LSTM, Transformer
from motet.tasks import LanguageModelling, MaskedLanguageModelling, Vocabulary, WordOrder

VOCABULARY = Vocabulary(17, (0, 2, 3, 4), mask=4, unknown=1)
MEMBERS = [MaskedLanguageModelling, LanguageModelling, WordOrder]


KINDS = ["lstm", "transformer"]
QUICK = [*zip(MEMBERS, ("lstm", "transformer", "lstm"), strict=True)]


@pytest.mark.parametrize(("member", "kind"), others_slow(QUICK, [*product(MEMBERS, KINDS)]))
def test_words_that_follow_each_other_in_a_circle(member, kind):
    torch.manual_seed(0)
    task = member("x", vocabulary=VOCABULARY)
    forward = member is LanguageModelling
    encoder = (
        LSTM(17, width=32, bidirectional=not forward, dropout=0.0)
        if kind == "lstm"
        else Transformer(17, width=32, heads=4, layers=1, dropout=0.0)
    )
    model = MultiTaskModel(encoder, [task])
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for step in range(100):
        ids = 5 + (torch.randint(0, 12, (64, 1)) + torch.arange(12)) % 12
        seen, target = task.view({"ids": ids}, torch.Generator().manual_seed(step))
        targets = {"x": target}
        loss = model.losses(model(seen, ["x"], targets), targets)["x"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    guessing = math.log(3 if member is WordOrder else 12)
    assert loss.item() < 0.4 * guessing
