"""Student's t distribution is that of SciPy."""

import math

import pytest
from scipy import stats

from motet.analysis.student import quantile, upper_tail

FREEDOM = (1, 2, 3.7, 19, 399.5, 1e5)


@pytest.mark.parametrize("freedom", FREEDOM)
@pytest.mark.parametrize("t", [-40.0, -2.0, -1e-3, 0.0, 1e-4, 0.4, 1.0, 3.0, 12.0, 500.0])
def test_tails_are_those_of_scipy(t, freedom):
    assert upper_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-9, abs=1e-290)


@pytest.mark.parametrize("freedom", FREEDOM)
@pytest.mark.parametrize("level", [1e-9, 0.025, 0.3, 0.5, 0.6, 0.9, 0.975, 0.995, 1 - 1e-9])
def test_quantiles_are_those_of_scipy(level, freedom):
    assert quantile(level, freedom) == pytest.approx(stats.t.ppf(level, freedom), rel=1e-10)


def test_without_degrees_of_freedom_nothing_is_known_and_infinity_has_no_tail():
    assert math.isnan(quantile(0.975, 0))
    assert math.isnan(upper_tail(1.0, 0))
    assert (upper_tail(math.inf, 3), upper_tail(-math.inf, 3)) == (0.0, 1.0)
