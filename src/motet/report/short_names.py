"""Short forms of long names, which keep the words in which the names of a figure differ."""

import re
from collections.abc import Iterable, Sequence

_GAP = "…"


def short(names: Iterable[str], width: int = 24) -> dict[str, str]:
    """Cut long names, so that each is different from all others.

    A name is cut in the middle; names that would look the same then are cut where they have the
    same words. A number is added if that fails.

    Args:
        names: The names, all those of a figure.
        width: Letters that a name may have.

    Returns:
        The short form of each name.

    Example:
        >>> short(["a very long name", "an even longer name", "b"], 12)
        {'a very long name': 'a very… name', 'an even longer name': 'an eve… name', 'b': 'b'}
        >>> list(short(["bought_within_7_days_of_it", "bought_within_30_days_of_it"], 16).values())
        ['bought…7_days…', 'bought…30_days…']
    """
    found = {name: _cut(name, width) for name in names}
    for alike in _alike(found):
        found |= dict(zip(alike, _by_words(alike, width), strict=True))
    taken: set[str] = set()
    for name, text in found.items():
        number = 1
        while found[name] in taken:
            number += 1
            found[name] = f"{text[: width - 2 - len(str(number))]}{_GAP} {number}"
        taken.add(found[name])
    return found


def _cut(name: str, width: int) -> str:
    end = (width - 1) // 2
    return name if len(name) <= width else f"{name[: width - 1 - end]}{_GAP}{name[-end:]}"


def _alike(found: dict[str, str]) -> list[list[str]]:
    """Return the names that have the same short form."""
    by_text: dict[str, list[str]] = {}
    for name, text in found.items():
        by_text.setdefault(text, []).append(name)
    return [each for each in by_text.values() if len(each) > 1]


def _by_words(names: Sequence[str], width: int) -> list[str]:
    """Cut names where they have the same words, as far as needed."""
    words = [re.findall(r"[^\W_]+|[\W_]", name) for name in names]
    if len({len(each) for each in words}) > 1:  # compare the letters around what is different
        words = [_in_three(name, names) for name in names]
    columns = list(zip(*words, strict=True))
    shown = {place for place, column in enumerate(columns) if len(set(column)) > 1}
    different, count = sorted(shown), len(columns)

    def show(places: Iterable[int]) -> None:
        for place in places:
            if any(len(_joined(own, shown | {place})) > width for own in words):
                return
            shown.add(place)

    for place in different:
        show(range(place + 1, min(place + 3, count)))  # a sign and a word
    show(range(count))
    for place in different:
        show(range(place + 1, count))
    return [_cut(_joined(own, shown), width) for own in words]


def _in_three(name: str, names: Sequence[str]) -> list[str]:
    """Split a name into what it begins with like all, what is its own, and what it ends with."""
    first = _common(names)
    last = _common([each[first:][::-1] for each in names])
    end = len(name) - last
    return [*name[:first], name[first:end], *name[end:]]


def _common(names: Sequence[str]) -> int:
    """Return how many letters all names begin with."""
    return next(
        (at for at, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1),
        min(map(len, names)),
    )


def _joined(words: Sequence[str], shown: set[int]) -> str:
    """Join the words at some places, with a gap for the others."""
    parts = [word if place in shown else _GAP for place, word in enumerate(words)]
    return re.sub(rf"[\W_]*{_GAP}[\W_{_GAP}]*", _GAP, "".join(parts))
