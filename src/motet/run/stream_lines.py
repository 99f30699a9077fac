"""What a run reports about rows that are streamed."""

from collections.abc import Iterator

from motet.run.cache import size_text
from motet.run.layout import line
from motet.run.stream_prepared import PreparedStream


def stream_lines(prepared: PreparedStream) -> Iterator[str]:
    """Report which splits are streamed, how they are shuffled, and what that takes on disk."""
    options = prepared.rows.options
    size = sum(entry.size for each in prepared.blocks.values() for entry in each.entries)
    names = [name for name, count in prepared.counts.items() if count]
    splits = f"{', '.join(names[:-1])} and {names[-1]}"
    yield line("stream", f"rows of {splits} are read from disk, {size_text(size)} encoded")
    yield line(
        "",
        f"shuffled among {options.buffer:,} rows at a time, from blocks at random; "
        f"{options.lanes} lanes",
    )
