"""What a model costs beside one model per task, counted and by hand."""

from dataclasses import replace

import numpy as np
import pytest

import motet
from motet.registry import SHARING
from motet.run import check, model_lines
from motet.run.costs import count_costs


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    table = {f"x{i}": rng.normal(size=60) for i in range(4)}
    return {**table, "a": rng.normal(size=60), "b": rng.choice(["u", "v", "w"], 60)}


def prepared(rows, **sharing):
    config = {
        "inputs": {f"x{i}": {"type": "number", "scaling": "standard"} for i in range(4)},
        "tasks": {"a": "regression", "b": "classification"},
        "model": {"encoder": {"hidden": [8, 6]}, "sharing": sharing or "hard"},
    }
    return check(config, data=rows)


def test_hard_sharing_costs_one_encoder_and_all_heads(rows):
    costs = count_costs(prepared(rows))
    encoder = 4 * 8 + 8 + 8 * 6 + 6
    assert costs.shared == encoder
    assert costs.own == {"a": 7, "b": 21}
    assert costs.parameters == encoder + 28
    assert costs.single_parameters == 2 * encoder + 28
    assert costs.multiply_adds == 4 * 8 + 8 * 6 + 6 + 18
    assert costs.single_multiply_adds == 2 * (4 * 8 + 8 * 6) + 6 + 18


def test_experts_and_gates_are_counted(rows):
    costs = count_costs(prepared(rows, type="mmoe", experts=3))
    assert costs.shared == 3 * (4 * 8 + 8 + 8 * 6 + 6)
    assert costs.own["a"] == 7 + 5 * 3
    experts, gates, mixing = 3 * (4 * 8 + 8 * 6), 2 * 4 * 3, 2 * 3 * 6
    assert costs.multiply_adds == experts + gates + mixing + 6 + 18


def test_it_is_said_by_validate_and_in_the_model_card(rows, tmp_path):
    lines = list(model_lines(prepared(rows)))
    assert lines[0].split(maxsplit=1) == ["model", "hard sharing, 122 parameters"]
    assert lines[1].strip() == "shared 94; a 7, b 21"
    assert lines[2].strip() == "104 multiply-adds per row"
    ratios = "0.56 x their parameters, 0.57 x their multiply-adds"
    assert lines[3].strip() == f"2 single-task models together: {ratios}"
    config = {**prepared(rows).config.model_dump(), "training": {"epochs": 1}}
    motet.train(config, data=rows, output=tmp_path / "run")
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert all(line in card for line in lines)


@pytest.mark.parametrize("name", list(SHARING))
def test_every_scheme_has_costs(name, rows):
    costs = count_costs(prepared(rows, type=name))
    assert costs.parameters >= 122
    assert costs.multiply_adds >= 104


def test_a_model_of_which_no_product_is_counted_has_lines_too(rows, monkeypatch):
    given = prepared(rows)
    costs = count_costs(given)
    free = replace(costs, multiply_adds=0.0, alone=dict.fromkeys(costs.alone, 0.0))
    monkeypatch.setattr("motet.run.lines.count_costs", lambda _: free)
    assert list(model_lines(given))[-1].endswith(" x their parameters")
