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
    differs = -floor(log10(difference)) if difference > 0 else 0
    places = max(0, min(max(DIGITS - 1 - first, differs), MOST_DIGITS - 1 - first))
    return f"{value:.{places}f} ({other:.{places}f})".replace("-", "−")


def number(value: float, digits: int) -> str:
    """Return a number with some significant digits, and a minus as wide as a plus."""
    text = f"{value:.{digits}g}"
    if "e+" in text and abs(value) < 1e7:
        text = f"{value:.0f}"
    return text.replace("-", "−")
