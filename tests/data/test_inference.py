"""Guesses about columns, and the reasons people read."""

import datetime

import numpy as np
import pytest

from motet.data.inference import infer_inputs
from motet.data.sources import read
from motet.registry import INPUTS

N = 100
WORDS = [f"w{i % 7}" for i in range(N)]
CASES = {
    "whole": ([i % 74 for i in range(97)] + [None] * 3, "number", "74 distinct whole numbers, 3 %"),
    "real": (list(np.linspace(0, 1, N)), "number", "100 distinct numbers"),
    "flag": ([True, False] * 50, "category", "2 distinct truth values"),
    "words": (WORDS, "category", "7 distinct texts"),
    "rare_gap": ([None] + [1.5, 2.5] * 400, "number", "2 distinct numbers, 1 missing"),
    "sentence": ([f"a b c d {i % 9}" for i in range(N)], None, "5.0 words on average; text is not"),
    "many": ([f"{i % 1500}" for i in range(3000)], None, "1,500 distinct texts"),
    "name": ([f"id{i}" for i in range(N)], None, "a different text in each of 100 rows"),
    "few_names": ([f"id{i}" for i in range(5)], "category", "5 distinct texts"),
    "clip": (np.random.default_rng(0).normal(size=(N, 8)), "vector", "lists of 8 numbers"),
    "lists": ([[1.0, 2.0], None], "vector", "lists of 2 numbers, 50 % missing"),
    "uneven": ([[1.0], [1.0, 2.0]], None, "different lengths"),
    "tags": ([["a"], ["b"]], None, "lists of texts"),
    "day": (
        [datetime.date(2020, 1, 1 + i) for i in range(9)],
        None,
        "dates; turn them into numbers",
    ),
    "nothing": ([None, None], None, "no values"),
    "same": ([7] * N, None, "the same value in every row"),
    "same_or_missing": ([7, None], "number", "1 distinct whole number, 50 % missing"),
}


@pytest.mark.parametrize("name", list(CASES))
def test_a_column_gets_a_type_and_a_reason(name):
    values, kind, reason = CASES[name]
    (guess,) = infer_inputs(read({name: values}))
    assert (guess.column, guess.type) == (name, kind)
    assert reason in guess.reason


def test_excluded_columns_are_passed_over_and_the_rest_keep_their_order():
    table = read({"b": [1, 2], "a": [1, 2], "c": [1, 2]})
    assert [guess.column for guess in infer_inputs(table, exclude={"a"})] == ["b", "c"]


def test_every_guess_is_a_name_in_the_registry():
    kinds = {kind for _, kind, _ in CASES.values()} - {None}
    assert kinds <= set(INPUTS)


def test_adult_is_understood_but_for_nothing():
    guesses = {guess.column: guess.type for guess in infer_inputs(read("motet://adult"))}
    assert guesses["age"] == guesses["capital_gain"] == "number"
    assert guesses["native_country"] == "category"
    assert None not in guesses.values()
