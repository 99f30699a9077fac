"""Lines of plain text: a title, columns that are aligned, and nothing wider than a screen."""

from collections.abc import Iterable, Iterator, Sequence

WIDTH = 160
"""Characters after which a list continues on the next line."""
_TITLE = 10


def line(title: str, text: str) -> str:
    """Put a title before a text."""
    return f"{title:<{_TITLE}} {text}"


def titled(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Put a title before the first of several lines."""
    for each in lines:
        yield line(title, each)
        title = ""


def wrapped(title: str, items: Iterable[str], separator: str = ", ") -> Iterator[str]:
    """List items behind a title, in as many lines as they need."""
    return titled(title, _filled(items, separator))


def columns(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> Iterator[str]:
    """Align the columns of a table.

    Args:
        rows: Cells, as many in each row.
        right: Indices of the columns that are aligned to the right.

    Yields:
        A line for each row.
    """
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _filled(items: Iterable[str], separator: str) -> Iterator[str]:
    text = ""
    for item in items:
        longer = f"{text}{separator}{item}" if text else item
        if text and len(longer) + _TITLE >= WIDTH:
            yield (text + separator).rstrip()
            longer = item
        text = longer
    if text:
        yield text
