"""Random files: good CSV, JSON lines and Parquet in which some places are overwritten or cut."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

ROWS = range(12)


def _parquet():
    file = io.BytesIO()
    pq.write_table(pa.table({"a": ROWS, "c": ["x", "y", "z"] * 4}), file)
    return file.getvalue()


GOOD = {
    "csv": b"a,b,c,d\n" + b"".join(b"%d,%d.5,x%d,yes\n" % (n, n, n % 3) for n in ROWS),
    "jsonl": b"".join(b'{"a": %d, "b": [1, %d], "c": "x%d"}\n' % (n, n, n % 3) for n in ROWS),
    "parquet": _parquet(),
}
"""Contents by suffix; the column c has three classes."""

PIECES = [
    *(b"", b",", b'"', b";", b"\n", b"\r\n", b"\n\n", b"{", b"}", b"["),
    *(b"\xff", b"\xff\xfe", b"\xe9", b"\0", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800", b"PAR1"),
    *(b"null\n", b"true", b"NaN", b"1e999", b"99999999999999999999", b"2020-01-01"),
    *(b'{"a": {"b": 1}}\n', b'{"a": 1, "a": 2}\n'),
]


@st.composite
def files(draw):
    """A suffix and the bytes of a file, most often of the kind that the suffix says."""
    suffix = draw(st.sampled_from(sorted(GOOD)))
    content = GOOD[draw(st.sampled_from([suffix, suffix, suffix, *sorted(GOOD)]))]
    for _ in range(draw(st.sampled_from([1, 1, 0, 2]))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.sampled_from([start, start + 1, start, start + 5, len(content)]))
        content = content[:start] + draw(st.sampled_from(PIECES)) + content[end:]
    return suffix, content
