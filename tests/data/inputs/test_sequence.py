"""Sequences of vectors, and vectors with an encoder of their own: what rows may lack."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.testing import assert_close

from motet.data.inputs.sequence import FrameSequence
from motet.data.inputs.vector import Vector
from motet.encoders import LSTM, MLP, Identity, Transformer
from motet.problems import InputError

ROWS = pa.table({"s": [[[0.0, 1.0], [2.0, 1.0]], None, [[4.0, 1.0]], []]})


def fitted(rows=ROWS, **options):
    made = FrameSequence("s", **options)
    made.observe(rows)
    made.finish()
    return made


def test_frames_are_standardised_and_padded_and_rows_without_one_are_missing():
    made = fitted()
    tree, notes = made.apply(ROWS)
    scale = np.std([0.0, 2.0, 4.0])
    expected = torch.tensor([[[-2 / scale, 0], [0, 0]], [[2 / scale, 0], [0, 0]]])
    assert_close(tree["frames"].index_select(0, torch.tensor([0, 2])), expected.float())
    assert tree["real"][0:4].tolist() == [[True, True], [False] * 2, [True, False], [False] * 2]
    assert tree["present"].tolist() == [True, False, True, False]
    assert [(found.what, count) for found, count in notes.counts.items() if count] == [
        ("lack it, as a missing modality", 2)
    ]
    again = FrameSequence("s")
    again.load(made.state())
    assert torch.equal(again.apply(ROWS)[0]["frames"].values, tree["frames"].values)
    assert made.shape().arguments == (2,)


def test_long_sequences_are_cut_and_missing_numbers_are_means():
    made = fitted(max_length=1)
    tree, notes = made.apply(pa.table({"s": [[[2.0, None], [1.0, 1.0]]]}))
    assert tree["frames"][0:1].tolist() == [[[0.0, 0.0]]]
    assert sorted(count for count in notes.counts.values() if count) == [1, 1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[[1.0], [2.0]], [[1.0, 2.0]]], r"a frame has a list of 2 in row 1, expected 1 numbers"),
        ([[[1.0], [2.0]], [[float("inf")]]], r"is infinite in 1 of 3 rows, first in row 1"),
        ([[1.0, 2.0]], r"expected a list of vectors in every row"),
        ([1.0], r"expected a list of vectors in every row"),
        ([None, None], r"column 's' has no frame in the 2 training rows; remove it"),
        ([[], None], r"column 's' has no frame in the 2 training rows; remove it"),
    ],
)
def test_what_is_no_sequence_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        fitted(pa.table({"s": values}))


def test_another_width_than_the_one_given_is_an_error_about_the_option():
    with pytest.raises(InputError, match="width: found 3, but column 's' has 2 numbers per frame"):
        fitted(width=3)
    assert fitted(width=2).shape().arguments == (2,)


@pytest.mark.parametrize("kind", [LSTM, Transformer])
def test_encoders_of_texts_read_frames_and_never_their_padding(kind):
    torch.manual_seed(0)
    more = {} if kind is LSTM else {"heads": 2, "layers": 1}
    encoder = kind(frames=2, width=4, **more).eval()
    frames = torch.randn(2, 3, 2)
    real = torch.tensor([[True] * 3, [True, False, False]])
    found = encoder({"frames": frames, "real": real})
    assert found.padding.tolist() == (~real).tolist()
    alone = encoder(frames[1:, :1])
    assert_close(found.pooled[1:], alone.pooled)
    frames[1, 1:] = torch.nan
    assert_close(encoder({"frames": frames, "real": real}).pooled, found.pooled)
    with pytest.raises(InputError, match=r"found frames \(2, 3\), expected a tensor \(B, L, 2\)"):
        encoder(torch.zeros(2, 3))


def test_a_vector_with_an_encoder_is_a_modality_that_rows_may_lack():
    rows = pa.table({"v": [[0.0, 1.0], None, [4.0, 3.0]]})
    made = Vector("v", encoder="mlp")
    made.observe(rows)
    made.finish()
    tree, notes = made.apply(rows)
    assert tree["values"].tolist() == [[-1, -1], [0, 0], [1, 1]]
    assert tree["present"].tolist() == [True, False, True]
    assert sum(notes.counts.values()) == 1
    shape = made.shape()
    assert (shape.reads, shape.arguments) == ("vector", (2,))
    again = Vector("v")
    again.load(made.state())
    assert again.shape() == shape
    partly = Vector("v", encoder="identity", scaling="piecewise", bins=2)
    given = pa.table({"v": [[0.0, 1.0], [None, 2.0], None, [4.0, 3.0], [1.0, 2.5]]})
    partly.observe(given)
    partly.finish()
    width, categories, expansions = partly.shape().arguments
    assert width == 3  # with the mark of components that are missing
    found = partly.apply(given)[0]
    assert found["values"][:, 2].tolist() == [0, 1, 0, 0, 0]
    encoder = Identity(width, categories, expansions)
    assert encoder(torch.from_numpy(found["values"])).shape == (5, encoder.width)
    assert encoder.width > 3
    assert not list(Identity(4).parameters())
    assert MLP(4, hidden=[2])(torch.zeros(1, 4)).shape == (1, 2)
