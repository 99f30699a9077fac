"""Files that are not text, whatever their suffix, recognised by their first bytes."""

from pathlib import Path

from motet.problems import InputError

_SIGNATURES = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"ARROW1": "an Arrow file",
}


def refuse_binary(path: Path, expected: str) -> None:
    """Check that a file begins like text.

    Args:
        path: A file.
        expected: What it should be, such as "CSV".

    Raises:
        InputError: If it does not, or has only white space in its first 64 KiB.
    """
    with path.open("rb") as file:
        start = file.read(1 << 16)
    found = next((what for sign, what in _SIGNATURES.items() if start.startswith(sign)), None)
    if found is None and b"\0" in start:
        found = "binary"
    if found:
        raise InputError(
            f"{path} is {found}, not {expected}; rename it, or save it as {expected} in UTF-8 or "
            "as Parquet"
        )
    if not start.strip():
        raise InputError(f"{path} is empty; expected column names and rows")
