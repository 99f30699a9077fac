"""Whatever is thrown at it: a run that can start, or an error that says what to do.

Random tables, files and configs go through `motet.run.check`, and what passes is trained for an
epoch and used to predict. Nothing but `InputError` and `TrainingError` may come out. Each test
counts its cases; ``pytest -m slow`` makes many more.
"""

import datetime
import re
import string
from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motet.problems import InputError
from motet.run import check, train
from motet.training.trainer import TrainingError

REMEDY = re.compile(
    r"expected|did you mean|known:|remove|rename|leave|write|use |give|name |choose|check|correct|"
    r"save|turn |missing, but required|set |try |keep one|enable one|make it|call "
)
TINY = {
    "model": {"encoder": {"hidden": [4]}},
    "training": {"epochs": 1, "batch_size": 16, "device": "cpu", "monitor": "loss"},
}


def outcome(action):
    """Carry out an action; return its result, or None if it was refused as it should be."""
    try:
        return action()
    except InputError as error:
        assert REMEDY.search(str(error)), f"no remedy in: {error}"
        assert "errors.pydantic.dev" not in str(error)
        return None


# Tables --------------------------------------------------------------------------------------

HUGE = [2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 + 1, 10**400]
NUMBERS = st.one_of(
    st.floats(-5, 5),
    st.sampled_from([0.0, -0.0, 1e-320, 1e38, -1e300, 1.7e308, float("nan")]),
    st.sampled_from([float("inf"), -float("inf")]),
)
WORDS = st.one_of(st.sampled_from(["", " ", "yes", "no", "NA", "nan", "1", "true"]), st.text(max_size=5))
DATES = st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))
KINDS = {
    "small": st.integers(0, 3),
    "whole": st.integers(-1000, 1000),
    "huge": st.sampled_from(HUGE),
    "number": st.floats(-1e6, 1e6),
    "odd": NUMBERS,
    "truth": st.booleans(),
    "class": st.sampled_from(["a", "b", "c"]),
    "word": WORDS,
    "date": DATES,
    "moment": st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)),
    "bytes": st.binary(max_size=3),
    "vector": st.lists(st.floats(-5, 5), min_size=2, max_size=2),
    "tags": st.lists(st.sampled_from(["red", "big"]), max_size=2),
    "ragged": st.lists(NUMBERS, max_size=3),
    "record": st.fixed_dictionaries({"x": st.integers(0, 3)}),
    "nothing": st.none(),
    "mixed": st.one_of(st.integers(), st.text(max_size=3), st.booleans(), st.floats(), DATES),
}
TYPES = ["classification", "regression", "multi_label"]
NAMES = st.one_of(
    st.sampled_from(["a", "b", "y", "score", "loss", "a.b", "no", "train", "*", "x_*", "a[0]", "1"]),
    st.text(min_size=1, max_size=4),
)


@st.composite
def columns(draw, rows):
    """A column of one kind, perhaps constant, perhaps with missing values."""
    values = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    if draw(st.booleans()):
        values = st.sampled_from(draw(st.lists(values, min_size=1, max_size=3)))
    if draw(st.booleans()):
        values = st.one_of(st.none(), values, values)
    drawn = draw(st.lists(values, min_size=min(rows, 12), max_size=min(rows, 12)))
    return [drawn[row % len(drawn)] for row in range(rows)]


@st.composite
def tables(draw):
    """A mapping of columns, all of one length."""
    rows = draw(st.sampled_from([1, 2, 3, 5, 12, 30, 60]))
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    return {name: draw(columns(rows)) for name in names}


@st.composite
def settings_for(draw, names):
    """A config for a table with these columns: targets, perhaps inputs, perhaps a split."""
    names = list(names)
    targets = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    tasks = {}
    for place, target in enumerate(targets):
        task = {"type": draw(st.sampled_from(TYPES))}
        if draw(st.booleans()):
            tasks[f"task{place}"] = {**task, "column": target}
        else:
            tasks[target] = task
    config = {"tasks": tasks, **deepcopy(TINY)}
    rest = [name for name in names if name not in targets]
    if rest and draw(st.booleans()):
        kinds = st.sampled_from(["number", "category", "vector"])
        config["inputs"] = {name: draw(kinds) for name in rest}
    split = draw(
        st.sampled_from(
            [{}, {"test": 0}, {"stratify": names[0]}, {"column": names[-1]}, {"validation": 0.4}]
        )
    )
    config["data"] = {"split": split}
    return config


@st.composite
def runs(draw):
    table = draw(tables())
    return table, draw(settings_for(table))


def carried_out(config, table, folder):
    """Check, train for an epoch and predict; return how far it went."""
    if outcome(lambda: check(config, data=table)) is None:
        return "refused"
    try:
        run = outcome(lambda: train(config, data=table, output=folder))
    except TrainingError:
        return "not finite"
    if run is None:
        return "refused in training"
    predictions = outcome(lambda: run.predict(table))
    assert predictions.num_rows == len(next(iter(table.values())))
    return "trained"


def many(examples):
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )


def told(tally, what, capsys):
    with capsys.disabled():
        found = ", ".join(f"{count:,} {each}" for each, count in sorted(tally.items()))
        print(f"\n{sum(tally.values()):,} {what}: {found}")


PROFILES = [
    pytest.param(100, id="quick"),
    pytest.param(3000, id="thorough", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("cases", PROFILES)
def test_any_table_trains_or_is_refused_with_a_remedy(cases, tmp_path, capsys):
    tally = Counter()

    @many(cases)
    @given(runs())
    def holds(run):
        table, config = run
        tally[carried_out(config, table, tmp_path / str(sum(tally.values())))] += 1

    holds()
    told(tally, "tables", capsys)
    assert sum(tally.values()) >= cases
