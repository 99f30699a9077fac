"""Encoders of texts: padding says nothing, words get their own states, positions count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quick_cases import others_slow

from motet.encoders.lstm import LSTM
from motet.encoders.tokens import TokenEmbedding, create_padding_mask, pooled
from motet.encoders.transformer import Transformer
from motet.model import MultiTaskModel
from motet.positions import sinusoidal_positions
from motet.problems import InputError
from motet.tasks import Classification, SequenceLabelling

ENCODERS = {
    "lstm": lambda **options: LSTM(50, width=8, layers=2, **options),
    "forward_lstm": lambda **options: LSTM(50, width=7, bidirectional=False, **options),
    "transformer": lambda **options: Transformer(50, width=8, heads=2, layers=2, **options),
    "learned": lambda **options: Transformer(
        50, width=8, heads=2, layers=1, positions="learned", norm="after", **options
    ),
}
TEXTS = st.lists(st.lists(st.integers(1, 49), max_size=7), min_size=1, max_size=5)


def made(name, **options):
    torch.manual_seed(0)
    return ENCODERS[name](**options).eval()


def padded(texts, length=None):
    length = length or max([1, *map(len, texts)])
    return torch.tensor([[*text, *[0] * (length - len(text))] for text in texts])


@pytest.mark.parametrize("pool", others_slow(["mean"], ["mean", "first", "max"]))
@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=20)
@given(texts=TEXTS, more=st.integers(0, 4))
def test_a_text_is_encoded_alike_alone_and_in_any_batch(name, pool, texts, more):
    encoder = made(name, pool=pool)
    longest = max([1, *map(len, texts)])
    together = encoder({"ids": padded(texts, longest + more)})
    assert together.states.isfinite().all()
    assert together.pooled.isfinite().all()
    for row, text in enumerate(texts):
        alone = encoder({"ids": padded([text])})
        torch.testing.assert_close(together.pooled[row], alone.pooled[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            together.states[row, : len(text)], alone.states[0, : len(text)], rtol=1e-4, atol=1e-5
        )
        assert together.padding[row].tolist() == [i >= len(text) for i in range(longest + more)]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ENCODERS)
def test_tokens_alone_are_a_text(name):
    encoder, ids = made(name), padded([[4, 5, 6, 7], [8, 9], []])
    assert same(encoder(ids), encoder({"ids": ids}))
    assert same(encoder(ids, padding_mask=create_padding_mask(ids)), encoder(ids))
    assert encoder(torch.empty(2, 0).long()).states.shape == (2, 1, encoder.width)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_padding_mask_says_what_is_padding(name):
    encoder, ids = made(name), padded([[4, 5, 6, 7], [8, 9]])
    other = ids.masked_fill(ids == 0, 3)  # another token stands for padding
    found = encoder(other, create_padding_mask(other, pad=3))
    assert torch.equal(found.padding, ids == 0)
    real = ~found.padding
    torch.testing.assert_close(found.states[real], encoder(ids).states[real])
    torch.testing.assert_close(found.pooled, encoder(ids).pooled)
    assert not torch.allclose(encoder(other).pooled, found.pooled)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_a_model_takes_tokens(name):
    ids = padded([[4, 5, 6, 7], [8, 9]])
    tasks = [Classification("a", classes=3), SequenceLabelling("b", classes=4)]
    model = MultiTaskModel(made(name), tasks)
    assert {task: tuple(raw.shape) for task, raw in model(ids).items()} == {
        "a": (2, 3),
        "b": (2, 4, 4),
    }


@pytest.mark.parametrize("name", ENCODERS)
def test_a_word_has_the_state_of_its_first_sub_word(name):
    encoder = made(name)
    ids = padded([[4, 5, 6, 7], [8, 9]])
    words = torch.tensor([[0, 2, 3], [1, -1, -1]])
    plain, by_word = encoder({"ids": ids}), encoder({"ids": ids, "words": words})
    assert by_word.padding.tolist() == [[False, False, False], [False, True, True]]
    assert torch.equal(by_word.states[0], plain.states[0, [0, 2, 3]])
    assert torch.equal(by_word.states[1, 0], plain.states[1, 1])
    assert torch.equal(by_word.pooled, plain.pooled)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_text_without_a_token_is_zeros_and_trains(name):
    encoder = made(name)
    given = encoder({"ids": padded([[], [3]])})
    assert torch.equal(given.pooled[0], torch.zeros(encoder.width))
    given.pooled.sum().backward()
    for parameter in encoder.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


@pytest.mark.parametrize("name", ENCODERS)
def test_the_order_of_tokens_matters(name):
    encoder = made(name)
    given = encoder({"ids": torch.tensor([[3, 4, 5], [5, 4, 3]])}).pooled
    assert not torch.allclose(given[0], given[1], atol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_parts_of_a_pair_are_told_apart(name):
    encoder = made(name, segments=2)
    ids = torch.tensor([[3, 4, 5]])
    one, two = (
        encoder({"ids": ids, "segments": torch.tensor([each])}).pooled
        for each in ([0, 0, 1], [0, 1, 1])
    )
    assert not torch.allclose(one, two, atol=1e-4)
    with pytest.raises(InputError, match="a text has no segments"):
        encoder({"ids": ids})


def test_pooling_leaves_padding_out():
    states = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [99.0, 99.0]]])
    padding = torch.tensor([[False, False, True]])
    assert pooled(states, padding, "mean").tolist() == [[2.0, -3.0]]
    assert pooled(states, padding, "max").tolist() == [[3.0, -2.0]]
    assert pooled(states, padding, "first").tolist() == [[1.0, -2.0]]


def test_checkpointing_changes_memory_and_nothing_else():
    plain, saving = made("transformer"), made("transformer", checkpointing=True)
    ids = padded([[1, 2, 3], [4]])
    for encoder in (plain, saving):
        encoder({"ids": ids}).pooled.square().sum().backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_sinusoidal_positions_are_those_of_the_paper():
    positions = sinusoidal_positions(6, 7)
    for place in range(6):
        for i in range(7):
            angle = torch.tensor(place / 10_000 ** (2 * (i // 2) / 7))
            expected = angle.cos() if i % 2 else angle.sin()
            torch.testing.assert_close(positions[place, i], expected)


def test_the_default_transformer_has_the_sizes_of_the_paper():
    encoder = Transformer(100)
    layer = encoder.layers[0]
    assert (encoder.width, len(encoder.layers), layer.self_attn.num_heads) == (512, 6, 8)
    assert layer.linear1.out_features == 2048


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transformer(9, width=10, heads=4), "a number that divides width: 10; nearest: 5"),
        (lambda: LSTM(9, width=9), "expected an even number"),
        (lambda: made("lstm")({"ids": torch.tensor([[50]])}), "expected 0 to 49"),
        (lambda: made("lstm")(torch.ones(2, 3)), r"tokens of \(2, 3\) of float32, .*ids.long"),
        (
            lambda: made("transformer")(torch.ones(3).long()),
            r"ids of \(3,\) of int64, expected a te",
        ),
        (lambda: made("transformer")({"ids": [[1, 2]]}), "found ids of list, expected a tensor"),
        (lambda: made("transformer")([[1, 2]]), r"found \[\[1, 2\]\], expected a tensor"),
        (
            lambda: made("transformer")(padded([[1, 2]]), torch.ones(1, 2)),
            r"padding_mask: found \(1, 2\) of float32, expected \(1, 2\) of bool",
        ),
        (
            lambda: made("lstm")(padded([[1, 2]]), torch.ones(2, 2).bool()),
            r"padding_mask: found \(2, 2\) of bool, expected \(1, 2\) of bool",
        ),
        (
            lambda: made("lstm")(
                padded([[1], [2]], 2), torch.tensor([[False, True], [True, False]])
            ),
            "found padding before a token in row 1",
        ),
        (
            lambda: made("learned", max_length=3)({"ids": torch.ones(1, 4, dtype=torch.long)}),
            "a text has 4 tokens, but there are positions for 3",
        ),
        (
            lambda: LSTM(frames=2, width=4)(torch.zeros(1, 2, 2), torch.tensor([[True, False]])),
            "found padding before a token in row 0",
        ),
        (
            lambda: LSTM(frames=2, width=4)(torch.zeros(1, 2, 2), torch.ones(2).bool()),
            r"padding_mask: found \(2,\) of bool, expected \(1, 2\) of bool",
        ),
        (
            lambda: LSTM(frames=2, width=4)(
                {"frames": torch.zeros(1, 2, 2), "real": torch.ones(2).bool()}
            ),
            r"found 'real' \(2,\), expected a tensor \(1, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_told(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_first_vectors_of_tokens_and_of_segments_have_length_one_on_average():
    torch.manual_seed(0)
    vectors = TokenEmbedding(2_000, 2, 64)
    assert vectors.tokens.weight[1:].norm(dim=1).mean().item() == pytest.approx(1, abs=0.02)
    assert vectors.segments.weight.norm(dim=1).mean().item() == pytest.approx(1, abs=0.3)
    assert not vectors.tokens.weight[0].any()


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("pool", ["mean", "first", "max"])
def test_texts_of_no_token_at_all_are_zeros_too(name, pool):
    encoder = made(name, pool=pool)
    given = encoder({"ids": torch.empty(2, 0).long()})
    assert torch.equal(given.pooled, torch.zeros(2, encoder.width))
    assert given.padding.all()
    assert given.states.shape == (2, 1, encoder.width)
    words = torch.empty(2, 0).long()
    assert encoder({"ids": words, "words": words}).padding.tolist() == [[True], [True]]


# Half precision on a CPU, where torch keeps a kernel for every shape of a product ---------------


def lengths_seen(encoder):
    """Note the lengths of what linear layers are given."""
    seen = set()
    for module in encoder.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.TransformerEncoderLayer)):
            module.register_forward_pre_hook(lambda _, given: seen.add(given[0].shape[1]))
    return seen


@pytest.mark.parametrize("name", ["transformer", "learned"])
def test_products_in_half_precision_on_a_cpu_have_few_lengths(name):
    encoder = made(name).train()
    seen = lengths_seen(encoder)
    for length in range(1, 33):
        with torch.autocast("cpu", torch.bfloat16):
            found = encoder(padded([[5] * length, [6]]))
        assert found.states.shape == (2, length, 8)
        assert found.padding.shape == (2, length)
    assert seen == {16, 32}
    seen.clear()
    encoder(padded([[5] * 5]))
    assert seen == {5}


def test_padding_for_few_lengths_does_not_go_past_the_positions_that_there_are():
    encoder = made("learned", max_length=20).train()
    seen = lengths_seen(encoder)
    for length in range(1, 21):
        with torch.autocast("cpu", torch.bfloat16):
            encoder(padded([[5] * length]))
    assert seen == {16, 20}


@pytest.mark.parametrize("pool", ["mean", "first", "max"])
@pytest.mark.parametrize("name", ENCODERS)
def test_padding_for_few_lengths_changes_no_value(name, pool):
    encoder = made(name, pool=pool).eval()
    text = {
        "ids": padded([[5, 6, 7, 8, 9], [8, 9], []]),
        "words": torch.tensor([[0, 2], [0, -1]] * 2)[:3],
    }
    expected = encoder(text)
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(text)
    assert torch.equal(found.padding, expected.padding)
    for one, other in ((found.states, expected.states), (found.pooled, expected.pooled)):
        torch.testing.assert_close(one.float(), other, rtol=0.1, atol=0.05)


@pytest.mark.parametrize("name", ["lstm", "forward_lstm"])
def test_recurrent_layers_compute_in_float32_under_autocast_on_a_cpu(name):
    encoder, text = made(name), padded([[5, 6, 7], [8]])
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(text)
    assert torch.equal(found.states, encoder(text).states)
