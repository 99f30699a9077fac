"""An auxiliary task registered from outside trains, is evaluated, saved and resumed in runs."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from quick_cases import others_slow

import motet
from motet.registry import AUXILIARY

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_auxiliary_task.py"
DENOISE = runpy.run_path(str(EXAMPLE))["DenoiseCells"]


def config(**options):
    return {
        "tasks": {
            "price": {"type": "regression"},
            "cells": {"type": "denoise_cells", "share": 0.2, **options},
        },
        "training": {"epochs": 4, "batch_size": 64, "checkpoint_every": 3},
    }


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setitem(AUXILIARY._places, "denoise_cells", DENOISE)
    AUXILIARY.version += 1
    x = np.random.default_rng(0).normal(size=(400, 3))
    yield {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "price": x.sum(axis=1)}
    AUXILIARY.version += 1


def test_its_loss_is_recorded_and_it_has_no_prediction(rows, tmp_path):
    lines = []
    run = motet.train(config(weight=0.5), rows, output=tmp_path / "run", say=lines.append)
    records = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    ended = [r for r in records if r["event"] in ("epoch", "test")]
    assert {record["split"] for record in ended} == {"train", "validation", "test"}
    for record in ended:
        assert record["tasks"]["cells"]["loss"] > 0
        assert "r2" not in record["tasks"]["cells"]
    assert any("cells loss" in line for line in lines)
    assert any("over 1 task" in line for line in lines)
    loaded = motet.load(run.path)
    assert loaded.predict(rows).column_names == ["price"]
    assert loaded.predict(rows) == run.predict(rows)
    assert set(loaded.evaluate(rows, split="test")) == {"price", "cells", "score"}
    with pytest.raises(motet.InputError, match="'cells' is auxiliary, so it has neither labels"):
        loaded.predict(rows, tasks=["cells"])


def test_rows_without_the_label_columns_are_predicted(rows, tmp_path):
    run = motet.train(config(), rows, output=tmp_path / "run")
    inputs = {name: rows[name] for name in "abc"}
    assert run.predict(inputs) == run.predict(rows)


@pytest.mark.parametrize("balanced", others_slow([True], [False, True]))
def test_a_run_stopped_in_the_middle_ends_as_if_it_had_not_been(
    balanced, rows, tmp_path, monkeypatch
):
    chosen = {**config(balanced=balanced), "balancing": "pcgrad"}
    whole = motet.train(chosen, rows, output=tmp_path / "whole")

    def stop(self, batch, after=[]):  # noqa: B006  # counts the steps of this run
        after.append(1)
        self.stop_requested = len(after) == 7
        return step(self, batch)

    step = motet.Trainer.train_step
    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            motet.train(chosen, rows, output=tmp_path / "parts")
    parts = motet.resume(tmp_path / "parts", rows)
    for ours, theirs in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        assert ours.equal(theirs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "a"}, r"tasks\.cells\.column: unknown key"),
        ({"main": True}, r"tasks\.cells\.main: unknown key"),
        ({"share": 0}, r"tasks\.cells\.share: found 0, expected a number > 0"),
        ({"type": "denoise_cell"}, r"tasks\.cells: found 'denoise_cell'.*denoise_cells"),
    ],
)
def test_wrong_options_are_explained(options, message, rows):
    with pytest.raises(motet.InputError, match=message):
        motet.train(config(**options), rows)


def test_it_cannot_be_what_is_monitored(rows):
    chosen = config()
    chosen["training"]["monitor"] = "cells"
    with pytest.raises(motet.InputError, match=r"training\.monitor: found 'cells'"):
        motet.train(chosen, rows)


def test_its_name_may_be_that_of_an_input(rows, tmp_path):
    chosen = config()
    chosen["tasks"]["a"] = chosen["tasks"].pop("cells")
    run = motet.train(chosen, rows, output=tmp_path / "run")
    assert set(run.config.inputs) == {"a", "b", "c"}


def test_a_name_of_a_task_is_not_free_for_it():
    with pytest.raises(motet.InputError, match="the auxiliary task name 'regression' is taken"):
        motet.register("auxiliary", "regression", DENOISE)
