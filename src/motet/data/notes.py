"""Notes: what users should know about rows that were read, in a small record that adds up."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Finding(NamedTuple):
    """Something that is true of some rows."""

    what: str
    """The end of a sentence that begins with "3 of 100 rows", such as "have no text"."""
    if_all: str = ""
    """Replaces the sentence if the finding is true of every validation and test row."""


@dataclass(frozen=True)
class Notes:
    """What one input found in some rows; the sum of two is what it found in both.

    Example:
        >>> empty = Finding("have no text")
        >>> both = Notes(10, {empty: 1}) + Notes(10, {empty: 2})
        >>> list(both.lines("input 'review'"))
        ["input 'review': 3 of 20 rows have no text"]
    """

    rows: int
    counts: Mapping[Finding, int] = field(default_factory=dict)
    """Number of rows by finding; 0 is not reported."""
    remarks: tuple[str, ...] = ()
    """Whole sentences about a column, which do not count rows."""

    def __add__(self, other: "Notes") -> "Notes":
        findings = dict.fromkeys((*self.counts, *other.counts))
        counts = {each: self.counts.get(each, 0) + other.counts.get(each, 0) for each in findings}
        remarks = tuple(dict.fromkeys((*self.remarks, *other.remarks)))
        return Notes(self.rows + other.rows, counts, remarks)

    def lines(self, where: str, held_out: "Notes | None" = None) -> Iterator[str]:
        """Yield the notes as sentences.

        Args:
            where: Their beginning, such as "input 'age'".
            held_out: Notes on the validation and test rows alone, if they are known.
        """
        for finding, count in self.counts.items():
            if not count:
                continue
            everywhere = held_out is not None and held_out.counts.get(finding) == held_out.rows > 0
            if finding.if_all and everywhere:
                yield f"{where}: {finding.if_all}"
            else:
                yield f"{where}: {count:,} of {self.rows:,} rows {finding.what}"
        yield from (f"{where}: {remark}" for remark in self.remarks)

    def may_be_true_of_all(self, held_out: int) -> bool:
        """Return whether ``if_all`` of a finding may apply to so many held-out rows."""
        return any(finding.if_all and count >= held_out for finding, count in self.counts.items())


def added(notes: Iterable[Mapping[str, Notes]]) -> dict[str, Notes]:
    """Add up the notes of several batches, by input."""
    total: dict[str, Notes] = {}
    for each in notes:
        for name, found in each.items():
            total[name] = total[name] + found if name in total else found
    return total


def note_lines(notes: Mapping[str, Notes]) -> tuple[str, ...]:
    """Return the notes of all inputs as sentences."""
    return tuple(line for name, each in notes.items() for line in each.lines(f"input {name!r}"))
