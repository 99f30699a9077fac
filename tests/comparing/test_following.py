"""When groups by affinity are no candidate, with the reason, and when they are unsure."""

from types import SimpleNamespace

import numpy as np
import pytest

import motet
from motet.analysis.certainty import Measurements
from motet.comparing import following
from motet.comparing.following import grouped, why_ungrouped
from motet.comparing.methods import Unit, own_model

FROZEN = {"text": {"type": "text", "encoder": {"type": "pretrained", "path": "models/small"}}}


@pytest.mark.parametrize(
    ("count", "more", "reason"),
    [
        (3, {}, ""),
        (2, {}, "fewer than three tasks"),
        (3, {"model": {"sharing": {"type": "hard", "groups": [["a", "b"], ["c"]]}}}, "of its own"),
        (3, {"training": {"analysis": None}}, "measures no affinity"),
        (3, {"training": {"freeze": ["encoder"]}}, "all that tasks share is frozen"),
        (3, {"inputs": FROZEN, "training": {"freeze": ["pretrained"]}}, "is frozen"),
        (3, {"inputs": FROZEN | {"x": "number"}, "training": {"freeze": ["pretrained"]}}, ""),
        (3, {"training": {"freeze": ["encoder"], "unfreeze": {"every": 1, "layers": 1}}}, ""),
    ],
)
def test_groups_need_affinity_and_something_to_share(count, more, reason):
    tasks = "abc"[:count]
    found = why_ungrouped(motet.Config(tasks=dict.fromkeys(tasks, "regression"), **more), tasks)
    assert reason in found
    assert bool(reason) == bool(found)


@pytest.mark.parametrize(("error", "unsure"), [(0.001, False), (1.0, True)])
def test_groups_that_noise_might_have_given_are_noted(monkeypatch, error, unsure):
    config = motet.Config(tasks=dict.fromkeys("abc", "regression"))
    matrix = np.array([[0, 1, -0.5], [1, 0, -0.5], [-0.5, -0.5, 0]])
    steps = np.full((3, 3), 20)
    measured = Measurements(tuple("abc"), matrix, np.full((3, 3), error), steps)
    monkeypatch.setattr(following, "read_analysis", lambda _: SimpleNamespace(affinities=measured))
    own = own_model(config)
    units = [Unit("seed", 0), Unit("seed", 1)]
    runs = SimpleNamespace(
        units=units,
        deciding=lambda _: units,
        finals=lambda _, unit: [unit.name],
        why_failed=lambda _: "",
    )
    (found,), notes = following.completed([grouped(own, config, "abc")], config, runs)
    assert found.what.endswith("by affinity: a, b; c")
    assert bool(notes) == unsure
    if unsure:
        assert notes[0].startswith("groups: measurements at 40 steps")
