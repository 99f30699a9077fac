"""A bag beside an encoder of tokens: both states side by side, for words and for texts."""

import pytest
import torch

from motet.encoders import BagLSTM, BagTransformer, create
from motet.problems import InputError

IDS = torch.tensor([[4, 5, 6, 7], [8, 9, 0, 0]])
GRAMS = torch.tensor([[3, 1, 2], [2, 0, 0]])
BAG = {"width": 3, "buckets": 5, "start": "random"}
MADE = {
    "bag+lstm": lambda: BagLSTM(50, bag=BAG, lstm={"width": 8}),
    "bag+transformer": lambda: BagTransformer(
        50, bag=BAG, transformer={"width": 8, "heads": 2, "layers": 1}
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_states_are_those_of_the_parts_side_by_side(name):
    encoder = MADE[name]().eval()
    words = torch.tensor([[0, 2], [1, -1]])
    text = {"ids": IDS, "words": words, "grams": GRAMS}
    found = encoder(text)
    inner, bag = encoder.encoder({"ids": IDS, "words": words}), encoder.bag({"grams": GRAMS})
    assert found.states.shape == (2, 2, encoder.width) == (2, 2, 11)
    assert torch.equal(found.states[..., :8], inner.states)
    assert torch.equal(found.states[..., 8:], bag[:, None].expand(-1, 2, -1))
    assert torch.equal(found.pooled, torch.cat([inner.pooled, bag], 1))
    assert torch.equal(found.padding, inner.padding)


def test_a_text_without_n_grams_is_refused():
    with pytest.raises(InputError, match="expected the n-grams of texts"):
        MADE["bag+lstm"]()({"ids": IDS})


def test_each_part_has_the_options_of_its_own_encoder():
    with pytest.raises(InputError, match=r"lstm: the encoder 'transformer' does not fit"):
        create("bag+lstm", 50, 1, lstm={"type": "transformer"})
    with pytest.raises(InputError, match="'lstm' has no option 'widht'; did you mean 'width'"):
        create("bag+lstm", 50, 1, lstm={"widht": 3})
    assert create("bag+lstm", 50, 1).width == 64 + 128
