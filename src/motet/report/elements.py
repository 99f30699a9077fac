"""The elements of a page, and their HTML. Every text is escaped here, and nowhere else."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from motet.figures import figure

Trace = dict[str, Any]
"""One series of a figure, as plotly describes it. ``meta`` may hold the ``task`` that it shows and
the ``role`` that decides its colours, see ``assets/report.js``."""

_SHORT = 16
"""Letters up to which a text in a table stays in one line."""


@dataclass(frozen=True)
class Table:
    """Rows of texts under headings."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """Texts; numbers are written with four digits, and None is left empty."""
    tasks: Sequence[str] = ()
    """The task of each row, so that the rows of chosen tasks can be shown alone."""
    bars: Sequence[int] = ()
    """Columns of numbers from 0 to 1 that are also drawn as bars."""

    def html(self) -> str:
        """Return the table."""
        head = "".join(
            f'<th scope="col"{self._align(place)}>{escape(each)}</th>'
            for place, each in enumerate(self.head)
        )
        tasks: Sequence[str | None] = self.tasks or [None] * len(self.rows)
        rows = [self._row(row, task) for row, task in zip(self.rows, tasks, strict=True)]
        body = "\n".join(rows)
        return (
            f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
            f"<tbody>{body}</tbody></table></div>"
        )

    def _align(self, place: int) -> str:
        numbers = any(isinstance(row[place], (int, float)) for row in self.rows)
        return ' class="number"' if numbers else ""

    def _row(self, row: Sequence[Any], task: str | None) -> str:
        own = "" if task is None else f' data-task="{escape(task)}"'
        cells = "".join(self._cell(place, value) for place, value in enumerate(row))
        return f"<tr{own}>{cells}</tr>"

    def _cell(self, place: int, value: Any) -> str:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            text = f"{value:,}" if isinstance(value, int) else figure(value)
            bar = ""
            if place in self.bars and math.isfinite(value):
                bar = f' style="--share:{min(max(value, 0.0), 1.0):.3f}"'
            return f'<td class="number{" bar" if bar else ""}"{bar}>{text}</td>'
        text = "" if value is None else str(value)
        own = ' class="short"' if " " in text and len(text) <= _SHORT else ""
        return f"<td{own}>{escape(text)}</td>"


@dataclass(frozen=True)
class Figure:
    """A figure of plotly, with a text and a table that say the same."""

    title: str
    traces: Sequence[Trace]
    text: str
    """What it shows, in a sentence or two."""
    table: Table
    layout: Mapping[str, Any] = field(default_factory=dict)
    height: int = 340
    wide: bool = False
    """Whether it takes the width of the page."""

    def html(self) -> str:
        """Return the figure."""
        content = {"data": list(self.traces), "layout": {**self.layout, "height": self.height}}
        return (
            f'<figure class="{"wide" if self.wide else "half"}">'
            f"<figcaption>{escape(self.title)}</figcaption>"
            f'<div class="plot" role="img" aria-label="{escape(f"{self.title}. {self.text}")}" '
            f'style="min-height:{self.height}px"></div>'
            f'<script type="application/json">{as_json(content)}</script>'
            f'<p class="says">{escape(self.text)}</p>'
            f"<details><summary>Numbers as a table</summary>{self.table.html()}</details>"
            "</figure>"
        )


@dataclass(frozen=True)
class Titled:
    """A table with a heading."""

    title: str
    table: Table
    wide: bool = True
    """Whether it takes the width of the page."""

    def html(self) -> str:
        """Return both."""
        own = "titled wide" if self.wide else "titled half"
        return f'<div class="{own}"><h3>{escape(self.title)}</h3>{self.table.html()}</div>'


@dataclass(frozen=True)
class Lines:
    """Sentences, as a list."""

    lines: Sequence[str]
    title: str = ""
    commands: Sequence[str] = ()
    """For each line, what to type; may be empty."""

    def html(self) -> str:
        """Return the list."""
        commands = [*self.commands, *[""] * (len(self.lines) - len(self.commands))]
        items = "".join(
            f"<li>{escape(line)}{f' <code>{escape(command)}</code>' if command else ''}</li>"
            for line, command in zip(self.lines, commands, strict=True)
        )
        title = f"<h3>{escape(self.title)}</h3>" if self.title else ""
        return f'<div class="lines">{title}<ul>{items}</ul></div>'


@dataclass(frozen=True)
class Tiles:
    """A few numbers, each with a name."""

    values: Mapping[str, str]

    def html(self) -> str:
        """Return the numbers."""
        tiles = "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
            for name, value in self.values.items()
        )
        return f'<dl class="tiles">{tiles}</dl>'


@dataclass(frozen=True)
class Preformatted:
    """A text as it is, folded away."""

    title: str
    text: str

    def html(self) -> str:
        """Return the text."""
        return (
            f"<details><summary>{escape(self.title)}</summary>"
            f'<div class="scroll" tabindex="0"><pre>{escape(self.text)}</pre></div></details>'
        )


@dataclass(frozen=True)
class Panel:
    """What belongs to one task; shown while the task is chosen."""

    task: str
    subtitle: str
    parts: Sequence["Element"]

    def html(self) -> str:
        """Return the panel."""
        parts = "\n".join(part.html() for part in self.parts)
        return (
            f'<article data-task="{escape(self.task)}"><h3>{escape(self.task)} '
            f'<span class="aside">{escape(self.subtitle)}</span></h3>'
            f'<div class="parts">{parts}</div></article>'
        )


Element = Table | Figure | Titled | Lines | Tiles | Preformatted | Panel


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading, which the menu leads to."""

    title: str
    parts: Sequence[Element]
    introduction: str = ""

    @property
    def id(self) -> str:
        """The name of its place on the page."""
        return "-".join(self.title.lower().split())

    def html(self) -> str:
        """Return the section."""
        parts = "\n".join(part.html() for part in self.parts)
        said = f'<p class="introduction">{escape(self.introduction)}</p>'
        return (
            f'<section id="{escape(self.id)}"><h2>{escape(self.title)}</h2>'
            f'{said if self.introduction else ""}<div class="parts">{parts}</div></section>'
        )


def as_json(value: Any) -> str:
    r"""Write JSON that may stand inside a script element: numbers with six digits, no ``<``.

    Returns:
        The text.

    Example:
        >>> as_json({"a": [0.12345678, float("nan")], "b": "</script>"})
        '{"a":[0.123457,null],"b":"\\u003c/script>"}'
    """
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def said(text: str) -> str:
    """Escape a text for plotly, which reads some HTML in texts.

    Returns:
        The text.

    Example:
        >>> said("<b>a & b</b>")
        '&lt;b&gt;a &amp; b&lt;/b&gt;'
    """
    return escape(text, quote=False)


def capped(rows: list[Any], most: int = 200) -> list[Any]:
    """Return the first and the last rows of a long, ordered table."""
    if len(rows) <= most:
        return rows
    width = len(rows[0])
    gap = (f"… {len(rows) - most:,} more …", *[None] * (width - 1))
    return [*rows[: most // 2], gap, *rows[-most // 2 :]]
