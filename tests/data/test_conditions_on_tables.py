"""Conditions on the rows of a table."""

from datetime import date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.conditions import parse
from motet.data.conditions import holds
from motet.problems import InputError

TABLE = pa.table(
    {
        "n": [1, 2, None, 2**53 + 1],
        "x": [0.5, None, float("nan"), 3.0],
        "t": ["a", None, "b", "a"],
        "k": pa.array(["a", "b", None, "b"]).dictionary_encode(),
        "b": [True, False, None, True],
        "d": [date(2024, 1, 31), date(2023, 1, 1), None, date(2025, 1, 1)],
        "s": [datetime(2024, 1, 31, 12), datetime(2023, 1, 1), None, datetime(2025, 1, 1)],
        "z": pa.array(
            [datetime(2024, 1, 31, 12), datetime(2023, 1, 1), None, datetime(2025, 1, 1)],
            pa.timestamp("us", "Europe/Berlin"),
        ),
        "ns": pa.array([None] * 4, pa.timestamp("ns", "UTC")),
        "none": pa.nulls(4),
        "list": [[1], [2], None, []],
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("n == 1", [0]),
        ("n != 1", [1, 3]),
        ("n >= 2.0", [1, 3]),
        (f"n == {2**53 + 1}", [3]),
        (f"n == {2**53}", []),
        ("n in [1, 2]", [0, 1]),
        ("x < 1", [0]),
        ("x != 3", [0]),
        ("x >= 0", [0, 3]),
        ("t == 'a'", [0, 3]),
        ("t != 'a'", [2]),
        ("k in ['b', 'c']", [1, 3]),
        ("b == true", [0, 3]),
        ("b == 1", [0, 3]),
        ("b != 1", [1]),
        ("d > '2024-01-01'", [0, 3]),
        ("s <= '2024-01-31 12:00:00'", [0, 1]),
        ("z < '2024-01-31T12:00:00Z'", [1]),
        ("z <= '2024-01-31 13:00:00'", [0, 1]),
        ("z < '2024-01-31 13:00:00'", [1]),
        ("z > '2024-01-01'", [0, 3]),
        ("none == 1", []),
        ("n == 1 or t == 'b'", [0, 2]),
        ("n == 1 and t == 'b'", []),
        ("(n == 2 or x == 3) and b == true", [3]),
        ("t == 'b' or n == 1 and x == 0.5", [0, 2]),
    ],
)
def test_a_condition_holds_where_it_is_true_and_not_where_a_value_is_missing(text, rows):
    assert holds(parse(text), TABLE, "task 'a'").nonzero()[0].tolist() == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m == 1", r"task 'a': rows: the data have no column 'm'; columns: n, x"),
        ("n == 'a'", "task 'a': rows: column 'n' holds numbers, found the value 'a'"),
        ("t == 1", "column 't' holds texts, found the number 1; expected a text in quotes"),
        ("t < 'b'", "column 't' holds texts, which < does not order"),
        ("b == 2", "column 'b' holds truth values, found the number 2; expected == true"),
        ("b > true", "column 'b' holds truth values"),
        ("n == true", "column 'n' holds numbers, found the value true"),
        ("d == 'x'", "column 'd' holds dates, found 'x'; expected one such as '2024-01-31'"),
        ("z == 'x'", "column 'z' holds points in time, found 'x'; expected one such as"),
        ("ns < '9999-12-31'", "column 'ns' holds points in time, found '9999-12-31'; expected"),
        ("list == 1", "column 'list' holds lists of numbers"),
    ],
)
def test_a_condition_that_does_not_fit_its_column_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        holds(parse(text), TABLE, "task 'a'")


NUMBERS = st.lists(st.one_of(st.none(), st.integers(-3, 3)), min_size=1, max_size=8)


@given(
    a=NUMBERS,
    first=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    second=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    join=st.sampled_from(["and", "or"]),
    value=st.integers(-3, 3),
)
def test_comparisons_of_numbers_are_those_of_python(a, first, second, join, value):
    b = a[::-1]
    text = f"a {first} {value} {join} b {second} {value}"
    found = holds(
        parse(text),
        pa.table({"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.int64())}),
        "task 'a'",
    )

    def true(x, sign):
        return x is not None and eval(f"{x} {sign} {value}")

    pairs = zip(a, b, strict=True)
    both = all if join == "and" else any
    assert found.tolist() == [both((true(x, first), true(y, second))) for x, y in pairs]
