"""Auxiliary tasks on tokens: which are chosen, what the model sees, and what is scored."""

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from motet.problems import InputError
from motet.states import TokenStates
from motet.tasks import (
    Cells,
    Denoising,
    LanguageModelling,
    MaskedLanguageModelling,
    SentenceOrder,
    Vocabulary,
    WordOrder,
)

PAD, UNKNOWN, CLS, SEP, MASK = range(5)
VOCABULARY = Vocabulary(300, (PAD, CLS, SEP, MASK), MASK, UNKNOWN, used=200)
NONE = -100


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def texts(lengths, seed=0, words=(5, 200)):
    """Return texts [CLS] words [PAD] with some unknown words."""
    longest = max(lengths) + 1
    ids = torch.randint(*words, (len(lengths), longest), generator=generator(seed))
    ids[:, 0] = CLS
    unknown = torch.rand(ids.shape, generator=generator(seed + 1)) < 0.05
    ids[:, 1:][unknown[:, 1:]] = UNKNOWN
    for row, length in enumerate(lengths):
        ids[row, 1 + length :] = PAD
    return ids


LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=6)


def is_word(ids):
    return ids > MASK


# Masked language modelling -------------------------------------------------------------------


def masked(share=0.15, **options):
    return MaskedLanguageModelling("words", share=share, vocabulary=VOCABULARY, **options)


def test_of_all_words_12_percent_are_masked_and_1_5_are_replaced_and_1_5_kept():
    ids = texts([100] * 2000)
    seen, target = masked().view({"ids": ids}, generator())
    words, chosen = is_word(ids), target != NONE
    number = words.sum()
    shares = {
        "masked": (chosen & (seen["ids"] == MASK)).sum() / number,
        "replaced": (chosen & (seen["ids"] != MASK) & (seen["ids"] != ids)).sum() / number,
        "kept": (chosen & (seen["ids"] == ids)).sum() / number,
    }
    assert shares["masked"] == pytest.approx(0.12, abs=0.003)  # standard deviation 0.0007
    assert shares["replaced"] == pytest.approx(0.015, abs=0.0015)
    assert shares["kept"] == pytest.approx(0.015, abs=0.0015)
    replaced = seen["ids"][chosen & (seen["ids"] != MASK) & (seen["ids"] != ids)]
    assert replaced.min() > MASK
    assert replaced.max() < VOCABULARY.used
    assert len(replaced.unique()) > 0.95 * (200 - 5)


@given(LENGTHS, st.integers(0, 100), st.sampled_from([0.01, 0.15, 0.5, 1.0]))
def test_only_words_are_chosen_and_at_least_one_in_each_text_that_has_one(lengths, seed, share):
    ids = texts(lengths, seed)
    before = ids.clone()
    seen, target = masked(share).view({"ids": ids}, generator(seed))
    chosen = target != NONE
    assert ids.equal(before)
    assert not (chosen & ~is_word(ids)).any()
    assert chosen.any(1).equal(is_word(ids).any(1))
    assert target[chosen].equal(ids[chosen])
    assert seen["ids"][~chosen].equal(ids[~chosen])
    if share == 1.0:
        assert chosen.equal(is_word(ids))


def test_the_mask_is_drawn_from_the_generator_alone():
    ids = texts([20] * 8)
    one, same, other = (masked().view({"ids": ids}, generator(seed)) for seed in (0, 0, 1))
    assert one[0]["ids"].equal(same[0]["ids"])
    assert not one[1].equal(other[1])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda ids: ids,
        lambda ids: {"ids": ids},
        lambda ids: {"texts": {"review": {"ids": ids, "words": ids}}, "numbers": ids.float()},
        lambda ids: {"texts": {"review": ids}},
        lambda ids: {"review": {"ids": ids}, "age": ids.float()},
    ],
)
def test_the_text_is_found_where_a_model_takes_it_and_all_else_stays(wrap):
    ids = texts([5, 9])
    given = wrap(ids)
    several = isinstance(given, dict) and "ids" not in given
    task = masked(input="review") if several else masked()
    seen, target = task.view(given, generator())
    assert target.shape == ids.shape
    if several:
        for name in given.keys() - {"texts", "review"}:
            assert seen[name] is given[name]
        seen = seen.get("texts", seen)["review"]
    assert set(seen) == {"ids"}  # tokens, not words, are predicted


class Repeat(nn.Module):
    """Raw outputs from a state of one number: its multiples."""

    def __init__(self, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(1.0, outputs + 1) / outputs)

    def forward(self, states):
        return states * self.weight


def test_the_loss_is_the_cross_entropy_of_the_chosen_tokens_alone():
    ids = texts([7, 0, 12])
    _, target = masked().view({"ids": ids}, generator())
    head = masked(head=lambda width, outputs: Repeat(outputs)).make_head(1)
    states = torch.randn(*ids.shape, 1, dtype=torch.float64, requires_grad=True)
    tokens = TokenStates(states, ids == PAD, states.mean(1))
    raw = head.double()(tokens, target=target)
    chosen = [(b, t) for b in range(3) for t in range(13) if target[b, t] != NONE]
    assert raw.shape == (len(chosen), VOCABULARY.size)
    total, count = masked().loss(raw, target)
    weight = head.head.module.weight.tolist()
    expected = 0.0
    for b, t in chosen:
        scores = [float(states.detach()[b, t, 0]) * w for w in weight]
        expected += math.log(sum(map(math.exp, scores))) - scores[target[b, t]]
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert float(count) == len(chosen) == float(masked().count(target))
    whole = masked().loss(head(tokens), target)  # without the target: of all tokens
    assert whole[0].item() == pytest.approx(expected, rel=1e-5)
    total.backward()
    assert states.grad[target == NONE].eq(0).all()
    assert states.grad[target != NONE].ne(0).all()


def test_the_loss_of_no_token_is_0_with_count_0():
    target = torch.full((2, 3), NONE)
    total, count = masked().loss(torch.zeros(0, VOCABULARY.size, requires_grad=True), target)
    assert (total.item(), count.item()) == (0.0, 0.0)


# Causal language modelling -------------------------------------------------------------------


@given(LENGTHS, st.integers(0, 100))
def test_each_token_predicts_the_next_word(lengths, seed):
    ids = texts(lengths, seed)
    seen, target = LanguageModelling("next", vocabulary=VOCABULARY).view({"ids": ids}, generator())
    assert seen["ids"].equal(ids)
    assert seen["causal"].shape == (len(ids), 1)
    for row, labels in zip(ids.tolist(), target.tolist(), strict=True):
        assert labels == [each if each > MASK else NONE for each in row[1:]] + [NONE]


# Word order ----------------------------------------------------------------------------------


def order(**options):
    return WordOrder("order", vocabulary=VOCABULARY, **options)


@given(LENGTHS, st.integers(0, 100), st.integers(2, 5))
def test_windows_are_shuffled_and_the_target_tells_the_place_before(lengths, seed, window):
    ids = texts(lengths, seed)
    seen, target = order(window=window).view({"ids": ids}, generator(seed))
    for row, shuffled, places in zip(ids, seen["ids"], target, strict=True):
        words = [place for place, token in enumerate(row.tolist()) if token not in (PAD, CLS)]
        whole = words[: len(words) // window * window]
        assert (places != NONE).nonzero().squeeze(1).tolist() == whole
        for start in range(0, len(whole), window):
            here = whole[start : start + window]
            assert sorted(places[here].tolist()) == list(range(window))
            assert shuffled[here].equal(row[here][places[here]])
        rest = [place for place in range(len(row)) if place not in whole]
        assert shuffled[rest].equal(row[rest])


def test_every_order_of_a_window_is_as_likely_and_guessing_is_right_in_a_third():
    _, target = order().view({"ids": texts([3] * 6000)}, generator())
    found = [tuple(row) for row in target[:, 1:4].tolist()]
    for each in permutations(range(3)):  # the identity, too
        assert found.count(each) / 6000 == pytest.approx(1 / 6, abs=0.02)  # deviation 0.005
    places = target[target != NONE]
    for guess in range(3):
        assert float((places == guess).float().mean()) == pytest.approx(1 / 3)
    total, count = order().loss(torch.zeros(len(places), 3), target)
    assert float(total / count) == pytest.approx(math.log(3))


def test_the_texts_of_a_pair_are_shuffled_each_for_itself():
    ids = torch.tensor([[CLS, 10, 11, 12, 13, SEP, 20, 21, 22, 23]])
    segments = torch.tensor([[0] * 6 + [1] * 4])
    for seed in range(20):
        seen, target = order().view({"ids": ids, "segments": segments}, generator(seed))
        found = seen["ids"][0].tolist()
        assert sorted(found[1:4]) == [10, 11, 12]
        assert sorted(found[6:9]) == [20, 21, 22]
        assert found[4:6] + found[9:] == [13, SEP, 23]
        assert seen["segments"].equal(segments)
        assert (target[0] != NONE).nonzero().squeeze(1).tolist() == [1, 2, 3, 6, 7, 8]


# Wrong use -----------------------------------------------------------------------------------


@pytest.mark.parametrize("member", [MaskedLanguageModelling, LanguageModelling, WordOrder])
def test_the_vocabulary_must_be_known(member):
    with pytest.raises(InputError, match="task 'x': the vocabulary is not known; give vocabulary"):
        member("x").view(torch.ones(1, 2).long(), generator())
    with pytest.raises(InputError, match="the vocabulary is not known"):
        member("x").make_head(4)


def test_a_vocabulary_without_a_mask_token_is_rejected():
    with pytest.raises(InputError, match=r"task 'x': the tokenizer has no mask token, such as"):
        MaskedLanguageModelling("x", vocabulary=Vocabulary(50))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0}, "share: found 0, expected a number > 0"),
        ({"share": 15}, "share: found 15, expected a number <= 1; write 0.15 for 15 %"),
        ({"input": 3}, "input: found 3, expected a text"),
        ({"column": "a"}, "no option 'column'"),
    ],
)
def test_wrong_options_are_explained(options, message):
    with pytest.raises(InputError, match=message):
        masked(**options)
    with pytest.raises(InputError, match="window: found 1, expected a number >= 2"):
        order(window=1)


def test_a_text_that_is_not_there_is_named():
    with pytest.raises(InputError, match="task 'words': input: found 'title', and inputs 'a', 'b'"):
        masked(input="title").view({"a": torch.ones(1, 2).long(), "b": None}, generator())


# Weights of rows -----------------------------------------------------------------------------


def auxiliary_losses(seed):
    """Yield tasks with raw outputs and a target of five rows, and how to take rows of them."""
    ids = texts([9, 4, 12, 7, 3], seed)
    task = masked(0.5)
    _, target = task.view({"ids": ids}, generator(seed))
    yield task, torch.randn(*ids.shape, VOCABULARY.size, dtype=torch.float64), target
    cells = Denoising("cells", cells=Cells((0, 1), (4,)))
    target = torch.randn(5, 3)
    target[:, 2] = torch.arange(5) % 4
    target[1, 0] = torch.nan
    yield cells, torch.randn(5, 6, dtype=torch.float64), target
    labels = torch.tensor([1.0, 0.0, torch.nan, 1.0, 0.0])
    yield SentenceOrder("pairs"), torch.randn(5, dtype=torch.float64), labels


@given(st.integers(0, 50), st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=5, max_size=5))
def test_a_row_counts_as_much_as_it_weighs_and_with_0_not_at_all(seed, weights):
    for task, raw, target in auxiliary_losses(seed):
        raw.requires_grad_()
        total, count = task.loss(raw, target, torch.tensor(weights))
        rows = [task.loss(raw[n : n + 1], target[n : n + 1]) for n in range(5)]
        expected = sum(w * each[0].item() for w, each in zip(weights, rows, strict=True))
        assert total.item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
        weighed = sum(w * each[1].item() for w, each in zip(weights, rows, strict=True))
        assert count.item() == pytest.approx(weighed)
        if not total.requires_grad:  # no row counts
            continue
        (gradient,) = torch.autograd.grad(total, raw)
        assert gradient[[n for n in range(5) if weights[n] == 0]].eq(0).all()
