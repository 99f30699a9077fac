"""Tags that spell spans: which sequences are valid, which spans they hold."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.problems import InputError
from motet.tags import TagSet, find_scheme

BIO = TagSet(["O", "B-a", "I-a", "B-b", "I-b"])
BIOES = TagSet(["O", *(f"{prefix}-{kind}" for kind in "ab" for prefix in "BIES")])
SETS = [BIO, BIOES]
NEVER_CLOSED = TagSet(["O", "B-a", "I-a", "S-a"])


def encoded(tags, words):
    return np.array([[tags.names.index(word) for word in words]])


def found(tags, words, *, strict=True):
    spans = tags.spans(encoded(tags, words), strict=strict)
    kinds = [tags.types[kind] for kind in spans.type]
    return list(zip(kinds, spans.start.tolist(), spans.end.tolist(), strict=True))


def allowed_by(moves, path):
    inner = all(moves.between[a, b] for a, b in pairwise(path))
    return moves.start[path[0]] and inner and moves.end[path[-1]]


def fillings(tags, row):
    return len(tags.names) ** int((row < 0).sum())


def can_be_filled(tags, row):
    ways = product(*([tag] if tag >= 0 else range(len(tags.names)) for tag in row))
    return not len(row) or any(allowed_by(tags.moves(), way) for way in ways)


def sequences(tags):
    place = st.integers(-1, len(tags.names) - 1).map(lambda tag: -100 if tag < 0 else tag)
    return st.integers(1, 6).flatmap(
        lambda length: st.lists(
            st.lists(place, min_size=length, max_size=length), min_size=1, max_size=4
        )
    )


@pytest.mark.parametrize("names", ["BIO", "BIOES"])
def test_one_type_has_2_5_13_and_34_valid_sequences_of_one_to_four_words(names):
    tags = TagSet(list(names))
    assert tags.scheme == names.lower()
    counts = []
    for length in range(1, 5):
        paths = list(product(range(len(names)), repeat=length))
        moves = [allowed_by(tags.moves(), path) for path in paths]
        lengths = np.full(len(paths), length)
        assert tags.valid(np.array(paths), lengths).tolist() == moves
        counts.append(sum(moves))
    assert counts == [2, 5, 13, 34]


@pytest.mark.parametrize(
    ("names", "scheme"),
    [
        (["O", "B-x", "I-x"], "bio"),
        (["B", "I", "O"], "bio"),
        (["O", "B-x"], "bio"),
        (["O", "B-x-y", "I-x-y"], "bio"),
        (["O", "B-x", "I-x", "E-x", "S-x"], "bioes"),
        (["O", "S-x"], "bioes"),
        (["O", "I-x"], "plain"),
        (["O", "B-x", "NOUN"], "plain"),
        (["O-x", "B-x"], "plain"),
        (["NOUN", "VERB"], "plain"),
        (["0", "1"], "plain"),
        ([], "plain"),
    ],
)
def test_the_scheme_is_read_from_the_names(names, scheme):
    assert find_scheme(names) == scheme
    assert TagSet(names).has_spans == (scheme != "plain")


def test_a_name_that_does_not_fit_the_scheme_is_named():
    with pytest.raises(InputError, match="slots: scheme: found bio, but there is the tag 'E-x'"):
        TagSet(["O", "B-x", "E-x"], "bio", "slots")


def test_plain_tags_hold_no_spans_and_follow_each_other_as_they_like():
    tags = TagSet(["B-x", "O"], "plain")
    assert len(tags.spans(np.array([[0, 0, 1]])).row) == 0
    assert tags.moves().between.all()


@pytest.mark.parametrize(
    ("tags", "words", "strict", "loose"),
    [
        (BIO, "B-a I-a O B-b", [("a", 0, 2), ("b", 3, 4)], [("a", 0, 2), ("b", 3, 4)]),
        (BIO, "O I-a I-a", [], [("a", 1, 3)]),
        (BIO, "B-a I-b I-b", [("a", 0, 1)], [("a", 0, 1), ("b", 1, 3)]),
        (BIO, "B-a B-a I-a", [("a", 0, 1), ("a", 1, 3)], [("a", 0, 1), ("a", 1, 3)]),
        (BIOES, "B-a I-a E-a S-b", [("a", 0, 3), ("b", 3, 4)], [("a", 0, 3), ("b", 3, 4)]),
        (BIOES, "B-a I-a O", [], [("a", 0, 2)]),
        (BIOES, "B-a E-b", [], [("a", 0, 1), ("b", 1, 2)]),
        (BIOES, "S-a E-a", [("a", 0, 1)], [("a", 0, 1), ("a", 1, 2)]),
        (BIOES, "B-a E-a I-a", [("a", 0, 2)], [("a", 0, 2), ("a", 2, 3)]),
    ],
)
def test_spans_are_read_strictly_or_as_conlleval_does(tags, words, strict, loose):
    assert found(tags, words.split()) == strict
    assert found(tags, words.split(), strict=False) == loose


@pytest.mark.parametrize("tags", SETS)
@given(data=st.data())
def test_spans_of_a_batch_are_those_of_its_rows_and_padding_adds_none(tags, data):
    rows = np.array(data.draw(sequences(tags)))
    padded = np.pad(rows, ((0, 0), (0, 2)), constant_values=-100)
    for strict in (True, False):
        whole = tags.spans(padded, strict=strict)
        parts = [tags.spans(row[None], strict=strict) for row in rows]
        assert whole.row.tolist() == [n for n, part in enumerate(parts) for _ in part.row]
        for name in ("start", "end", "type"):
            expected = np.concatenate([getattr(part, name) for part in parts])
            assert getattr(whole, name).tolist() == expected.tolist()


@pytest.mark.parametrize("tags", SETS)
@given(data=st.data())
def test_what_conlleval_finds_in_a_valid_sequence_is_what_is_there(tags, data):
    rows = np.array(data.draw(sequences(tags)))
    lengths = np.full(len(rows), rows.shape[1])
    valid = rows[tags.valid(rows, lengths) & (rows >= 0).all(axis=1)]
    strict, loose = tags.spans(valid), tags.spans(valid, strict=False)
    assert all((a == b).all() for a, b in zip(strict, loose, strict=True))


@pytest.mark.parametrize("tags", SETS)
@given(data=st.data())
def test_a_sequence_with_gaps_is_valid_if_some_way_to_fill_them_is(tags, data):
    rows = np.array(data.draw(sequences(tags)))
    sizes = st.integers(0, rows.shape[1])
    lengths = np.array(data.draw(st.lists(sizes, min_size=len(rows), max_size=len(rows))))
    for row, length, answer in zip(rows, lengths, tags.valid(rows, lengths), strict=True):
        if fillings(tags, row[:length]) <= 1000:
            assert answer == can_be_filled(tags, row[:length])


@pytest.mark.parametrize("tags", [*SETS, NEVER_CLOSED])
@given(data=st.data())
def test_a_sequence_of_unknown_length_is_valid_if_it_may_go_on_to_one_that_is(tags, data):
    rows = np.array(data.draw(sequences(tags)))
    for row, answer in zip(rows, tags.valid(rows), strict=True):
        known = np.flatnonzero(row >= 0)
        row = row[: known[-1] + 1] if len(known) else row[:0]
        longer = np.append(row, [-100])  # one more word closes any span that can be closed
        if fillings(tags, longer) <= 1000:
            assert answer == (can_be_filled(tags, row) or can_be_filled(tags, longer))


def test_words_without_a_label_after_the_last_that_has_one_may_close_its_span():
    rows = np.array([[BIOES.names.index("B-a"), -100]])
    assert BIOES.valid(rows).tolist() == BIOES.valid(rows, np.array([2])).tolist() == [True]
    assert BIOES.valid(rows, np.array([1])).tolist() == [False]
    assert NEVER_CLOSED.valid(np.array([[1, -100]])).tolist() == [False]


@pytest.mark.parametrize(
    ("names", "scheme", "missing"),
    [
        (["B-x", "E-x"], None, "O or S with a type"),
        (["B-x", "I-x", "E-x", "B-y"], "bioes", "O or S with a type"),
        (["I-x", "I-y"], "bio", "O or B with a type"),
    ],
)
def test_tags_with_which_no_single_word_can_be_labelled_are_refused(names, scheme, missing):
    with pytest.raises(InputError, match=f"can be that of a single word.*{missing}"):
        TagSet(names, scheme)
    for more in ("O", f"{missing[5]}-x"):
        moves = TagSet([*names, more], scheme).moves()
        assert (moves.start & moves.end & moves.between.diagonal()).any()  # so fills any length


def test_rows_without_words_hold_nothing():
    assert BIO.valid(np.empty((2, 0), int)).tolist() == [True, True]
    assert len(BIO.spans(np.empty((2, 0), int)).row) == 0
