"""Run folders that an earlier version wrote load, and predict what they did."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import motet

EARLIER = sorted((Path(__file__).parent / "earlier").iterdir())
"""Runs, with some rows and their predictions."""


@pytest.mark.parametrize("folder", EARLIER, ids=lambda folder: folder.name)
def test_a_run_of_an_earlier_version_loads_and_predicts_the_same(folder):
    pytest.importorskip("tokenizers")
    run = motet.load(folder)
    found = run.predict(pq.read_table(folder / "rows.parquet"))
    expected = pq.read_table(folder / "expected.parquet")
    assert found.column_names == expected.column_names
    for name in expected.column_names:
        one, other = found[name], expected[name]
        if str(other.type) == "double":  # other machines may round differently
            np.testing.assert_allclose(one.to_numpy(), other.to_numpy(), rtol=1e-5, atol=1e-6)
        else:
            assert one.to_pylist() == other.to_pylist(), name
