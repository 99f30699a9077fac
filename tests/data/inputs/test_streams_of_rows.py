"""Inputs learn from a stream of rows, in whatever batches, and change nothing when applied."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quick_cases import others_slow

from motet.data.inputs.category import Category
from motet.data.inputs.moments import Moments
from motet.data.inputs.number import Number
from motet.data.inputs.samples import Sample
from motet.data.inputs.set import Set
from motet.data.inputs.text import Text
from motet.data.inputs.time import Time
from motet.data.inputs.vector import Vector
from motet.data.notes import Finding, Notes, added

WORDS = ["good", "bad", "shoes", "laces", "boots", "über", ""]
FLOATS = st.floats(-1e300, 1e300, allow_subnormal=True)

KINDS = {
    "piecewise": lambda: Number("number", bins=4),
    "quantile": lambda: Number("number", scaling="quantile"),
    "standard": lambda: Number("number", scaling="standard"),
    "logarithm": lambda: Number("number", scaling="standard", transform="log"),
    "category": lambda: Category("category", min_count=2),
    "hashed": lambda: Category("category", hash=5, hashes=2),
    "set": lambda: Set("words", size=3),
    "time": lambda: Time("time", gaps="earlier", parts=["hour", "month_day", "month"]),
    "vector": lambda: Vector("vector"),
    "components": lambda: Vector("vector", scaling="piecewise", bins=4, transform="auto"),
    "columns": lambda: Vector("columns", columns="number*"),
    "text": lambda: Text("text", tokenizer="words", min_count=1),
    "cut": lambda: Text("text", tokenizer="words", min_count=1, max_length=3),
    "words": lambda: Text("words", tokenizer="wordpiece", vocabulary=400),
    "pair": lambda: Text("pair", columns=("text", "category"), tokenizer="words", min_count=1),
}


def table(seed, rows):
    rng = np.random.default_rng(seed)

    def some(values):
        return [None if rng.random() < 0.2 else value for value in values]

    def text():
        return " ".join(rng.choice(WORDS, 4))

    vectors = pa.array(some(rng.normal(size=(rows, 2)).tolist()), pa.list_(pa.float64()))
    return pa.table(
        {
            "number": pa.array(some(rng.lognormal(size=rows).tolist()), pa.float64()),
            "number_2": rng.normal(size=rows),
            "category": pa.array(some(rng.choice(WORDS, rows).tolist()), pa.string()),
            "time": pa.array(
                some((np.datetime64("2026-01-01T05", "h") + rng.integers(9999, size=rows)).tolist())
            ),
            "earlier": pa.array(some(["2025-01-01"] * rows), pa.string()),
            "vector": vectors,
            "text": pa.array(some(text() for _ in range(rows)), pa.string()),
            "words": pa.array(some(text().split() for _ in range(rows)), pa.list_(pa.string())),
        }
    )


def learned(kind, pieces):
    made = KINDS[kind]()
    for piece in pieces:
        made.observe(piece)
    made.finish()
    return made


def cut(rows, places):
    ends = [0, *sorted(set(places)), len(rows)]
    return [rows.slice(start, end - start) for start, end in pairwise(ends)]


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in ("standard", "vector", "columns")]
)
@given(seed=st.integers(0, 99), places=st.lists(st.integers(0, 30), max_size=4))
def test_what_is_learned_does_not_depend_on_the_batches(kind, seed, places):
    rows = table(seed, 30)
    whole, pieces = learned(kind, [rows]), learned(kind, cut(rows, places))
    assert pieces.state() == whole.state()
    assert pieces.shape() == whole.shape()


@pytest.mark.parametrize("kind", ["standard", "vector", "columns"])
@given(seed=st.integers(0, 99), places=st.lists(st.integers(0, 30), max_size=4))
def test_moments_of_batches_are_those_of_all_rows_to_rounding(kind, seed, places):
    rows = table(seed, 30)
    whole, pieces = learned(kind, [rows]).state(), learned(kind, cut(rows, places)).state()
    for found, expected in ((pieces, whole), (pieces.get("fitted"), whole.get("fitted"))):
        for key in ("mean", "std"):
            if expected and key in expected:
                np.testing.assert_allclose(found[key], expected[key], rtol=1e-12, atol=1e-13)
    assert pieces["missing"] == whole["missing"]


@given(
    values=st.lists(
        st.lists(FLOATS | st.just(np.nan), min_size=1, max_size=9), min_size=1, max_size=5
    )
)
def test_moments_add_up_whatever_the_range(values):
    total, *others = [Moments.of(np.array(each)) for each in values]
    for each in others:
        total = total + each
    whole = Moments.of(np.concatenate(values))
    unit = max(1e-300, np.abs(whole.low), np.abs(whole.high)) if whole.count else 1
    assert (total.count, total.low, total.high) == (whole.count, whole.low, whole.high)
    np.testing.assert_allclose(total.mean / unit, whole.mean / unit, atol=1e-12)
    np.testing.assert_allclose(total.std / unit, whole.std / unit, atol=1e-7)
    assert (total.std == 0) == (whole.std == 0) or whole.std / unit < 1e-7


def test_the_moments_of_a_constant_are_exact_in_batches_too():
    total = Moments.of(np.full(3, 0.1)) + Moments.of(np.full(7, 0.1)) + Moments.of(np.array([]))
    assert (float(total.mean), float(total.std), int(total.count)) == (0.1, 0.0, 10)


@given(places=st.lists(st.integers(0, 1000), max_size=9), seed=st.integers(0, 9))
def test_a_sample_does_not_depend_on_the_batches_and_keeps_the_order_of_rows(places, seed):
    whole, pieces = Sample(largest=50, seed=seed), Sample(largest=50, seed=seed)
    whole.add(np.arange(1000), np.arange(1000))
    for start, end in pairwise([0, *sorted(set(places) - {0, 1000}), 1000]):
        pieces.add(np.arange(start, end), np.arange(start, end))
    assert whole.values().tolist() == pieces.values().tolist() == sorted(whole.values())
    assert len(set(whole.values())) == 50
    assert whole.notes("x") == ("x: learned from a sample of 50 of 1,000 rows",)


def test_samples_of_other_seeds_are_others_and_every_row_is_as_likely():
    def drawn(seed):
        sample = Sample(largest=100, seed=seed)
        sample.add(np.arange(1000), np.arange(1000))
        return sample.values()

    counts = np.bincount(np.concatenate([drawn(seed) for seed in range(200)]), minlength=1000)
    assert abs(counts.mean() - 20) < 1e-9
    assert 3.5 < counts.std() < 5  # binomial: 4.24
    assert abs(counts[:500].sum() - 10_000) < 300


def test_few_rows_are_all_kept_as_they_are():
    sample = Sample(largest=10)
    values = np.array([3.0, 1.0, 2.0])
    sample.add(values, np.arange(3))
    assert sample.values() is values
    assert sample.notes("x") == ()


def test_a_number_that_was_sampled_says_so_and_bends_where_the_sample_does(monkeypatch):
    monkeypatch.setattr(Sample.__init__, "__defaults__", (64, 0))
    number = Number("x", bins=4)
    values = np.random.default_rng(0).normal(size=1000)
    for piece in np.split(values, 10):
        number.observe(pa.table({"x": piece}))
    number.finish()
    assert number.notes == ("input 'x': learned from a sample of 64 of 1,000 rows",)
    assert set(number.state()["fitted"]["knots"]) <= set(values)


SHARED = ["quantile", "category", "time", "text", "words"]
"""Numbers, names, dates and both kinds of texts."""


@pytest.mark.parametrize("kind", others_slow(SHARED, list(KINDS)))
def test_threads_that_share_an_input_get_what_they_get_one_by_one(kind):
    made = learned(kind, [table(0, 200)])
    before = json.dumps(made.state())
    batches = [table(seed, 1 + 7 * (seed % 9)) for seed in range(60)]
    alone = [plain(made.apply(batch)) for batch in batches]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda batch: plain(made.apply(batch)), batches))
    assert together == alone
    assert json.dumps(made.state()) == before


def test_threads_that_share_a_tokenizer_all_truncate():
    rng = np.random.default_rng(0)
    words = [f"word{number}" for number in range(50)]
    batches = [
        pa.table({"text": [" ".join(rng.choice(words, 30)) for _ in range(300)]}) for _ in range(40)
    ]
    made = learned("cut", batches[:1])
    with ThreadPoolExecutor(8) as threads:
        notes = list(threads.map(lambda batch: made.apply(batch)[1], batches))
    assert [list(each.counts.values()) for each in notes] == [[300, 0]] * 40


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_notes_and_arrays_of_batches_add_up_to_those_of_all_rows(kind):
    made = learned(kind, [table(0, 200)])
    rows = table(1, 60)
    whole, notes = made.apply(rows)
    pieces = [made.apply(piece) for piece in cut(rows, [5, 20])]
    (total,) = added({"x": each} for _, each in pieces).values()
    assert list(total.lines("x")) == list(notes.lines("x"))
    arrays = [plain((tree, None))[0] for tree, _ in pieces]
    joined = {key: list(chain.from_iterable(each[key] for each in arrays)) for key in arrays[0]}
    assert joined == plain((whole, None))[0]


@pytest.mark.parametrize("kind", list(KINDS))
def test_record_batches_are_rows_like_tables(kind):
    rows = table(0, 40)
    (batch,) = rows.to_batches()
    made, other = learned(kind, [rows]), learned(kind, [batch])
    assert other.state() == made.state()
    assert plain(other.apply(batch)) == plain(made.apply(rows))


def plain(applied):
    """Arrays and rows of different length as lists of rows."""
    tree, notes = applied

    def listed(leaf):
        if not hasattr(leaf, "lengths"):
            return leaf.tolist()
        ends = leaf.lengths.cumsum(0).tolist()
        return [leaf.values[start:end].tolist() for start, end in pairwise([0, *ends])]

    tree = tree if isinstance(tree, dict) else {"": tree}
    return {key: listed(leaf) for key, leaf in tree.items()}, copy.deepcopy(notes)


def test_a_finding_that_is_true_of_all_held_out_rows_has_a_sentence_of_its_own():
    finding = Finding("are odd", if_all="every held-out row is odd")
    notes = Notes(10, {finding: 4})
    assert list(notes.lines("x")) == ["x: 4 of 10 rows are odd"]
    assert list(notes.lines("x", Notes(3, {finding: 3}))) == ["x: every held-out row is odd"]
    assert list(notes.lines("x", Notes(3, {finding: 2}))) == ["x: 4 of 10 rows are odd"]
    assert list(notes.lines("x", Notes(0))) == ["x: 4 of 10 rows are odd"]
    assert notes.may_be_true_of_all(4)
    assert not notes.may_be_true_of_all(5)
