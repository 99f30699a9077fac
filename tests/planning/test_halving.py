"""Successive halving: how many candidates train for how many epochs."""

import numpy as np
import pytest

from motet.planning.halving import fewest_epochs, lengths, rungs
from motet.run import prepare


@pytest.mark.parametrize(
    ("count", "epochs", "found"),
    [
        (1, 20, []),
        (3, 20, [(3, 20)]),
        (9, 20, [(9, 7), (3, 20)]),
        (27, 20, [(27, 2), (9, 7), (3, 20)]),
        (27, 2, [(27, 1), (3, 2)]),
        (27, 1, [(27, 1)]),
    ],
)
def test_rounds_end_with_the_epochs_of_the_final_model(count, epochs, found):
    assert [(rung.count, rung.epochs) for rung in rungs(count, epochs)] == found


@pytest.mark.parametrize(("fewest", "found"), [(1, [1, 3, 9]), (2, [2, 3, 9]), (9, [9])])
def test_no_rung_is_shorter_than_the_config_takes(fewest, found):
    assert lengths(9, fewest) == found
    assert [rung.epochs for rung in rungs(27, 9, fewest)] == found


@pytest.mark.parametrize(("begins", "found"), [(1, 1), (2, 3), (4, 9)])
def test_a_task_that_begins_late_needs_so_many_epochs(begins, found):
    x = np.random.default_rng(0).normal(size=(60, 3))
    config = {
        "tasks": {
            "a": "regression",
            "b": {"type": "regression", "enabled": {"from": begins}},
        },
        "model": {"encoder": {"type": "mlp", "hidden": [4]}},
        "training": {"epochs": 9},
    }
    prepared = prepare(config, data={"x": x[:, 0], "a": x[:, 1], "b": x[:, 2]})
    assert fewest_epochs(prepared) == found
