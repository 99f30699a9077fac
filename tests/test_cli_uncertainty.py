"""Commands about how certain predictions are, from the shell to the file."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from motet import cli

CONFIG = """\
data: {source: people.csv}
inputs: {x: number}
tasks: {kind: classification, price: regression}
model: {encoder: {hidden: [4]}}
training: {epochs: 1, batch_size: 64, device: cpu}
"""


@pytest.fixture
def motet(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["motet", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code, *capsys.readouterr()

    return run


def test_runs_are_calibrated_joined_and_predict_with_intervals(motet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=600)
    table = {"x": x, "kind": np.where(x > 0, "yes", "no"), "price": 2 * x}
    pa.csv.write_csv(pa.table(table), "people.csv")
    (tmp_path / "people.yaml").write_text(CONFIG)
    for seed in (1, 2):
        assert motet("train", "people.yaml", f"training.seed={seed}", "-o", f"run{seed}")[0] == 0

    code, _, errors = motet("predict", "run1", "people.csv", "-o", "a.csv", "--intervals", "0.9")
    assert code == 2
    assert "motet calibrate RUN DATA" in errors
    code, _, errors = motet("calibrate", "run1", "people.csv")
    assert code == 2
    assert "--split validation" in errors
    code, output, _ = motet("calibrate", "run1", "people.csv", "--split", "validation")
    assert code == 0
    assert "temperature" in output
    assert motet("ensemble", "run1", "run2", "-o", "both")[0] == 0
    assert motet("calibrate", "both", "people.csv", "--split", "validation")[0] == 0
    for folder in ("run1", "both"):
        code, output, _ = motet(
            "predict", folder, "people.csv", "-o", f"{folder}.csv", "--intervals", "0.9"
        )
        assert code == 0
        assert "which also chose the epoch" in output
        found = pa.csv.read_csv(f"{folder}.csv")
        assert {"price_low", "price_high", "kind_set"} <= set(found.column_names)
    code, _, errors = motet("ensemble", "run1", "-o", "one")
    assert code == 2
    assert "expected at least two" in errors
