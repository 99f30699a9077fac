"""Learning-rate schedules: known values."""

import pytest

from motet.options import create
from motet.problems import InputError
from motet.registry import LR_SCHEDULES


def factor(name, step, total=100, **options):
    return create(LR_SCHEDULES, name, total, **options)(step)


@pytest.mark.parametrize(
    ("name", "options", "values"),
    [
        ("constant", {}, {0: 1.0, 50: 1.0, 99: 1.0}),
        ("constant", {"warmup": 0.1}, {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 99: 1.0}),
        ("cosine", {"warmup": 0.0}, {0: 1.0, 25: 0.853553, 50: 0.5, 75: 0.146447, 100: 0.0}),
        ("cosine", {"warmup": 0.2, "final": 0.2}, {0: 0.05, 19: 1.0, 20: 1.0, 60: 0.6, 100: 0.2}),
        ("cosine", {}, {0: 0.2, 4: 1.0, 5: 1.0}),
        ("linear", {"warmup": 0.0}, {0: 1.0, 25: 0.75, 50: 0.5, 99: 0.01, 100: 0.0}),
        ("linear", {"warmup": 0.2, "final": 0.2}, {0: 0.05, 19: 1.0, 20: 1.0, 60: 0.6, 100: 0.2}),
        ("step", {}, {0: 1.0, 33: 1.0, 34: 0.1, 66: 0.1, 67: 0.01, 99: 0.01, 100: 0.01}),
        ("step", {"drops": 1, "factor": 0.5}, {0: 1.0, 49: 1.0, 50: 0.5, 100: 0.5}),
    ],
)
def test_the_factor_has_its_known_values(name, options, values):
    for step, expected in values.items():
        assert factor(name, step, **options) == pytest.approx(expected, abs=1e-6), step


@pytest.mark.parametrize("name", list(LR_SCHEDULES))
@pytest.mark.parametrize("total", [0, 1, 2, 7])
def test_short_runs_have_a_learning_rate_above_zero_at_every_step(name, total):
    for step in range(total):
        assert 0 < factor(name, step, total) <= 1
    assert 0 <= factor(name, total + 5, total) <= 1


@pytest.mark.parametrize("name", list(LR_SCHEDULES))
def test_after_the_warm_up_the_factor_never_rises(name):
    factors = [factor(name, step, 40) for step in range(2, 41)]
    assert factors == sorted(factors, reverse=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cosine", {"warmup": 1.0}, "warmup: found 1.0, expected a number < 1"),
        ("step", {"drops": 0}, "expected a number > 0"),
        ("linear", {"finale": 0.1}, "did you mean 'final'"),
    ],
)
def test_wrong_options_are_explained(name, options, message):
    with pytest.raises(InputError, match=message):
        factor(name, 0, **options)
