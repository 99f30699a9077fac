"""Markdown that runs: every ``python`` block of a page alone, as a reader copies it.

Tutorials are stories: the blocks of one run in order and in one namespace.
"""

import gc
import os
from contextlib import chdir, contextmanager
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from motet.registry import KINDS


@contextmanager
def members_are_forgotten():
    """What a test or a block registers is gone after it."""
    before = {kind: (dict(each._own), each._complete) for kind, each in KINDS.items()}
    yield
    for kind, registry in KINDS.items():
        own, complete = before[kind]
        if registry._own != own:
            registry._own.clear()
            registry._own.update(own)
            registry._complete = complete  # else those of other packages would not come back
            registry.version += 1


def run_alone(example):
    """Run a block in a namespace and a folder of its own."""
    example.namespace.clear()
    example.namespace["__name__"] = "__main__"  # as of a script
    with TemporaryDirectory() as folder, chdir(folder), members_are_forgotten():
        PythonEvaluator()(example)


TUTORIALS = "**/tutorials/*.md"
TYPED = "**/first_five_minutes.md"  # with commands between its blocks: tests/test_docs.py
collect_ignore = ["docs/sphinx"]
pages = Sybil(
    [CodeBlockParser("python", run_alone)],
    patterns=["*.md"],
    excludes=[TUTORIALS, TYPED, "**/earlier/*/model/*.md"],
)
tutorials = Sybil([PythonCodeBlockParser()], patterns=[TUTORIALS])
pytest_collect_file = (pages + tutorials).pytest()


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Leave the million objects of all tests out of garbage collections, here and in forks."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """A block that starts processes is slow: each imports torch."""
    for item in items:
        example = getattr(item, "example", None)
        if example is not None and "carry_out(processes" in str(example.parsed):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What runs keep for the next run is kept apart from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk():
    """Tests need not survive a power cut, and a small run waits for the disk some 30 times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(autouse=True)
def _members_of_a_test_are_forgotten():
    with members_are_forgotten():
        yield


@pytest.fixture(scope="session")
def people():
    """A made-up table: numbers and categories, some missing, and two tasks, some labels missing."""
    rng = np.random.default_rng(0)
    rows = 240
    age = rng.integers(18, 80, rows).astype(float)
    income = np.exp(rng.normal(3, 1, rows))
    city = rng.choice(["Berlin", "Kyoto", "Lima"], rows)
    risk = (age - 50) / 15 + (city == "Lima") * 2 + rng.normal(size=rows)
    churn = np.where(risk > 0, "yes", "no")
    spend = 20 + 2 * np.log(income) - 0.1 * age + rng.normal(size=rows)
    return pa.table(
        {
            "age": pa.array(age, mask=rng.random(rows) < 0.1),
            "income": income.round(3),
            "city": pa.array(city.tolist(), mask=rng.random(rows) < 0.1),
            "churn": pa.array(churn.tolist(), mask=rng.random(rows) < 0.2),
            "spend": pa.array(spend.round(3), mask=rng.random(rows) < 0.2),
        }
    )
