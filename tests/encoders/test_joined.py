"""Features of several encoders side by side; every word of a labelled text has those of others."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.data.ragged import Ragged
from motet.encoders import LSTM, MLP, Encoder, Joined
from motet.problems import InputError
from motet.training.precomputing import states_of


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
    assert encoder.gives == "rows"
    assert_close(encoder(inputs), torch.cat(alone, dim=1))


def test_a_text_may_be_its_tokens_alone():
    table, texts, inputs = parts()
    encoder = Joined(table, texts).eval()
    bare = {**inputs, "texts": {name: text["ids"] for name, text in inputs["texts"].items()}}
    assert torch.equal(encoder(bare), encoder(inputs))


def test_every_word_has_its_own_state_and_the_features_of_the_other_inputs():
    table, texts, inputs = parts()
    encoder = Joined(table, texts, tokens="a.b").eval()
    found, alone = encoder(inputs), texts["a.b"](inputs["texts"]["a.b"])
    assert encoder.gives == "tokens"
    assert found.padding.tolist() == [[False, False], [False, True], [True, True]]
    assert_close(found.states[..., 5:9], alone.states)
    for word in range(2):
        assert_close(found.states[:, word, :5], table(inputs))
        assert_close(found.states[:, word, 9:], texts["title"](inputs["texts"]["title"]).pooled)
    assert_close(found.pooled, Joined(table, texts).eval()(inputs))


class Careless(Encoder):
    """Gives states of tokens, whatever words they are parts of."""

    def __init__(self, give):
        super().__init__()
        self.inner, self.width, self.give = LSTM(20, width=4), 4, give

    def forward(self, text):
        return self.give(self.inner({"ids": text["ids"]}))


@pytest.mark.parametrize(
    ("give", "ids", "message"),
    [
        (lambda given: given, [[1, 2, 3], [4, 5, 0], [6, 0, 0]], r"gave padding \(3, 3\)"),
        (lambda given: given, [[1, 2], [4, 5], [6, 0]], r"gave padding \(3, 2\)"),
        (lambda given: given.states, [[1], [4], [6]], "gave Tensor"),
    ],
)
def test_an_encoder_that_gives_labelled_words_no_state_each_is_refused(give, ids, message):
    _, _, inputs = parts()
    inputs["texts"]["a.b"]["ids"] = torch.tensor(ids)
    encoder = Joined(None, {"a.b": Careless(give)}, tokens="a.b")
    with pytest.raises(InputError, match=f"Careless {message}.*one state per word.*token_states"):
        encoder(inputs)


def test_states_of_tokens_are_right_where_no_word_is_cut_into_several():
    encoder = Joined(None, {"a.b": Careless(lambda given: given)}, tokens="a.b")
    whole = {"ids": torch.tensor([[1, 2], [4, 0]]), "words": torch.tensor([[0, 1], [0, -1]])}
    assert encoder({"texts": {"a.b": whole}}).states.shape == (2, 2, 4)


def test_states_that_are_computed_beforehand_are_held_to_words_too():
    text = {
        "ids": Ragged(torch.tensor([1, 2, 3]), torch.tensor([3]), fill=0),
        "words": Ragged(torch.tensor([0, 2]), torch.tensor([2]), fill=-1),
    }
    assert states_of(LSTM(20, width=4), text, words=True)["states"].shape == (2, 4)
    with pytest.raises(InputError, match="Careless gave padding"):
        states_of(Careless(lambda given: given), text, words=True)


class Members(nn.Module):
    """Two members of a row: its numbers, and twice its numbers."""

    gives = "members"
    members = 2
    width = 2

    def forward(self, inputs):
        numbers = inputs["numbers"]
        return torch.stack([numbers, 2 * numbers], dim=1).flatten(0, 1)


def test_every_member_is_joined_with_the_same_features_of_other_inputs():
    beside = nn.Linear(3, 4)
    beside.width = 4
    encoder = Joined(Members(), {}, branches={"wave": beside})
    assert (encoder.gives, encoder.members) == ("members", 2)
    numbers, wave = torch.randn(5, 2), torch.randn(5, 3)
    found = encoder({"numbers": numbers, "wave": wave}).view(5, 2, 6)
    for member in range(2):
        assert_close(found[:, member, :2], (member + 1) * numbers)
        assert_close(found[:, member, 2:], beside(wave))
    without = encoder({"numbers": None, "wave": wave}).view(5, 2, 6)
    assert_close(without[:, 1], torch.cat([torch.zeros(5, 2), beside(wave)], dim=1))
    lacking = encoder({"numbers": numbers, "wave": None}).view(5, 2, 6)
    assert_close(lacking[:, 1, :2], 2 * numbers)
    assert not lacking[..., 2:].any()


def test_encoders_that_are_joined_have_as_many_members():
    other = Members()
    other.members = 3
    with pytest.raises(InputError, match="members: found 2 and 3"):
        Joined(Members(), {}, branches={"wave": other})
