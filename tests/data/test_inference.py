"""Guesses about columns, and the reasons people read."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pytest

from motet.data.inference import infer_inputs, infer_split, infer_tasks, usable
from motet.data.sources import read
from motet.problems import InputError
from motet.registry import INPUTS
from motet.registry import TASKS as TYPES

N = 100
LABELS = ["red", "big", "new", "old", "odd", "hot"]
TAGS = [[LABELS[(5 * i + 2 * j) % 6] for j in range(i % 4)] for i in range(N)]
WORDS = [f"w{i % 7}" for i in range(N)]
CASES = {
    "whole": ([i % 74 for i in range(97)] + [None] * 3, "number", "74 distinct whole numbers, 3 %"),
    "real": (list(np.linspace(0, 1, N)), "number", "100 distinct numbers"),
    "flag": ([True, False] * 50, "category", "2 distinct truth values"),
    "words": (WORDS, "category", "7 distinct texts"),
    "rare_gap": ([None] + [1.5, 2.5] * 400, "number", "2 distinct numbers, 1 missing"),
    "sentence": ([f"a b c d {i % 9}" for i in range(N)], "text", "5.0 words on average"),
    "sentences": ([f"a b c {i}" for i in range(N)], "text", "100 distinct texts, 4.0 words"),
    "many": ([f"{i % 1500}" for i in range(3000)], "category", "1,500 distinct texts"),
    "titles": ([f"a b {i % 1500}" for i in range(3000)], "text", "if they are names: category"),
    "product_id": (
        [(37 * i) % 40 for i in range(N)],
        "category",
        "40 distinct whole numbers that name things; if they are amounts: number",
    ),
    "orderId": ([(3671 * i) % 9973 for i in range(N)], None, "a different number in each of 100"),
    "tags": (TAGS, "set", "lists of 6 distinct texts, 1.5 in a row; if they are the words"),
    "phrases": (
        [[f"very {tag}" for tag in tags] or None for tags in TAGS],
        "set",
        "lists of 6 distinct texts, 2.0 in a row, 25 % missing",
    ),
    "items": (
        [[10 * LABELS.index(tag) for tag in tags] for tags in TAGS],
        "set",
        "lists of 6 distinct numbers, 1.5 in a row",
    ),
    "dear_items": ([[0.5] * (i % 3) for i in range(N)], None, "different lengths"),
    "repeated": (
        [[*tags, *tags[:1]] for tags in TAGS],
        "text",
        "if their order does not count: set",
    ),
    "separated": (
        [" | ".join(tags) or None for tags in TAGS],
        "set",
        "texts of 6 distinct values between '|', 2.0 in a row, 25 % missing",
    ),
    "as_json": (
        [json.dumps(tags) if tags else None for tags in TAGS],
        "set",
        "2.0 in a row, 25 % missing, as JSON",
    ),
    "numbers_as_json": (
        [json.dumps([k for k in range(6) if (i >> (k % 3)) % 2 or k == i % 6]) for i in range(N)],
        "set",
        "lists of 6 distinct numbers",
    ),
    "spaced": ([" ".join(tags) or None for tags in TAGS], "category", "distinct texts"),
    "towns": (["Rome, Italy", "Oslo, Norway", "Rome, Georgia"] * 33, "category", "3 distinct"),
    "decimals": ([f"{i % 9},{i % 5}" for i in range(N)], "category", "45 distinct texts"),
    "clauses": (
        [f"it was number {i % 3} for me, and then it was {i % 4}, in the end" for i in range(N)],
        "text",
        "12 distinct texts",
    ),
    "few_sets": (TAGS[:19], "text", "lists of words"),
    "name": ([f"id{i}" for i in range(N)], None, "a different text in each of 100 rows"),
    "slip": (
        [*map(str, range(99)), "?"],
        None,
        "as if it named them, numbers in 99 rows and words in 1, first '?' in row 99",
    ),
    "slips": (
        ["1", "2.5e3", "?"] * 30,
        "category",
        "3 distinct texts, numbers in 60 rows and words in 30, first '?' in row 2",
    ),
    "spelt": (["1", " -2.5", None] * 30, "category", "missing, all of which spell numbers"),
    "names_but_a_few": (
        [f"id{max(i, 3)}" for i in range(280)],
        None,
        "277 different texts in 280 rows, as if it named them",
    ),
    "half": ([f"w{i % 60}" for i in range(N)], "text", "60 distinct texts"),
    "number": (
        [100 + 7 * i for i in range(N)],
        None,
        "whole numbers that increase from row to row",
    ),
    "shuffled": ([(37 * i) % N + 5 for i in range(N)], None, "the numbers 5 to 104, each in one"),
    "not_all": ([(37 * i) % (N - 1) for i in range(N)], "number", "99 distinct whole numbers"),
    "amounts": ([(3671 * i) % 9973 for i in range(N)], "number", "100 distinct whole numbers"),
    "some_missing": ([*range(N - 1), None], "number", "99 distinct whole numbers, 1 %"),
    "rising": ([0.5 * i for i in range(N)], "number", "100 distinct numbers"),
    "few_rows": (list(range(19)), "number", "19 distinct whole numbers"),
    "spans": ([["O", "B-x"], ["O"]] * 3, None, "BIO tags of words, which may give the answers"),
    "spans_in_texts": (["O B-x", "O", "B-x I-x O"] * 9, None, "BIO tags of words, which may"),
    "one_letter": (["B", "O", "O", None] * 9, "category", "2 distinct texts"),
    "few_names": ([f"id{i}" for i in range(5)], "category", "5 distinct texts"),
    "clip": (np.random.default_rng(0).normal(size=(N, 8)), "vector", "lists of 8 numbers"),
    "lists": ([[1.0, 2.0], None], "vector", "lists of 2 numbers, 50 % missing"),
    "uneven": ([[1.0], [1.0, 2.0]], None, "different lengths"),
    "word_lists": ([["a"], ["b", "c"], None, []], "text", "lists of words, 25 % missing"),
    "day": (
        [datetime.date(2020, 1, 1 + i) for i in range(9)],
        "time",
        "dates",
    ),
    "moment": ([datetime.datetime(2020, 1, 1 + i) for i in range(9)], "time", "points in time"),
    "iso": (["2020-01-01 12:00", "2020-01-02", None], "time", "all of which are dates or points"),
    "no_such_day": (["2020-01-01", "2020-02-30"], "category", "2 distinct texts"),
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


def test_a_row_number_is_recognised_among_all_rows_not_those_of_training_alone():
    shuffled = [(37 * row) % N for row in range(N)]
    table = read({"id": shuffled, "x": [row % 7 for row in range(N)]})
    guesses = infer_inputs(table, train=np.arange(0, N, 2))
    assert usable(guesses) == {"x": "number"}


def test_the_first_text_among_numbers_is_counted_among_all_rows():
    values = ["1", "2", "3", "?", "4", "4"] * 10
    (guess,) = infer_inputs(read({"a": values}), train=np.array([0, 6, 9, 12, 15, 18]))
    assert "numbers in 4 rows and words in 2, first '?' in row 9" in guess.reason


WORDS_OF_ROWS = [["to", "Rome", "and", f"w{row}"][: 2 + row % 3] for row in range(30)]
KINDS = [["p", "n", "c", "n"][: len(words)] for words in WORDS_OF_ROWS]


def test_lists_of_more_than_a_thousand_words_are_texts():
    lists = [[f"w{(i + 7 * j) % 1001}" for j in range(1 + i % 3)] for i in range(4000)]
    assert infer_inputs(read({"words": lists}))[0].type == "text"
    fewer = [[word for word in words if word != "w1000"] for words in lists]
    assert infer_inputs(read({"words": fewer}))[0].type == "set"
    names = [[f"my {word}" for word in words] for words in lists]
    assert infer_inputs(read({"words": names}))[0].type == "set"


def test_sets_are_recognised_in_all_parts_of_a_file():
    column = pa.chunked_array([TAGS[:30], TAGS[30:40], TAGS[40:]])
    (guess,) = infer_inputs(pa.table({"tags": column}))
    assert (guess.type, guess.reason) == ("set", infer_inputs(read({"tags": TAGS}))[0].reason)


def test_more_categories_than_can_be_listed_are_hashed():
    names = [f"user{i % 100_001}" for i in range(250_000)]
    numbers = [(7 * i) % 100_001 for i in range(250_000)]
    table = pa.table({"user": names, "user_id": numbers})
    hashed = {"type": "category", "hash": 100_000, "hashes": 2}
    assert usable(infer_inputs(table)) == {"user": hashed, "user_id": hashed}
    assert infer_inputs(table)[0].reason == "100,001 distinct texts; hashed, as they are many"
    fewer = pa.table({"user": [f"user{i % 10_001}" for i in range(25_000)]})
    assert usable(infer_inputs(fewer)) == {"user": "category"}
    assert usable(infer_inputs(fewer, sampled=True)) == {"user": hashed}


def test_numbers_for_each_word_are_left_out_and_are_no_sets():
    words = [" ".join(["to", "Rome", "and", "back"][: 1 + row % 4]) for row in range(60)]
    times = [[place % 2 for place in range(1 + row % 4)] for row in range(60)]
    guesses = infer_inputs(read({"words": words, "times": times}))
    assert guesses[1].reason.startswith("a number for each word of 'words', as labels are")


def test_words_with_labels_are_texts_though_they_look_like_a_set():
    table = read({"words": WORDS_OF_ROWS * 5, "kinds": KINDS * 5})
    (guess,) = infer_inputs(table, exclude=["kinds"])
    assert (guess.type, guess.reason) == ("text", "words, each with a label")
    assert infer_inputs(table)[0].type == "set"


def test_lists_as_long_as_those_of_words_label_them():
    table = read({"words": WORDS_OF_ROWS, "kinds": KINDS})
    (guess,) = infer_tasks(table, ["kinds"])
    assert (guess.type, guess.reason) == ("sequence_labelling", "a text for each word of 'words'")
    (others,) = infer_tasks(
        read({"words": WORDS_OF_ROWS, "kinds": KINDS[1:] + KINDS[:1]}), ["kinds"]
    )
    assert others.type == "multi_label"


def test_a_second_column_of_labels_of_words_is_left_out():
    table = read({"words": WORDS_OF_ROWS, "slots": KINDS, "kinds": KINDS})
    guesses = infer_inputs(table, exclude=["slots"])
    assert usable(guesses) == {"words": "text"}
    assert "a text for each word of 'words', as labels are" in guesses[1].reason


def test_labels_of_words_separated_by_spaces_are_recognised_as_lists_are():
    words, kinds = ([" ".join(row) for row in rows] for rows in (WORDS_OF_ROWS, KINDS))
    table = read({"slots": kinds, "kinds": kinds, "words": words})
    (task,) = infer_tasks(table, ["slots"])
    assert (task.type, task.reason) == ("sequence_labelling", "a text for each word of 'words'")
    assert list(usable(infer_inputs(table, exclude=["slots"]))) == ["words"]


def test_texts_of_as_few_words_as_others_do_not_label_them():
    table = read({"mood": ["very good", "bad"] * 20, "kind": ["not spam", "spam"] * 20})
    assert infer_tasks(table, ["kind"])[0].type == "classification"
    assert usable(infer_inputs(table)) == {"mood": "category", "kind": "category"}


@pytest.mark.parametrize(
    ("asked", "kind", "reason"),
    [
        ("a", "classification", "4 distinct whole numbers; if they are amounts: regression"),
        ("a:regression", "regression", "as asked; 4 distinct whole numbers"),
        ("b", "regression", "50 distinct whole numbers; if they are classes: classification"),
        ("b:classification", "classification", "as asked; 50 distinct whole numbers"),
        ("c", "classification", "2 distinct whole numbers"),
        ("d:e", "regression", "100 distinct numbers"),
        ("d:e:regression", "regression", "as asked; 100 distinct numbers"),
    ],
)
def test_a_type_after_a_colon_is_that_of_the_task_and_other_readings_are_named(asked, kind, reason):
    columns = {"a": [i % 4 for i in range(N)], "b": [i % 50 for i in range(N)]}
    table = read({**columns, "c": [0, 1] * 50, "d:e": [i + 0.5 for i in range(N)]})
    (guess,) = infer_tasks(table, [asked])
    assert (guess.type, guess.reason) == (kind, reason)


def test_unknown_types_of_targets_are_refused_together_with_near_matches():
    table = read({"a": [1, 2], "b": [1, 2], "c": [1, 2]})
    with pytest.raises(InputError) as caught:
        infer_tasks(table, ["a:regresion", "b:xyz", "c"])
    assert str(caught.value) == (
        "targets: a: no task is of the type 'regresion' (did you mean 'regression'?); b: no task "
        f"is of the type 'xyz' (known: {', '.join(TYPES)}); expected column:type, such as "
        "price:regression"
    )
    with pytest.raises(InputError, match="no column 'aa' "):
        infer_tasks(table, ["aa:regression"])
    with pytest.raises(InputError, match="none twice"):
        infer_tasks(table, ["a:regression", "a"])


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


RNG = np.random.default_rng(0)
TASKS = {
    "words": (WORDS, "classification", "7 distinct texts"),
    "truth": ([True, False, None, True] * 25, "classification", "2 distinct truth values, 25 %"),
    "digits": ([i % 10 for i in range(N)], "classification", "10 distinct whole numbers"),
    "gaps": ([1.0, 2.0, None, 2.0] * 25, "classification", "2 distinct whole numbers, 25 %"),
    "hours": ([i % 50 for i in range(500)], "regression", "50 distinct whole numbers"),
    "few_rows": (list(range(8)), "regression", "8 distinct whole numbers"),
    "zero_one": ([0, 1, 1], "classification", "2 distinct whole numbers"),
    "half": ([0.5, 1.5] * 50, "regression", "2 distinct numbers"),
    "price": (list(RNG.normal(size=N)), "regression", "100 distinct numbers"),
    "tags": ([["red"], [], None], "multi_label", "lists of texts, 33 % missing"),
    "slots": ([["O", "B-x"], ["O"], None], "sequence_labelling", "lists of BIO tags, 33 % missing"),
    "spaced": (["O B-x", "O", None], "sequence_labelling", "BIO tags separated by spaces, 33 %"),
    "sizes": ([["B"], ["S"], []], "multi_label", "lists of texts"),
    "separated": (
        [";".join(tags) or None for tags in TAGS],
        "multi_label",
        "6 distinct values between ';', 2.0 in a row, 25 % missing; if each text is a class: class",
    ),
    "as_json": ([json.dumps(tags) for tags in TAGS], "multi_label", "as JSON; if"),
    "towns": (["Rome, Italy", "Oslo, Norway"] * 33, "classification", "2 distinct texts"),
    "flags": (RNG.integers(0, 2, (N, 4)), "multi_label", "lists of 4 zeros and ones"),
    "place": (RNG.normal(size=(N, 2)), "regression", "lists of 2 numbers"),
}
HOPELESS = {
    "name": ([f"id{i}" for i in range(5)], "a different one in every row"),
    "names_but_a_few": ([f"id{max(i, 3)}" for i in range(280)], "as if they named them"),
    "many": ([f"{i % 1500}" for i in range(3000)], "only up to 1,000 can be classes"),
    "same": ([7, 7, None], "the same value in every row that has one, 33 % missing"),
    "nothing": ([None, None], "no values"),
    "day": ([datetime.date(2020, 1, 1)] * 2, "dates"),
    "infinite": ([1.0, float("inf"), 2.0], "infinite numbers"),
    "uneven": ([[1.0], [1.0, 2.0]], "different lengths"),
}


@pytest.mark.parametrize("name", list(TASKS))
def test_a_target_gets_a_type_of_task_and_a_reason(name):
    values, kind, reason = TASKS[name]
    (guess,) = infer_tasks(read({name: values}), [name])
    assert (guess.column, guess.type) == (name, kind)
    assert reason in guess.reason


def test_labels_in_texts_get_the_separator_that_they_need():
    cells = {"a": ["red, big", "red"] * 20, "b": ["red big", "red"] * 20}
    cells |= {"c": ["|".join(tags) for tags in TAGS[:40]]}
    guesses = infer_tasks(read(cells), ["a:multi_label", "b:multi_label", "c"])
    assert [guess.options for guess in guesses] == [{"separator": ","}, {}, {"separator": "|"}]


@pytest.mark.parametrize("name", list(HOPELESS))
def test_a_target_that_cannot_be_predicted_is_refused_with_the_reason(name):
    values, reason = HOPELESS[name]
    with pytest.raises(InputError) as caught:
        infer_tasks(read({name: values}), [name])
    assert f"cannot predict '{name}'" in str(caught.value)
    assert reason in str(caught.value)


def test_all_hopeless_and_unknown_targets_are_named_at_once():
    table = read({"a": [None, None], "b": [1, 1], "c": [1, 2]})
    with pytest.raises(InputError, match=r"'a' \(no values\), 'b' \(the same"):
        infer_tasks(table, ["a", "c", "b"])
    with pytest.raises(InputError, match="did you mean 'c'"):
        infer_tasks(read({"cc": [1, 2], "c": [1, 2]}), ["c_"])
    for none_or_twice in ([], ["c", "c"]):
        with pytest.raises(InputError, match="expected at least one column, none twice"):
            infer_tasks(table, none_or_twice)


@pytest.mark.parametrize(
    ("name", "values", "marks"),
    [
        ("split", ["train", "test"], {"train": "train", "test": "test"}),
        ("Fold", ["Training", "Dev"], {"train": "Training", "validation": "Dev"}),
        (
            "subset",
            ["train", "val", "test"],
            {"train": "train", "validation": "val", "test": "test"},
        ),
    ],
)
def test_a_column_that_marks_parts_is_found(name, values, marks):
    found = infer_split(read({"x": list(range(9)), name: (values * 9)[:9]}))
    assert (found.column, found.marks) == (name, marks)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("kind", ["train", "test"]),
        ("split", ["train", "banana"]),
        ("split", ["train", "train"]),
        ("split", ["test", "validation"]),
        ("split", ["train", None]),
        ("fold", [0, 1]),
        ("split", ["train", "training"]),
    ],
)
def test_a_column_that_marks_no_parts_is_left_alone(name, values):
    assert infer_split(read({name: values})) is None
    assert infer_split(read({"split": ["train", "test"]}), exclude=["split"]) is None


def test_a_column_without_training_values_is_not_used():
    table = read({"a": [None, None, 1.0], "c": [1, 2, 3]})
    guesses = infer_inputs(table, train=np.array([0, 1]))
    assert usable(guesses) == {"c": "number"}
    with pytest.raises(InputError, match="at least one column that the model can see"):
        usable(guesses[:1])


def test_infinite_numbers_are_not_hidden_but_left_for_training_to_refuse():
    (guess,) = infer_inputs(read({"b": [1.0, 2.0, float("inf")]}))
    assert guess.type == "number"
    assert "infinite" in guess.reason
