"""Random tables, good and bad, with configs that may well fit them."""

import datetime
from copy import deepcopy

from hypothesis import strategies as st

TINY = {
    "model": {"encoder": {"hidden": [4]}},
    "training": {"epochs": 1, "batch_size": 16, "device": "cpu", "monitor": "loss"},
}
"""The sections of a config that is trained in a moment."""

DATES = st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))
MOMENTS = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))
ODD_NUMBERS = st.floats(-5, 5) | st.sampled_from(
    [0.0, -0.0, 1e-320, 1e38, -1e300, 1.7e308, float("nan"), float("inf"), -float("inf")]
)
WORDS = st.sampled_from(["", " ", "yes", "no", "NA", "nan", "1", "true"]) | st.text(max_size=5)
FITTING = {
    "small": (st.integers(0, 3), ["classification", "regression"]),
    "whole": (st.integers(-1000, 1000), ["regression"]),
    "huge": (st.sampled_from([2**31, 2**53 + 1, 2**63 - 1, -(2**63)]), ["regression"]),
    "number": (st.floats(-1e6, 1e6), ["regression"]),
    "odd": (ODD_NUMBERS, ["regression"]),
    "truth": (st.booleans(), ["classification"]),
    "class": (st.sampled_from(["a", "b", "c"]), ["classification"]),
    "word": (WORDS, ["classification"]),
    "tags": (st.lists(st.sampled_from(["red", "big"]), max_size=2), ["multi_label"]),
    "vector": (st.lists(st.floats(-5, 5), min_size=2, max_size=2), ["regression"]),
}
"""Kinds of columns, and the types of task that suit them."""
KINDS = {kind: values for kind, (values, _) in FITTING.items()} | {
    "beyond": st.sampled_from([2**63, 2**64 + 1, 10**400]),
    "date": DATES,
    "moment": MOMENTS,
    "bytes": st.binary(max_size=3),
    "ragged": st.lists(ODD_NUMBERS, max_size=3),
    "object": st.fixed_dictionaries({"x": st.integers(0, 3)}),
    "nothing": st.none(),
    "mixed": st.integers() | st.text(max_size=3) | st.booleans() | st.floats() | DATES,
}
INPUTS = ["number", "category", "vector"]
TASKS = ["classification", "regression", "multi_label"]
NAMES = st.text(min_size=1, max_size=4) | st.sampled_from(
    ["a", "b", "y", "score", "loss", "a.b", "no", "train", "*", "x_*", "a[0]", "1"]
)


@st.composite
def columns(draw, kind, rows):
    """A column of one kind, sometimes constant, sometimes with missing values."""
    values = KINDS[kind]
    if draw(st.integers(0, 3)) == 3:
        values = st.sampled_from(draw(st.lists(values, min_size=1, max_size=3)))
    if draw(st.integers(0, 2)) == 2:
        values = st.one_of(st.none(), values, values)
    drawn = draw(st.lists(values, min_size=min(rows, 12), max_size=min(rows, 12)))
    return [drawn[row % len(drawn)] for row in range(rows)]


@st.composite
def runs(draw):
    """A config, a mapping of columns to train on, and one to predict for, as `KINDS` has them."""
    rows = draw(st.sampled_from([60, 30, 12, 60, 30, 12, 5, 3, 2, 1]))
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    possible = sorted(FITTING if draw(st.booleans()) else KINDS)
    kinds = {name: draw(st.sampled_from(possible)) for name in names}
    table = {name: draw(columns(kind, rows)) for name, kind in kinds.items()}
    if draw(st.integers(0, 5)):
        kinds["plain"], table["plain"] = "number", [row / 3 for row in range(rows)]
    config = draw(settings_for(kinds))
    rows = draw(st.sampled_from([1, 3, 20]))
    later = {name: draw(columns(kind, rows)) for name, kind in kinds.items()}
    for name in draw(st.lists(st.sampled_from([*config["tasks"], *names]), max_size=1)):
        later.pop(name, None)
    return config, table, later or {"other": [1]}


@st.composite
def settings_for(draw, kinds):
    """A config for such a table: one or two targets, sometimes inputs, sometimes a split."""
    names = list(kinds)
    targets = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    tasks = {}
    for place, target in enumerate(targets):
        any_type = draw(st.integers(0, 9)) == 9 or kinds[target] not in FITTING
        task = {"type": draw(st.sampled_from(TASKS if any_type else FITTING[kinds[target]][1]))}
        if draw(st.booleans()):
            tasks[f"task{place}"] = {**task, "column": target}
        else:
            tasks[target] = task
    config = {"tasks": tasks, **deepcopy(TINY)}
    rest = [name for name in names if name not in targets]
    if rest and draw(st.integers(0, 3)) == 3:
        config["inputs"] = {name: draw(st.sampled_from(INPUTS)) for name in rest}
    if draw(st.integers(0, 3)) == 3:
        strange = [{"test": 0}, {"stratify": names[0]}, {"column": names[-1]}, {"validation": 0.4}]
        config["data"] = {"split": draw(st.sampled_from(strange))}
    return config
