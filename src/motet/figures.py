"""How numbers are printed: four significant digits, in lines, tables and messages alike."""

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
