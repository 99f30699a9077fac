"""Inputs of an exported model: names, axes, and rows to trace with."""

import pytest
import torch

from motet.data.ragged import Ragged
from motet.export.layout import flat, leaves, nested, template_of, traceable
from motet.problems import InputError

GIVEN = {
    "numbers": torch.zeros(3, 4),
    "texts": {
        "a review": {"ids": Ragged.of([[1], [2], [3]], 0), "words": Ragged.of([[0]] * 3, -1)}
    },
    "sets": {"tags": Ragged.of([[1], [2, 3], [4]], 0)},
    "photo": None,
}
BATCH = {
    "numbers": GIVEN["numbers"],
    "texts": {"a review": {name: each[0:3] for name, each in GIVEN["texts"]["a review"].items()}},
    "sets": {"tags": GIVEN["sets"]["tags"][0:3]},
    "photo": None,
}


def test_a_leaf_is_named_by_its_path_and_its_axes_by_what_they_count():
    found = {each.name: each.axes for each in leaves(template_of(GIVEN, BATCH))}
    assert found == {
        "numbers": ("batch", 4),
        "texts.a review.ids": ("batch", "a_review_tokens"),
        "texts.a review.words": ("batch", "a_review_words"),
        "sets.tags": ("batch", "tags"),
    }


def test_a_batch_is_the_same_once_flattened_and_nested_again():
    template = template_of(GIVEN, BATCH)
    again = nested(template, flat(template, BATCH))
    assert again["photo"] is None
    assert again["texts"]["a review"]["ids"] is BATCH["texts"]["a review"]["ids"]


def test_rows_to_trace_with_have_no_two_axes_of_equal_size_and_none_of_size_1():
    template = template_of(GIVEN, BATCH)
    found = traceable(flat(template, BATCH), leaves(template))
    sizes = [*found["texts.a review.ids"].shape, found["texts.a review.words"].shape[1]]
    sizes.append(found["sets.tags"].shape[1])
    assert len(set(sizes)) == 4
    assert min(sizes) > 1
    assert {len(each) for each in found.values()} == {3}
    assert found["texts.a review.words"][0].tolist()[1:] == [-1] * (sizes[2] - 1)


def test_names_that_two_inputs_would_have_are_refused():
    twice = {"a": {"b": torch.zeros(2)}, "a.b": torch.zeros(2)}
    with pytest.raises(InputError, match=r"two inputs .* the name 'a.b'; rename"):
        template_of(twice, twice)
