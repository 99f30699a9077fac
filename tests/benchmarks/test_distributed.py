"""What the benchmark of two processes counts and compares; its times are of no concern here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "distributed.py"
NUMBER = r"([\d.e+-]+)"


@pytest.mark.slow
def test_numbers_exchanged_and_errors_are_those_that_the_docs_state():
    found = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--models", "mlp", "--tasks", "3"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ).stdout
    sent = _sent(found)
    tasks = 3
    assert sent["equal"] == pytest.approx(2, rel=0.01)  # of all P
    assert sent["upgrad"] == pytest.approx(tasks + 1, rel=0.01)
    assert sent["graddrop"] == pytest.approx(2 * tasks, rel=0.01)
    assert sent["upgrad, fsdp"] == pytest.approx(tasks + 2, rel=0.01)  # parameters twice
    errors = re.findall(rf"^(\w+) +(motet|\w:).* {NUMBER} of the exact", found, re.M)
    assert len(errors) == 12
    for _, scheme, error in errors:
        assert float(error) < 1e-12 if scheme == "motet" else float(error) > 0.01


def _sent(text):
    """The column "x P" by the name of the row."""
    rows = re.findall(r"^  ([a-z][a-z ,]*[a-z]) +((?:[\d.]+ +)+[\d.]+)$", text, re.M)
    return {name: float(cells.split()[-2]) for name, cells in rows}
