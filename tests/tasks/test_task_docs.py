"""The pages on tasks name all that a config can use."""

import re
from pathlib import Path

import pytest

from motet.options import AUXILIARY_DEFAULTS, TASK_DEFAULTS, read_options
from motet.registry import AUXILIARY, METRICS, TASKS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {path.name: path.read_text() for path in DOCS.glob("*.md")}
TASKS_PAGE = PAGES["tasks.md"]


def sections(text):
    return {each.split("\n", 1)[0]: each for each in re.split(r"(?m)^## ", text)}


def names(text):
    return set(re.findall(r"`(\w+)[:`@]", text))


def test_the_table_of_options_has_those_of_every_task():
    rows = re.findall(r"(?m)^\| `(\w+)` ", sections(TASKS_PAGE)["Options of every task"])
    assert sorted(rows) == sorted(TASK_DEFAULTS)


def test_every_type_of_task_and_every_metric_is_in_the_table_to_choose_from():
    found = names(sections(TASKS_PAGE)["How to choose"])
    assert (set(TASKS) - set(AUXILIARY)) | set(METRICS) <= found


def test_every_auxiliary_task_and_its_options_are_on_their_page():
    found = names(PAGES["auxiliary_tasks.md"])
    assert set(AUXILIARY) | set(AUXILIARY_DEFAULTS) <= found


@pytest.mark.parametrize("name", list(TASKS))
def test_every_option_of_a_type_is_on_the_page(name):
    page = PAGES["auxiliary_tasks.md"] if name in AUXILIARY else TASKS_PAGE + PAGES["own_tasks.md"]
    options = {option.name for option in read_options(TASKS, name)}
    assert options - names(page) - set(re.findall(r"(\w+): ", page)) == set()
