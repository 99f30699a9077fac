"""Rows may lack modalities: what they had no part of has no effect, and training may hide some."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from motet.encoders import LSTM, Encoder, Joined, fusion
from motet.encoders.presence import dropped
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Regression


class Constant(Encoder):
    """Ones for every row, whatever it is given, which it keeps."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, given):
        self.given = given
        rows = next(iter(given.values())) if isinstance(given, dict) else given
        return rows.new_ones(len(rows), self.width)


def test_features_of_missing_inputs_are_zeros_and_encoders_do_not_see_which_are_missing():
    encoders = {"a": Constant(1), "b": Constant(2)}
    joined = Joined(None, {}, branches=encoders)
    given = {
        "a": {"values": torch.zeros(3, 4), "present": torch.tensor([True, False, False])},
        "b": {"x": torch.zeros(3, 4), "present": torch.tensor([True, True, False])},
    }
    assert joined(given).tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 0]]
    assert encoders["a"].given.shape == (3, 4)
    assert list(encoders["b"].given) == ["x"]
    assert joined.fusion.names == ("a", "b")
    alone = Joined(None, {}, branches={"a": encoders["a"]})
    assert alone({"a": given["a"]}).shape == (3, 1)
    with pytest.raises(InputError, match=r"input 'a': found 'present'.*expected a bool tensor"):
        joined({**given, "a": {"values": torch.zeros(3, 4), "present": torch.ones(3)}})


def test_a_text_without_words_is_missing_where_its_empty_length_is_known():
    torch.manual_seed(0)
    given = {
        "texts": {"note": torch.tensor([[2, 5, 3], [2, 3, 0]])},
        "other": torch.zeros(2, 1),
    }
    seen = {}

    class Seeing(fusion.Fusion):
        def __init__(self, widths):
            super().__init__()
            self.width = widths[0]

        def forward(self, features, present):
            seen["present"] = present
            return features[0]

    parts = {"note": LSTM(9, width=4)}, None, {"other": Constant(4)}
    joined = Joined(None, *parts, Seeing([4, 4]), empty={"note": 2}).eval()
    assert joined(given)[1].tolist() == [0] * 4
    assert seen["present"].tolist() == [[True, True], [False, True]]
    assert Joined(None, *parts, Seeing([4, 4])).eval()(given)[1].abs().sum() > 0
    assert seen["present"] is None


def test_modality_dropout_never_hides_the_last_one_and_draws_by_row():
    torch.manual_seed(0)
    present = torch.tensor([[True, True, False], [False, True, False], [False] * 3]).repeat(500, 1)
    left = dropped(present, 0.4)
    assert not (left & ~present).any()
    assert torch.equal(left.any(1), present.any(1))
    both = left[::3, :2]
    assert abs(float((both.sum(1) == 1).float().mean()) - (2 * 0.4 - 0.4**2)) < 0.06
    assert torch.equal(dropped(present, 0.0), present)


def test_modality_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    encoders = {"a": nn.Linear(2, 3), "b": nn.Linear(2, 3)}
    chosen = {"type": "concat", "modality_dropout": 0.9}
    model = MultiTaskModel(encoders=encoders, fusion=chosen, tasks=[Regression("y")])
    rows = {"a": torch.randn(50, 2), "b": torch.randn(50, 2)}
    hidden = (model.train().represent(rows).view(50, 2, 3) == 0).all(2)
    assert (hidden.sum(1) == 1).float().mean() > 0.8
    assert not hidden.all(1).any()
    assert (model.eval().represent(rows) != 0).all()


def test_concat_may_learn_what_stands_for_a_missing_modality_and_may_have_a_width():
    made = fusion.create({"type": "concat", "missing": "learned"}, [1, 2])
    made.absent.data[1:].fill_(7.0)
    features = [torch.ones(2, 1), torch.zeros(2, 2)]
    present = torch.tensor([[True, False], [True, True]])
    assert made(features, present).tolist() == [[1, 7, 7], [1, 0, 0]]
    assert_close(made(features, None), torch.cat(features, 1))
    assert fusion.create({"type": "concat", "width": 4}, [1, 2])(features, present).shape == (2, 4)


def test_a_fusion_that_does_not_take_which_are_missing_is_refused():
    class Old(fusion.Fusion):
        width = 2

        def __init__(self, widths):
            super().__init__()

        def forward(self, features):
            return features[0]

    with pytest.raises(InputError, match=r"Old.forward\(features\) does not take two.*present"):
        fusion.create(Old, [2])
