"""Whose line a warning is about: the user's, below however many calls of libraries."""

import sys

# What stands between the user and skae: it calls skae, or is called by it and calls back.
LIBRARIES = ("skae", "sklearn", "skorch", "joblib", "pickle", "contextlib")


def caller_level() -> int:
    """Return the ``stacklevel`` at which a warning of the function that asks names the user's line.

    A fixed number would be wrong in a pipeline, and wherever a decorator adds calls.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and is_library(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    return level


def is_library(module: str) -> bool:
    """Tell whether a module is of skae, or of what stands between the user and it."""
    return module.partition(".")[0] in LIBRARIES
