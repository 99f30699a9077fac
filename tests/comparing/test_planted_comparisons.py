"""Whole comparisons of tasks whose truth is planted, as the benchmark makes them."""

import runpy
from pathlib import Path

import pytest
from in_process import in_process

from motet.comparing import estimating

__all__ = ["in_process"]
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "planted_comparisons.py"


@pytest.fixture
def compared(monkeypatch):
    monkeypatch.setattr(estimating, "SECONDS", 0.01)
    return runpy.run_path(str(SCRIPT))["compared"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "expected"),
    [("identical", "helps"), ("opposed", "hurts"), ("unrelated", "no measurable difference")],
)
def test_a_verdict_is_what_was_planted(compared, tmp_path, kind, expected):
    found = compared(kind, 0, 5, tmp_path / "c").methods["config"]
    verdicts = {each.verdict for each in found.tasks.values()}
    assert expected in verdicts
    assert verdicts <= {expected, "no measurable difference"}
    if expected != "no measurable difference":
        assert (found.delta_m.mean > 0) == (expected == "helps")
