"""How well each row is predicted, by the kind of label: shares of right elements, or residuals."""

import pytest
import torch
from torch.testing import assert_close

from motet.tasks.kinds.classes import ClassLabels
from motet.tasks.kinds.identities import IdentityLabels
from motet.tasks.kinds.none import NoLabels
from motet.tasks.kinds.numbers import NumberLabels
from motet.tasks.kinds.pixel_classes import PixelClassLabels
from motet.tasks.kinds.pixel_numbers import PixelNumberLabels
from motet.tasks.kinds.quantiles import QuantileLabels
from motet.tasks.kinds.relevances import RelevanceLabels
from motet.tasks.kinds.tags import TagLabels
from motet.tasks.kinds.texts import TextLabels
from motet.tasks.kinds.word_numbers import WordNumberLabels

NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "value", "target", "expected"),
    [
        (ClassLabels(), [1, 2, 0], [1, 0, -100], [1, 0, NAN]),
        (TagLabels(), [[1, 2, 3], [1, -100, -100]], [[1, 2, 0], [0, -100, -100]], [2 / 3, 0]),
        (TextLabels(), [[5, 6], [5, -100]], [[5, 7, 8], [5, -100, -100]], [1 / 3, 1]),
        (NumberLabels(), [1.0, 2.0], [3.0, NAN], [-2, NAN]),
        (NumberLabels(), [[1.0, 5.0]], [[NAN, 2.0]], [3]),
        (QuantileLabels(), [[1.0, 2.0, 6.0]], [2.0], [1]),
        (WordNumberLabels(), [[1.0, 2.0, 9.0]], [[0.0, NAN]], [1]),
        (PixelNumberLabels(), [[[1.0, 2.0]]], [[[NAN, 4.0]]], [-2]),
        (PixelClassLabels(ignored=9), [[[1, 2, 3]]], [[[1, 9, 0]]], [0.5]),
    ],
)
def test_scores_are_known_by_hand(kind, value, target, expected):
    found = kind.row_scores(torch.tensor(value), torch.tensor(target))
    assert_close(found, torch.tensor(expected).double(), equal_nan=True)


@pytest.mark.parametrize("kind", [IdentityLabels(), RelevanceLabels(), NoLabels()])
def test_kinds_whose_rows_depend_on_each_other_have_none(kind):
    assert kind.row_scores(torch.zeros(3), torch.zeros(3)) is None
