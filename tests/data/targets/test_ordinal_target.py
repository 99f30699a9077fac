"""Ordered classes: their order is that of numbers, or given."""

import pytest

from motet.data.sources import read
from motet.data.targets import OrdinalTarget
from motet.problems import InputError


def fitted(labels, **options):
    target = OrdinalTarget("y", **options)
    target.fit(read({"y": labels}))
    return target


def test_numbers_and_texts_that_spell_them_are_in_the_order_of_their_values():
    assert fitted([10, 9, None, -1]).names == ("-1", "9", "10")
    assert fitted(["10", "9", None]).names == ("9", "10")
    assert fitted([False, True]).names == ("false", "true")


def test_the_order_of_texts_must_be_given():
    with pytest.raises(InputError, match=r"holds texts \(high, low\), whose order is not known"):
        fitted(["low", "high", "low"])
    found = fitted(["low", "high", None], classes=["low", "mid", "high"])
    assert found.encode(read({"y": ["high", "mid", None]})).tolist() == [2, 1, -100]
    assert found.predictions(found.encode(read({"y": ["mid"]})))["y"].to_pylist() == ["mid"]


def test_shares_of_classes_are_refused():
    with pytest.raises(InputError, match="expected one class per row"):
        fitted([[0.5, 0.5], [1.0, 0.0]])
