"""Other names lead to names that exist."""

from inspect import signature

import pytest

from motet import TaskMetrics, Trainer
from motet.config import Config
from motet.config.levels import levels
from motet.data import from_texts
from motet.encoders import create_padding_mask
from motet.options.mappings import RegroupingOptions, WithProbability
from motet.other_names import KEYS, MEMBERS, VALUES, plain
from motet.registry import BALANCERS, INPUTS, KINDS, TASKS


def known_keys():
    """Every key that some config may have, and the arguments of calls that have other names."""
    keys = set()
    for name in ("mlp", "lstm", "transformer", "pretrained"):
        found = levels(
            {
                "inputs": {
                    **{each: each for each in INPUTS},
                    "text": {"type": "text", "encoder": name},
                },
                "tasks": {each: each for each in TASKS},
                "model": {"encoder": name},
            },
            Config.model_fields,
        )
        keys |= {key for level in found for key in level.fields}
        for level in [level for level in found if level.marker]:
            for member in KINDS[level.marker.kind]:
                keys |= set(level.with_type(member).fields)
    groups = RegroupingOptions.__annotations__ | WithProbability.__annotations__
    calls = (Trainer, TaskMetrics, from_texts, create_padding_mask)
    return keys.union(groups, *(signature(each).parameters for each in calls))


def test_every_key_that_is_proposed_exists():
    proposed = {key for keys in KEYS.values() for key in keys} | set(VALUES)
    assert proposed <= known_keys()


@pytest.mark.parametrize("kind", MEMBERS)
def test_every_member_that_is_proposed_exists(kind):
    assert {name for names in MEMBERS[kind].values() for name in names} <= set(KINDS[kind])


@pytest.mark.parametrize("kind", [kind for kind in MEMBERS if kind not in ("loss", "metric")])
def test_no_other_name_is_that_of_a_member(kind):
    assert not {plain(name) for name in KINDS[kind]} & set(MEMBERS[kind])


def test_a_member_goes_by_its_other_names_in_python_too():
    for name in ("UW", "uncertainty-weighting", "Uncertainty"):
        with pytest.raises(ValueError, match=r"no balancer is named .*; did you mean 'uncertaint"):
            BALANCERS.known(name)
