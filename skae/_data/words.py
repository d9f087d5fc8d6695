"""How values are told in errors."""

from typing import Any

# The most characters of a value that an error shows.
LONGEST = 120


def shown(value: Any) -> str:
    """Return the ``repr`` of a value for an error; of a long one its beginning and its end."""
    try:
        text = repr(value)
    except Exception:  # such as that of an int of more than 4,300 digits
        text = f"<{type(value).__name__}>"
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}…{text[-half:]} ({len(text):,} characters)"


def shown_error(error: BaseException) -> str:
    """Return what an exception says, for an error that it leads to: its first 400 characters."""
    text = str(error) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400]}…"
