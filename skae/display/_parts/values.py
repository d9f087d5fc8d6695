"""Numbers as text, in a picture."""

from math import floor, log10

import numpy as np

# Values have so many significant digits: the more, where they differ little from reconstructions.
DIGITS, MOST_DIGITS = 3, 5


def beside(value: float, other: float) -> str:
    """Return a value and, in brackets, its reconstruction, with a digit in which they differ."""
    if np.isnan(value):
        return f"missing ({number(other, DIGITS)})"
    size, difference = max(abs(value), abs(other)), abs(value - other)
    if not 1e-3 <= size < 1e7:
        return f"{number(value, DIGITS)} ({number(other, DIGITS)})"
    first = floor(log10(size))
    fewest, most = (max(0, digits - 1 - first) for digits in (DIGITS, MOST_DIGITS))
    differ = (
        places
        for places in range(fewest, most + 1)
        if 10**-places <= 2 * difference and f"{value:.{places}f}" != f"{other:.{places}f}"
    )
    # Of values that even the most digits do not tell apart, more digits would say nothing.
    best = next(differ, fewest)
    return f"{rounded(value, best)} ({rounded(other, best)})"


def rounded(value: float, places: int) -> str:
    """Return a number with some decimal places; without zeros at its end where it is exact."""
    text = f"{value:z.{places}f}"
    if "." in text and float(text) == value:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def number(value: float, digits: int) -> str:
    """Return a number with some significant digits, and a minus as wide as a plus."""
    text = f"{value + 0.0:.{digits}g}"  # zero has no sign
    if "e+" in text and abs(value) < 1e7:
        text = f"{value:.0f}"
    return text.replace("-", "−")
