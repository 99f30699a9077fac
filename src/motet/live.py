"""What changes on a screen while something is computed: a bar, the time left, a table of scores.

Callbacks that take lines of progress get these from wherever work is done: `Progress` and `Table`
are lines of text to whoever prints them, and numbers to a `Live` display.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_AROUND = 8
"""Lines of a screen that a table leaves to others."""


class Progress(str):
    """A line about work of which a known part is done."""

    done: float
    total: float

    def __new__(cls, text: str, done: float, total: float) -> "Progress":
        """Make the line.

        Args:
            text: What is done.
            done: How much of it.
            total: How much there is.
        """
        made = super().__new__(cls, text)
        made.done, made.total = done, total
        return made


class Table(str):
    """A table, as a line of text."""

    rows: Sequence[Sequence[str]]

    def __new__(cls, rows: Sequence[Sequence[str]]) -> "Table":
        """Make the table.

        Args:
            rows: Its cells; the first row has the titles of the columns.
        """
        made = super().__new__(cls, "; ".join(" ".join(row) for row in rows[1:]))
        made.rows = rows
        return made


_listener: ContextVar[Callable[[str], object] | None] = ContextVar("listener", default=None)


@contextmanager
def listening(step: Callable[[str], object]) -> Iterator[None]:
    """Call ``step`` with what is reported within a block.

    For work far below whoever shows it, such as the tokenising of inputs.
    """
    token = _listener.set(step)
    try:
        yield
    finally:
        _listener.reset(token)


def report(text: str, done: int, total: int) -> None:
    """Report how much of some work is done, if anybody listens."""
    step = _listener.get()
    if step is not None:
        step(Progress(f"{text}: {done:,} of {total:,}", done, total))


class Live:
    """Shows lines, and below them what is in progress, on a terminal or in a notebook.

    Args:
        console: A console of rich; a new one, which finds out where it is, if left out.
    """

    def __init__(self, console: Any = None) -> None:
        from rich.console import Console
        from rich.live import Live as Display
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.console = console or Console(highlight=False)
        self._bar = Bar(
            BarColumn(bar_width=24),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.description}", markup=False),
            console=self.console,
        )
        self._work = self._bar.add_task("", total=None)
        self._table: Any = None
        self._display = Display(
            console=self.console,
            get_renderable=self._shown,
            transient=True,
            refresh_per_second=8,
        )

    def __enter__(self) -> "Live":
        self._display.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._display.stop()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self.console.print(line, markup=False, soft_wrap=True)

    def step(self, line: str) -> None:
        """Show a line about what is in progress, with a bar if it is a `Progress`."""
        if isinstance(line, Table):
            self._table = line
            return
        task = self._bar.tasks[0]
        total, done = (line.total, line.done) if isinstance(line, Progress) else (None, 0.0)
        if task.total != total or done < task.completed:
            self._bar.reset(self._work, total=total)
        self._bar.update(self._work, description=str(line), completed=done)

    def _shown(self) -> Any:
        from rich.console import Group

        return self._bar if self._table is None else Group(self._rendered(self._table), self._bar)

    def _rendered(self, table: Table) -> Any:
        """Return a table that fits the screen."""
        from rich import box
        from rich.table import Table as Cells

        titles, *rows = table.rows
        cells = Cells(box=box.SIMPLE_HEAD, pad_edge=False)
        for place, title in enumerate(titles):
            cells.add_column(title, justify="right" if place > 1 else "left", no_wrap=True)
        room = max(self.console.height - _AROUND, 4)
        for row in rows[:room] if len(rows) <= room else rows[: room - 1]:
            cells.add_row(*row)
        if len(rows) > room:
            cells.add_row(f"and {len(rows) - room + 1} more", *[""] * (len(titles) - 1))
        return cells
