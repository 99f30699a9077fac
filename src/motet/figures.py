"""How numbers, shares and times are printed, in lines, tables, messages and reports alike."""

import math

_DIGITS = 4


def figure(value: float | None) -> str:
    """Write a number for people.

    Returns:
        Four digits; from 1,000 to a billion, all before the point.

    Example:
        >>> [figure(each) for each in (0.25, 12.3456, 0.00001234, 54321.9, None)]
        ['0.2500', '12.35', '1.234e-05', '54,322', 'nan']
    """
    if value is None or math.isnan(value):
        return "nan"
    if value == 0:
        return "0"
    size = abs(float(f"{value:.{_DIGITS}g}"))  # as it will be read: 999.96 is 1,000
    if 1000 <= size < 1e9:
        return f"{value:,.0f}"
    return f"{value:.{_DIGITS}g}" if size >= 1e9 else f"{value:#.{_DIGITS}g}"


def counted(count: int, noun: str) -> str:
    """Write how many there are of something.

    Args:
        count: The number.
        noun: What is counted, in the singular; its last word takes the plural.

    Returns:
        Number and noun.

    Example:
        >>> [counted(1, "task"), counted(1200, "test row"), counted(2, "batch")]
        ['1 task', '1,200 test rows', '2 batches']
        >>> counted(3, "epoch")
        '3 epochs'
    """
    ending = "es" if noun.endswith(("s", "x", "sh", "tch")) else "s"
    return f"{count:,} {noun}{'' if count == 1 else ending}"


def percent(share: float) -> str:
    """Write a share for people.

    Returns:
        Per cent, with up to three digits.

    Example:
        >>> [percent(each) for each in (0.05, 0.005, 0.125)]
        ['5 %', '0.5 %', '12.5 %']
    """
    return f"{100 * share:.3g} %"


def duration(seconds: float) -> str:
    """Write a time for people.

    Returns:
        The time in the unit that suits it.

    Example:
        >>> [duration(each) for each in (1.25, 12.3, 240, 9000)]
        ['1.2 s', '12 s', '4 min', '2.5 h']
    """
    if seconds < 90:
        return f"{seconds:.{0 if seconds >= 10 else 1}f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
