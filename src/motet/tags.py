"""Tags of words that spell spans: BIO and BIOES, which sequences are valid, which spans they hold.

A tag is O, outside of any span, or a prefix and a type: "B-city". B begins a span and I continues
it; in BIOES every span of several words ends with E, and one of a single word is S. Where there is
one type only, tags may do without it ("B"). Tags that follow neither scheme are "plain".

Arrays of tags hold their places in `TagSet.names`, (N, L), and -100 where there is no tag.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motet.problems import InputError, shown

Scheme = Literal["bio", "bioes", "plain"]
Bools = NDArray[np.bool_]

_PREFIXES: dict[str, str] = {"bio": "BIO", "bioes": "BIOES"}


class Moves(NamedTuple):
    """What may follow what in a valid sequence of C tags."""

    start: Bools
    """Tags that may come first, (C,)."""
    between: Bools
    """Whether tag j may follow tag i, at [i, j], (C, C)."""
    end: Bools
    """Tags that may come last, (C,)."""


class Spans(NamedTuple):
    """The S spans of N sequences, in order, as arrays (S,)."""

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    """Place of the first word."""
    end: NDArray[np.int64]
    """Place after the last word."""
    type: NDArray[np.int64]
    """Place in `TagSet.types`."""


class TagSet:
    """The tags of a task, in order, and the scheme they follow.

    Args:
        names: The tags.
        scheme: Their scheme; found from the names if left out.
        where: Whose tags they are, for errors.

    Raises:
        InputError: If a name does not fit the scheme, or no valid sequence has one word.

    Example:
        >>> tags = TagSet(["B-city", "I-city", "O"])
        >>> tags.scheme, tags.types
        ('bio', ('city',))
        >>> spans = tags.spans(np.array([[0, 1, 2, 0]]))
        >>> spans.start, spans.end
        (array([0, 3]), array([2, 4]))
    """

    def __init__(
        self, names: Sequence[str], scheme: Scheme | None = None, where: str = "tags"
    ) -> None:
        self.names = tuple(names)
        self.scheme: Scheme = scheme or find_scheme(names)
        parts = [_parts(name) for name in names]
        if self.scheme != "plain":
            known = _PREFIXES[self.scheme]
            for name, part in zip(names, parts, strict=True):
                if part is None or part[0] not in known:
                    raise InputError(
                        f"found {self.scheme}, but there is the tag {shown(name)}; expected O, or "
                        f"one of {', '.join(known.replace('O', ''))} with a type, such as "
                        '"B-city"; correct it, or set scheme: plain for tags without spans',
                        option="scheme",
                        owner=where,
                    )
        spelt = [("O", "") if part is None or self.scheme == "plain" else part for part in parts]
        self.types = tuple(sorted({kind for prefix, kind in spelt if prefix != "O"}))
        # one more, at place -1, for where there is no tag: outside
        self._prefix = np.array([prefix for prefix, _ in spelt] + ["O"])
        places = [self.types.index(kind) if prefix != "O" else -1 for prefix, kind in spelt]
        self._type = np.array([*places, -1])
        start, _, end = self.moves()
        if len(names) and not (start & end).any():  # one that may be both repeats to any length
            single = "S" if self.scheme == "bioes" else "B"
            raise InputError(
                f"found {self.scheme}, but none of the {len(names)} tags can be that of a single "
                "word, so that some texts had no valid tags; expected O or "
                f"{single} with a type among them: add it to classes, or set scheme: plain for "
                "tags without spans",
                option="scheme",
                owner=where,
            )

    @property
    def has_spans(self) -> bool:
        """Whether the tags spell spans."""
        return self.scheme != "plain"

    @property
    def outside(self) -> int | None:
        """Place of the tag O, if there is one."""
        return self.names.index("O") if self.has_spans and "O" in self.names else None

    def moves(self) -> Moves:
        """Return which tags may follow which.

        In BIO, I continues B or I of its type. BIOES also closes every span: after B or I comes
        I or E of the same type, and neither is the last.

        Returns:
            What is allowed; everything, if the tags are plain.
        """
        prefix, kind = self._prefix[:-1], self._type[:-1]
        inside, opening = _one_of(prefix, "IE"), _one_of(prefix, "BI")
        goes_on = opening[:, None] & inside & (kind[:, None] == kind)
        if self.scheme == "bioes":
            between = goes_on | ~(opening[:, None] | inside)
            return Moves(~inside, between, ~opening)
        return Moves(~inside, goes_on | ~inside, np.ones(len(prefix), np.bool_))

    def valid(self, tags: NDArray[Any], lengths: NDArray[Any] | None = None) -> Bools:
        """Return which sequences can be valid, whatever the missing tags are.

        Args:
            tags: Places of tags, (N, L).
            lengths: How many words each sequence has, (N,); if left out, any number may follow the
                last tag.

        Returns:
            One answer per row, (N,).
        """
        start, between, end = self.moves()
        known = tags >= 0
        length = lengths
        if length is None:
            length = (known * np.arange(1, tags.shape[1] + 1)).max(axis=1, initial=0)
            while (leading := end | (between & end).any(axis=1)).sum() > end.sum():
                end = leading  # tags from which an end can be reached
        reached = np.ones((len(tags), len(self.names)), np.bool_)
        for place in range(tags.shape[1]):
            ways = reached.astype(np.float32) @ between > 0 if place else start
            fits = (tags[:, place, None] == np.arange(len(self.names))) | ~known[:, place, None]
            reached = np.where((place < length)[:, None], ways & fits, reached)
        answer: Bools = (reached & end).any(axis=1) | (length == 0)
        return answer

    def spans(self, tags: NDArray[Any], *, strict: bool = True) -> Spans:
        """Find the spans of sequences.

        Args:
            tags: Places of tags, (N, L); -100 counts as outside.
            strict: A span starts with B, or is S alone, and in BIOES ends with E; other pieces are
                not spans. If False, every run of one type is a span, as the script conlleval of the
                CoNLL shared tasks has it: an I after O, or after another type, opens one.

        Returns:
            The spans, row by row.
        """
        flat = np.where(tags < 0, -1, tags)
        prefix, kind = self._prefix[flat], self._type[flat]
        goes_on = np.zeros(tags.shape, np.bool_)
        goes_on[:, 1:] = (
            _one_of(prefix[:, 1:], "IE")
            & _one_of(prefix[:, :-1], "BI")
            & (kind[:, 1:] == kind[:, :-1])
        )
        start = np.flatnonzero(~goes_on)  # of runs, O's too; the first of a row continues none
        end = np.append(start[1:], tags.size)[: len(start)]
        first, last = prefix.ravel()[start], prefix.ravel()[end - 1]
        if not strict:
            kept = first != "O"
        elif self.scheme == "bioes":
            kept = (first == "S") | ((first == "B") & (last == "E"))
        else:
            kept = first == "B"
        start, end = start[kept], end[kept]
        row, place = np.divmod(start, tags.shape[1] or 1)
        return Spans(row, place, end - start + place, kind.ravel()[start])


def find_scheme(names: Sequence[str]) -> Scheme:
    """Return the scheme that tags follow.

    Returns:
        "bio", "bioes" if a tag ends a span, or "plain" if no tag begins one.

    Example:
        >>> find_scheme(["O", "B-city", "I-city"]), find_scheme(["noun", "verb"])
        ('bio', 'plain')
    """
    parts = [_parts(name) for name in names]
    prefixes = "".join({part[0] for part in parts if part is not None})
    if None in parts or not {"B", "S"} & set(prefixes):
        return "plain"  # O and I alone are one tag per type: no B would ever open a span
    return "bioes" if {"E", "S"} & set(prefixes) else "bio"


def is_iob1(rows: Iterable[Sequence[str | None] | None]) -> bool:
    """Return whether tags with the prefixes B, I and O are IOB1 (Ramshaw and Marcus, 1995).

    There I begins a span too, and B only separates it from a span of the same type before it.

    Args:
        rows: Sequences of tags; null where there is none.

    Returns:
        Whether some span begins with I, and every B follows a tag of its type.

    Example:
        >>> is_iob1([["O", "I-city", "B-city"], ["I-name", "I-name"]])
        True
        >>> is_iob1([["O", "I-city"], ["B-name"]])
        False
    """
    found = False
    for row in rows:
        before: tuple[str, str] | None = None
        for tag in row or ():
            part = None if tag is None else _parts(tag)
            alone = before is None or part is None or before[0] == "O" or before[1] != part[1]
            if part is not None and part[0] == "B" and alone:
                return False
            found |= part is not None and part[0] == "I" and alone
            before = part
    return found


def from_iob1(tags: Sequence[str | None]) -> list[str | None]:
    """Turn tags from IOB1 to BIO: every span begins with B; valid BIO stays as it is.

    Returns:
        As many tags.

    Example:
        >>> from_iob1(["O", "I-city", "I-city", "B-city", "I-name"])
        ['O', 'B-city', 'I-city', 'B-city', 'B-name']
    """
    converted: list[str | None] = []
    before: tuple[str, str] | None = None
    for tag in tags:
        part = None if tag is None else _parts(tag)
        opens = before is None or part is None or before[0] == "O" or before[1] != part[1]
        begins = tag is not None and part is not None and part[0] == "I" and opens
        converted.append(f"B{tag[1:]}" if begins and tag is not None else tag)
        before = part
    return converted


def _parts(name: str) -> tuple[str, str] | None:
    """Return prefix and type of a tag, ("O", "") for O; None if it has another form."""
    prefix, _, kind = name.partition("-")
    if prefix not in ("B", "I", "O", "E", "S") or (prefix == "O" and name != "O"):
        return None
    return prefix, kind


def _one_of(prefixes: NDArray[np.str_], two: str) -> Bools:
    one: Bools = (prefixes == two[0]) | (prefixes == two[1])
    return one
