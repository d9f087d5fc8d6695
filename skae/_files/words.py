"""How values are told in errors."""

import re
from typing import Any

import numpy as np


def shown(value: Any, longest: int = 120) -> str:
    """Return what a value looks like, for an error.

    Of an array that is its number format and shape, of what takes more than ``longest`` characters
    the beginning and the end. Where in memory the value is, is left out.
    """
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    text = without_address(value)
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}…{text[-half:]} ({len(text):,} characters)"


def without_address(value: Any) -> str:
    """Return the ``repr`` of a value, wherever in memory it is; its type where there is none."""
    try:
        text = repr(value)
    except Exception:  # such as that of an int of more than 4,300 digits
        return f"<{type(value).__name__}>"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


def shown_error(error: BaseException) -> str:
    """Return what an exception says, for an error that it leads to: its first 400 characters."""
    text = str(error) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400]}…"
