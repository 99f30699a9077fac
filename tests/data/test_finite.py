"""NaN and infinity in inputs are found by their rows, whatever form the inputs have."""

import numpy as np
import pytest
import torch

from motet.data.finite import refuse_not_finite
from motet.data.ragged import Ragged
from motet.problems import InputError

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            torch.tensor([[1.0, 2], [NAN, NAN], [3, NAN]]),
            "inputs has NaN in 2 of 3 rows, .* row 1;",
        ),
        (torch.tensor([[1.0], [INF]]), "inputs has infinity in 1 of 2 rows, first in row 1;"),
        (torch.tensor([INF, -INF, NAN]), "NaN or infinity in 3 of 3 rows, first in row 0;"),
        (torch.full((2, 3, 4, 4), NAN, dtype=torch.float16), "in 2 of 2 rows"),
        ({"a": torch.ones(2), "b": {"c": torch.tensor([0.0, NAN])}}, r"inputs\['b'\]\['c'\] has"),
        (
            Ragged(torch.tensor([1.0, 2, NAN, NAN, 5]), torch.tensor([2, 0, 2, 1]), 0),
            "in 1 of 4 rows, first in row 2;",
        ),
        (
            Ragged(torch.tensor([[1.0, NAN], [INF, 1]]), torch.tensor([1, 1]), 0),
            "in 2 of 2 rows, first in row 0;",
        ),
    ],
)
def test_rows_that_are_not_finite_are_counted_and_the_first_is_named(inputs, message):
    with pytest.raises(InputError, match=f"the data: .*{message}"):
        refuse_not_finite(inputs, "the data")


@pytest.mark.parametrize(
    "inputs",
    [
        torch.tensor([3e38, 3e38]),  # whose sum is infinite
        torch.full((9,), 6e4, dtype=torch.float16),
        torch.tensor([-100, 2**62]),
        torch.zeros(0, 3),
        {"a": torch.from_numpy(np.ones((2, 2), np.uint8))},
    ],
)
def test_numbers_that_are_finite_pass(inputs):
    refuse_not_finite(inputs, "the data")


def test_nan_may_be_allowed_and_infinity_is_refused_all_the_same():
    refuse_not_finite(torch.tensor([NAN, 1.0]), "the data", nan=False)
    with pytest.raises(InputError, match="has infinity in 1 of 2 rows, first in row 1"):
        refuse_not_finite(torch.tensor([NAN, INF]), "the data", nan=False)
