"""Auxiliary tasks on pairs of texts: next sentence and sentence order."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motet.tasks import NextSentence, SentenceOrder, Vocabulary

PAD, UNKNOWN, CLS, SEP = range(4)
VOCABULARY = Vocabulary(100, (PAD, CLS, SEP), unknown=UNKNOWN)
WORDS = st.lists(st.integers(4, 99), max_size=5)
PAIRS = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(pairs, *, closed=False):
    """Return pairs [CLS] A [SEP] B, with one more [SEP] if they are closed."""
    rows = [([CLS, *a, SEP], [*b, *([SEP] if closed else [])]) for a, b in pairs]
    longest = max(len(a) + len(b) for a, b in rows)
    ids, segments = torch.zeros(2, len(rows), longest, dtype=torch.long)
    for row, (a, b) in enumerate(rows):
        ids[row, : len(a) + len(b)] = torch.tensor(a + b)
        segments[row, len(a) : len(a) + len(b)] = 1
    return {"ids": ids, "segments": segments}


def read(text):
    """Return the pairs of words in a batch."""
    found = []
    for ids, segments in zip(text["ids"].tolist(), text["segments"].tolist(), strict=True):
        pairs = list(zip(ids, segments, strict=True))
        found.append(
            tuple([word for word, part in pairs if part == side and word > SEP] for side in (0, 1))
        )
    return found


def next_sentence():
    return NextSentence("next", vocabulary=VOCABULARY)


def sentence_order():
    return SentenceOrder("order", vocabulary=VOCABULARY)


@given(PAIRS, st.integers(0, 50), st.booleans())
def test_pairs_are_swapped_or_stay(pairs, seed, closed):
    given = batch(pairs, closed=closed)
    seen, target = sentence_order().view(given, generator(seed))
    for (a, b), found, label in zip(pairs, read(seen), target.tolist(), strict=True):
        if not a or not b:
            assert math.isnan(label)
        else:
            assert found == ((a, b) if label else (b, a))
    for name in ("ids", "segments"):
        assert seen[name].shape == given[name].shape
        kept = target == 1
        assert seen[name][kept].equal(given[name][kept])
    swapped = batch(
        [pair if label else pair[::-1] for pair, label in zip(pairs, target, strict=True)],
        closed=closed,
    )
    known = ~target.isnan()
    assert seen["ids"][known].equal(swapped["ids"][known])
    assert seen["segments"][known].equal(swapped["segments"][known])


@given(PAIRS, st.integers(0, 50), st.booleans())
def test_the_second_text_is_the_row_s_own_or_another_one_s(pairs, seed, closed):
    given = batch(pairs, closed=closed)
    seen, target = next_sentence().view(given, generator(seed))
    width = given["ids"].shape[1]
    assert seen["ids"].shape == given["ids"].shape
    for row, ((a, b), found, label) in enumerate(zip(pairs, read(seen), target, strict=True)):
        if math.isnan(label):
            continue
        assert a
        assert b
        assert found[0] == a
        if label:
            assert found[1] == b
            assert seen["ids"][row].equal(given["ids"][row])
        else:
            room = width - len(a) - 2
            others = [other[:room] for n, (_, other) in enumerate(pairs) if n != row and other != b]
            assert found[1] in others
    if len(pairs) == 1:
        assert target.isnan().all()


@pytest.mark.parametrize("task", [next_sentence(), sentence_order()])
def test_half_of_the_rows_are_as_they_were(task):
    pairs = [([4 + n % 90, 5], [6, 4 + n % 95]) for n in range(2000)]
    _, target = task.view(batch(pairs), generator())
    assert not target.isnan().sum() > 50
    assert float(target.nanmean()) == pytest.approx(0.5, abs=0.05)  # standard deviation 0.011
    total, count = task.loss(torch.zeros(2000), target)
    assert float(total / count) == pytest.approx(math.log(2))
    assert float(count) == float((~target.isnan()).sum()) == float(task.count(target))


def test_rows_without_a_target_are_left_out_of_loss_and_gradient():
    raw = torch.tensor([0.3, -2.0, 1.0], requires_grad=True)
    total, count = sentence_order().loss(raw, torch.tensor([1.0, torch.nan, 0.0]))
    expected = math.log(1 + math.exp(-0.3)) + math.log(1 + math.exp(1.0))
    assert total.item() == pytest.approx(expected)
    assert float(count) == 2
    total.backward()
    assert raw.grad[1] == 0
    assert raw.grad[[0, 2]].ne(0).all()
