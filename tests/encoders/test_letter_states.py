"""Letters beside tokens: a convolution of three and its largest values, in every text encoder."""

import pytest
import torch

from motet.encoders import LSTM, Transformer
from motet.encoders.letters import LetterStates
from motet.problems import InputError

IDS = torch.tensor([[4, 5, 6], [8, 0, 0]])
LETTERS = torch.randint(2, 256, (2, 3, 5), generator=torch.Generator().manual_seed(0))
LETTERS[0, 0] = 0  # a special token
LETTERS[0, 1, 3:] = 0
LETTERS[1, 1:] = 0
MADE = {
    "lstm": lambda characters: LSTM(50, width=8, characters=characters),
    "transformer": lambda characters: Transformer(
        50, width=8, heads=2, layers=1, characters=characters
    ),
}


def test_the_state_of_a_word_is_the_largest_of_its_letters_with_their_neighbours():
    torch.manual_seed(0)
    module = LetterStates({"width": 4}).double()
    found = module({"characters": LETTERS.to(torch.uint8)})
    weight, bias = module.convolution.weight, module.convolution.bias
    for row in range(2):
        for token in range(3):
            letters = LETTERS[row, token].tolist()
            naive = torch.zeros(4, dtype=torch.float64)
            for place, letter in enumerate(letters):
                if letter:
                    state = bias.clone()
                    for offset in (-1, 0, 1):
                        if 0 <= place + offset < len(letters):
                            vector = module.vectors.weight[letters[place + offset]]
                            state = state + weight[:, :, offset + 1] @ vector
                    naive = torch.maximum(naive, state.relu())
            torch.testing.assert_close(found[row, token], naive)


@pytest.mark.parametrize("name", MADE)
def test_tokens_alike_differ_by_their_letters_and_padding_counts_for_nothing(name):
    torch.manual_seed(0)
    encoder = MADE[name]({"width": 4}).eval()
    assert encoder.width == 8
    one = encoder({"ids": IDS, "characters": LETTERS})
    other = LETTERS.clone()
    other[0, 2, 0] = 1
    assert not torch.allclose(
        encoder({"ids": IDS, "characters": other}).states[0, 2], one.states[0, 2]
    )
    alone = encoder({"ids": IDS[1:, :1], "characters": LETTERS[1:, :1]})
    torch.testing.assert_close(alone.pooled[0], one.pooled[1])
    empty = {"ids": torch.empty(2, 0).long(), "characters": torch.empty(2, 0, 5).long()}
    assert encoder(empty).states.isfinite().all()


@pytest.mark.parametrize("name", MADE)
def test_without_the_option_letters_are_not_read_and_with_it_they_are_required(name):
    torch.manual_seed(0)
    plain = MADE[name](None).eval()
    assert torch.equal(
        plain({"ids": IDS, "characters": LETTERS}).states, plain({"ids": IDS}).states
    )
    with pytest.raises(InputError, match=r"a text without letters; expected"):
        MADE[name]({})({"ids": IDS})
    with pytest.raises(InputError, match="characters"):
        MADE[name]({"widht": 3})
