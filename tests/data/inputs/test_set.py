"""Sets of values: which values have an index, and what of a row counts."""

import json

import pyarrow as pa
import pytest
import torch

from motet.data.inputs.set import Set
from motet.encoders.mlp import MLP
from motet.problems import InputError

TRAINING = [["red", "big"], ["red"], ["big", "red", "red"], [], None, ["rare", "rare"]]


def fitted(values, /, **options):
    made = Set("s", **options)
    made.observe(pa.table({"s": values}))
    made.finish()
    return made


def applied(made, values):
    rows, notes = made.apply(pa.table({"s": values}))
    return [[index for index in row if index] for row in rows[0 : len(values)].tolist()], notes


def test_values_of_enough_rows_have_an_index_and_a_set_has_each_value_once():
    made = fitted(TRAINING)
    found, notes = applied(made, [["big", "red", "big"], ["rare", "new", "red"], [], None])
    assert made.shape().values == 5  # padding, missing, unknown, big, red
    assert found == [[3, 4], [2, 4], [], [1]]
    assert sum(notes.counts.values()) == 1


def test_the_order_of_values_does_not_matter():
    made = fitted(TRAINING, min_count=1)
    assert applied(made, [["red", "big"]])[0] == applied(made, [["big", "red"]])[0]


def test_the_most_frequent_values_are_kept_and_the_others_noted():
    made = fitted(TRAINING, min_count=1, size=1)
    assert applied(made, [["red", "big"]])[0] == [[2, 3]]
    assert "the 1 most frequent of 3 values" in made.notes[0]
    assert made.shape() == made.declared()


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (["red, big", "red", "big,red ,", "", None, "rare,rare"], {"separator": ","}),
        (["red big", "red", '["big", "red"]', "[]", None, "rare rare"], {}),
    ],
)
def test_texts_are_read_as_the_lists_that_they_spell(values, options):
    made, lists = fitted(values, **options), fitted(TRAINING)
    assert applied(made, values)[0] == applied(lists, TRAINING)[0]
    later = Set("s")
    later.load(json.loads(json.dumps(lists.state())))
    assert applied(later, [["big"], ["x"]])[0] == [[3], [2]]


def test_a_space_as_separator_keeps_commas_in_values():
    made = fitted(["red,big  small", "red,big"], separator=" ")
    assert made.state()["values"] == ["red,big"]


def test_a_separator_that_no_training_row_contains_is_noted():
    assert (
        "no training row contains the separator '|'" in fitted(["a", "a"], separator="|").notes[0]
    )


def test_numbers_are_values_too():
    made = fitted([[1, 2], [2, 1], [3]])
    assert applied(made, pa.array([[1.0, 3.0]]))[0] == [[2, 3]]


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_an_encoder_pools_the_vectors_of_the_values(pool):
    encoder = MLP(1, sets={"s": (6, pool)}, hidden=[3])
    row = encoder.stages[0]
    table = row.sets[0].weight
    rows = {"numbers": torch.zeros(3, 1), "sets": {"s": torch.tensor([[3, 5], [4, 0], [0, 0]])}}
    both = table[3] + table[5]
    expected = torch.stack([both / 2 if pool == "mean" else both, table[4], torch.zeros(4 + 1)])
    torch.testing.assert_close(row(rows)[:, 1:], expected[:, : row.width - 1])
    assert (table[2] == 0).all()  # unknown values say nothing at first
    encoder(rows).sum().backward()
    assert (table.grad[0] == 0).all()


def test_a_batch_in_which_all_sets_are_empty_gives_zeros():
    row = MLP(0, sets={"s": (6, "mean")}, hidden=[3]).stages[0]
    assert not row({"sets": {"s": torch.zeros(2, 0, dtype=torch.long)}}).any()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1.0, 2.0], {}, "holds numbers, expected lists of values"),
        ([None, []], {}, "no value in the 2 training rows"),
        (TRAINING, {"separator": ""}, "what separates values"),
        (
            TRAINING,
            {"separator": ","},
            "separator: found ',', but column 's' holds lists; remove it",
        ),
        (["red, big", "red"], {}, r"1 of 2 texts in column 's' contain ','; give separator: ','"),
        (TRAINING, {"pool": "max"}, "expected one of|did you mean|mean"),
    ],
)
def test_what_cannot_be_a_set_is_explained(values, options, message):
    with pytest.raises(InputError, match=message):
        fitted(
            pa.array(values, pa.list_(pa.string())) if values == [None, []] else values, **options
        )


def test_a_model_without_data_needs_the_size():
    with pytest.raises(InputError, match="give it, for example size: 500"):
        Set("s").declared()
