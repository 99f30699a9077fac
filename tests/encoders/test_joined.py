"""Features of several encoders side by side; every word of a labelled text has those of others."""

import torch
from torch.testing import assert_close

from motet.encoders import LSTM, MLP, Joined


def parts():
    torch.manual_seed(0)
    texts = {"a.b": LSTM(20, width=4), "title": LSTM(20, width=6)}
    inputs = {
        "numbers": torch.randn(3, 2),
        "texts": {
            "a.b": {
                "ids": torch.tensor([[1, 2, 3], [4, 5, 0], [6, 0, 0]]),
                "words": torch.tensor([[0, 2], [1, -1], [-1, -1]]),
            },
            "title": {"ids": torch.tensor([[1], [2], [0]])},
        },
    }
    return MLP(2, hidden=(5,)), texts, inputs


def test_features_stand_side_by_side():
    table, texts, inputs = parts()
    encoder = Joined(table, texts).eval()
    alone = [table(inputs), *(texts[name](inputs["texts"][name]).pooled for name in texts)]
    assert encoder.width == 5 + 4 + 6
    assert not encoder.gives_tokens
    assert_close(encoder(inputs), torch.cat(alone, dim=1))


def test_every_word_has_its_own_state_and_the_features_of_the_other_inputs():
    table, texts, inputs = parts()
    encoder = Joined(table, texts, tokens="a.b").eval()
    found, alone = encoder(inputs), texts["a.b"](inputs["texts"]["a.b"])
    assert encoder.gives_tokens
    assert found.padding.tolist() == [[False, False], [False, True], [True, True]]
    assert_close(found.states[..., 5:9], alone.states)
    for word in range(2):
        assert_close(found.states[:, word, :5], table(inputs))
        assert_close(found.states[:, word, 9:], texts["title"](inputs["texts"]["title"]).pooled)
    assert_close(found.pooled, Joined(table, texts).eval()(inputs))
