"""Heads over words: padding is filled up where torch keeps a kernel for every shape."""

import torch
from torch import nn
from torch.testing import assert_close

from motet.states import TokenStates
from motet.tasks import SequenceLabelling, TaskHead


def given(length):
    draw = torch.Generator().manual_seed(length)
    padding = torch.arange(length) >= torch.tensor([[length], [1]])
    states = torch.randn(2, length, 4, generator=draw)
    return TokenStates(states, padding, states[:, 0])


def lengths_seen(head, kind):
    seen = set()
    for module in head.modules():
        if isinstance(module, kind):
            module.register_forward_pre_hook(lambda _, inputs: seen.add(inputs[0].shape[1]))
    return seen


def test_products_in_half_precision_on_a_cpu_have_few_lengths_and_the_same_values():
    head = SequenceLabelling("a", classes=3, head={"hidden": [8]}).make_head(4)
    seen = lengths_seen(head, TaskHead)
    for length in range(1, 33):
        tokens = given(length)
        with torch.autocast("cpu", torch.bfloat16):
            raw = head(tokens)
        assert raw.shape == (2, length, 3)
        assert torch.equal(raw.isnan().any(dim=2), tokens.padding)
        expected = TaskHead.forward(head.head, tokens.states)
        real = ~tokens.padding
        assert_close(raw[real].float(), expected[real], rtol=0.1, atol=0.05)
    assert {16, 32} == seen


def test_a_head_of_ones_own_sees_the_words_that_there_are():
    own = nn.Linear(4, 3)
    head = SequenceLabelling("a", classes=3, head=own).make_head(4)
    seen = lengths_seen(head, nn.Linear)
    with torch.autocast("cpu", torch.bfloat16):
        head(given(5))
    assert seen == {5}


def test_an_lstm_over_words_computes_in_float32_under_autocast_on_a_cpu():
    context = SequenceLabelling("a", classes=3, decoder="lstm").make_head(4).context
    tokens = given(5)
    with torch.autocast("cpu", torch.bfloat16):
        found = context(tokens.states, tokens.padding)
    assert torch.equal(found, context(tokens.states, tokens.padding))
