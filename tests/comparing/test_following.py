"""When groups by affinity are no candidate, with the reason."""

import pytest

import motet
from motet.comparing.following import why_ungrouped

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
