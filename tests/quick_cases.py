"""Where every case costs a second, some stand for their kind in each run, and the others are slow.

``make test-all`` runs them all, and those that are registered later.
"""

import pytest

BALANCERS = ("uncertainty", "dwa", "famo", "meta", "gradnorm", "gradient_ratio", "pcgrad", "moco")
"""They differ in what they read, in when they are called, and in what they keep."""
SHARING = ("mmoe", "progressive", "routing", "soft")
"""Gates, stages that join while training, draws, and a regulariser."""


def others_slow(quick, cases):
    """Mark as slow what is not among the quick ones; a case of several arguments is a tuple."""
    assert all(case in cases for case in quick)
    return [case if case in quick else _slow(case) for case in cases]


def _slow(case):
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
