"""Groups that are found while training, together with what else a run may have."""

import pytest
from quick_compiling import quick

from motet.data.arrays import ArrayData
from motet.data.several import Sources
from motet.problems import InputError
from motet.tasks import Regression
from tests.planted_blocks import BLOCKS, planted, refreshes, split, trainer

__all__ = ["quick"]
PARTS = split(planted(0, rows=1200))


def groups_of(by, data=PARTS, **options):
    one = trainer({"by": by, "number": 2}, patience=None, **options)
    one.fit(*data, epochs=2)
    return [found["groups"] for found in refreshes(one.history)]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # asked for by torch itself
@pytest.mark.slow
@pytest.mark.parametrize("by", ["gradients", "performance", "data"])
def test_a_compiled_model_finds_the_blocks(by):
    assert groups_of(by, compile=True)[-1] == BLOCKS


@pytest.mark.filterwarnings("ignore:the tasks share no parameter")
@pytest.mark.parametrize("by", ["gradients", "data"])
def test_balancers_that_take_turns_find_the_blocks(by):
    stages = [{"until": 1, "type": "equal"}, "pcgrad"]
    assert groups_of(by, balancer=stages)[-1] == BLOCKS


def two_sources(data):
    """Half of the rows have labels of three tasks, the others of the other three."""
    x, y = data
    cut = len(x) // 2
    halves = {"one": (slice(None, cut), "abc"), "two": (slice(cut, None), "def")}
    return Sources(
        {
            name: ArrayData(x[part], {task: y[task][part] for task in tasks})
            for name, (part, tasks) in halves.items()
        }
    )


@pytest.mark.parametrize("by", ["gradients", "data"])
def test_tasks_of_two_sources_are_found_in_their_blocks(by):
    assert groups_of(by, data=tuple(map(two_sources, PARTS)))[-1] == BLOCKS


def test_tasks_without_a_common_labelled_row_are_named():
    expected = r"9 pairs of tasks, first a and d, cannot be compared by performance .* not similar"
    with pytest.warns(UserWarning, match=expected):
        groups_of("performance", data=tuple(map(two_sources, PARTS)))


def test_a_task_cannot_be_added_later():
    model = trainer({"by": "gradients", "number": 2}).model
    with pytest.raises(InputError, match="'g' cannot be added: this sharing scheme takes all"):
        model.add_task(Regression("g"))
    assert model.tasks.names == model.sharing.columns.names
