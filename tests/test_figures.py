"""Numbers have four significant digits, however small or large."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.figures import figure


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.5, "0.5000"),
        (0.0123456, "0.01235"),
        (0.0000123456, "1.235e-05"),
        (-3.2e-7, "-3.200e-07"),
        (12.3456, "12.35"),
        (999.96, "1,000"),
        (123456.7, "123,457"),
        (3.3e12, "3.3e+12"),
        (math.nan, "nan"),
        (None, "nan"),
        (math.inf, "inf"),
    ],
)
def test_numbers_are_written_for_people(value, written):
    assert figure(value) == written


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_written_is_within_half_a_unit_of_the_fourth_digit(value):
    exact, written = (
        Decimal(value),
        Decimal(figure(value).replace(",", "")),
    )  # no float: it may be inf
    assert abs(written - exact) <= max(abs(exact) * Decimal("5.001e-4"), Decimal("1e-320"))
