"""Word dropout: in training some tokens have no vector, and are known by what is beside it."""

import pytest
import torch

import motet
from motet.encoders import LSTM, Transformer
from motet.encoders.tokens import TokenEmbedding
from motet.problems import InputError

MADE = {
    "lstm": lambda **options: LSTM(50, width=8, dropout=0.0, **options),
    "transformer": lambda **options: Transformer(
        50, width=8, heads=2, layers=1, dropout=0.0, **options
    ),
}
IDS = torch.tensor([[4, 5, 6], [8, 0, 0]])


def test_whole_vectors_of_that_share_of_tokens_are_hidden_and_others_stay_as_they_are():
    torch.manual_seed(0)
    embedding = TokenEmbedding(50, 2, 8, word_dropout=0.3)
    text = {
        "ids": torch.randint(1, 50, (200, 20)),
        "segments": torch.randint(2, (200, 20)),
    }
    found = embedding(text)
    segments = embedding.segments(text["segments"])  # is not of a word, so it stays
    hidden = (found == segments).all(2)
    assert 0.27 < hidden.float().mean() < 0.33
    assert torch.equal(found[~hidden], embedding.eval()(text)[~hidden])
    assert not torch.equal(embedding.train()(text), found)


@pytest.mark.parametrize("name", MADE)
def test_words_are_hidden_in_training_only(name):
    torch.manual_seed(0)
    encoder, plain = MADE[name](word_dropout=0.9), MADE[name]()
    plain.load_state_dict(encoder.state_dict())
    assert not torch.equal(encoder(IDS).states, plain(IDS).states)
    assert torch.equal(encoder.eval()(IDS).states, plain.eval()(IDS).states)


@pytest.mark.parametrize("name", MADE)
def test_letters_of_hidden_words_are_read(name):
    torch.manual_seed(0)
    encoder = MADE[name](word_dropout=1 - 1e-7, characters={"width": 4})
    letters = torch.randint(2, 128, (2, 3, 5))
    one, other = (
        encoder({"ids": ids, "characters": letters}).states for ids in (IDS, IDS.clamp(max=7))
    )
    torch.testing.assert_close(one, other)
    others = encoder({"ids": IDS, "characters": letters.flip(2)}).states
    assert not torch.allclose(one, others)


@pytest.mark.parametrize("encoder", [LSTM, Transformer])
def test_sequences_of_vectors_have_no_words_to_hide(encoder):
    with pytest.raises(InputError, match="word_dropout"):
        encoder(frames=3, width=8, word_dropout=0.1)


def trained(data, state=None):
    torch.manual_seed(0)
    encoder = LSTM(data.sizes.vocabulary, width=8, word_dropout=0.5)
    model = motet.MultiTaskModel(encoder, [motet.tasks.Classification("mood", classes=2)])
    trainer, states = motet.Trainer(model, batch_size=4, seed=1, checkpoint_every=3), []
    if state is not None:
        trainer.load_state(state)
    trainer.on_checkpoint = lambda _: states.append(trainer.state())
    trainer.fit(data, epochs=2)
    return states


def test_a_resumed_training_hides_the_same_words():
    texts = ["good hat", "bad hat", "good coat", "bad coat"] * 4
    data = motet.data.from_texts(texts, {"mood": ["yes", "no"] * 8}, tokenizer="words")
    first, *_, last = trained(data)
    (*_, resumed) = trained(data, first)
    assert all(torch.equal(value, resumed[0][name]) for name, value in last[0].items())
