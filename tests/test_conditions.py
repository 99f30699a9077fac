"""The language of conditions: what it reads, and where it says a mistake is."""

import pytest

from motet.conditions import Comparison, Joined, columns_of, parse
from motet.problems import InputError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("click == 1", Comparison("click", "==", (1,))),
        ("  a!=-2.5e3 ", Comparison("a", "!=", (-2500.0,))),
        ("`my column` >= .5", Comparison("my column", ">=", (0.5,))),
        ("ok == True", Comparison("ok", "==", (True,))),
        ("a in ['x', \"it's\", 3]", Comparison("a", "in", ("x", "it's", 3))),
    ],
)
def test_a_comparison_is_read(text, found):
    assert parse(text) == found


def test_and_binds_closer_than_or_and_parentheses_closest():
    a, b, c = (Comparison(name, "==", (1,)) for name in "abc")
    assert parse("a == 1 or b == 1 and c == 1") == Joined("or", (a, Joined("and", (b, c))))
    assert parse("(a == 1 or b == 1) and c == 1") == Joined("and", (Joined("or", (a, b)), c))
    assert columns_of(parse("b == 1 or a == 1 and b == 2")) == ("b", "a")


def test_a_name_that_begins_like_a_word_of_the_language_is_a_column():
    assert columns_of(parse("order == 1 and inner == 2 or android == 3")) == (
        "order",
        "inner",
        "android",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("click = 1", "found '=' at character 7; expected .*; write == to compare"),
        ("a == b", "found 'b' at character 6; expected a number, a text in quotes.*'b'"),
        ("a == 1 and", "found the end; expected the name of a column"),
        ("(a == 1", r"found the end; expected \)"),
        ("a == 1)", r"found '\)' at character 7; expected and, or, or the end"),
        ("a in [1", r"found the end; expected \]"),
        ("a in 1", r"found '1' at character 6; expected \["),
        ("a == 1 & b == 2", "found '&' at character 8; .*joined by and, or"),
        ("1 == a", "found '1' at character 1; expected the name of a column"),
        ("", "found the end"),
        ("a", "found the end; expected == != <= >= < > or in"),
        ("a == 'x", 'found "\'x" at character 6'),
        ("a == 1x", "found '1x' at character 6"),
        ("__import__('os')", r"found '\(' at character 11; expected =="),
        ("a.b == 1", "found '.b' at character 2"),
        (f"{'(' * 9_999}a == 1", "found too many brackets within brackets"),
    ],
)
def test_a_mistake_is_reported_with_its_place(text, message):
    with pytest.raises(InputError, match=message):
        parse(text)
