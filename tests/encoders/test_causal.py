"""Where a text has "causal", no state depends on later tokens."""

import pytest
import torch

from motet import MultiTaskModel
from motet.encoders import LSTM, Joined, Transformer
from motet.problems import InputError
from motet.tasks import Classification, LanguageModelling, Vocabulary

IDS = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 0, 0, 0]])
CAUSAL = {"causal": torch.ones(2, 1, dtype=torch.bool)}


def transformer(**options):
    torch.manual_seed(0)
    return Transformer(20, width=8, heads=2, layers=2, dropout=0.0, **options)


def forward_lstm():
    torch.manual_seed(0)
    return LSTM(20, width=8, layers=2, bidirectional=False, dropout=0.0)


def reach(encoder, place, more):
    """Return which tokens the state at a place depends on, by its gradient."""
    vectors = []
    hook = encoder.embedding.register_forward_hook(
        lambda module, given, found: vectors.append(found) or found.retain_grad()
    )
    encoder({"ids": IDS, **more}).states[0, place].square().sum().backward()
    hook.remove()
    return vectors[0].grad[0].abs().sum(1).ne(0).tolist()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(
    "encoder",
    [
        forward_lstm(),
        transformer(),
        transformer(positions="learned", norm="after"),
        transformer(checkpointing=True),
    ],
)
def test_the_second_state_has_no_gradient_at_later_tokens(encoder, train):
    encoder.train(train)
    assert reach(encoder, 1, CAUSAL) == [True, True, False, False, False]
    assert reach(encoder, 4, CAUSAL) == [True] * 5
    assert encoder.not_causal == ""


def test_other_texts_are_read_as_before():
    assert reach(transformer(), 1, {}) == [True] * 5
    both = LSTM(20, width=8, dropout=0.0)
    assert reach(both, 1, CAUSAL) == [True] * 5  # so it is rejected
    assert "from their end" in both.not_causal


@pytest.mark.parametrize("encoder", [transformer(), forward_lstm()])
def test_padding_does_not_matter_and_evaluation_agrees_with_training(encoder):
    encoder.eval()
    with torch.no_grad():  # torch has a faster path here
        fast = encoder({"ids": IDS, **CAUSAL}).states
        alone = encoder({"ids": IDS[1:, :2], "causal": CAUSAL["causal"][1:]}).states
    slow = encoder.train()({"ids": IDS, **CAUSAL}).states
    real = IDS != 0
    torch.testing.assert_close(fast[real], slow[real], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast[1:, :2], alone, rtol=1e-4, atol=1e-5)


def model(encoder):
    task = LanguageModelling("next", vocabulary=Vocabulary(20, (0, 1, 2)))
    return MultiTaskModel(encoder, [Classification("a", classes=2), task])


class Own(torch.nn.Module):
    """An encoder that does not say whether it can."""

    width = 8


def test_an_encoder_that_reads_ahead_is_rejected_with_the_reason():
    model(transformer())
    model(forward_lstm())
    model(Joined(None, {"review": forward_lstm()}, "review"))
    backwards = LSTM(20, width=8)
    message = (
        "task 'next' predicts tokens from those before them, but the encoder LSTM reads texts from "
        "their end, too; set bidirectional: false, or use masked_language_modelling"
    )
    for encoder in (backwards, Joined(None, {"review": backwards}, "review")):
        with pytest.raises(InputError, match=message):
            model(encoder)
    with pytest.raises(InputError, match="the encoder Own does not declare states that are indep"):
        model(Own())
