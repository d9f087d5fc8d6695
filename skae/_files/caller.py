"""The line of the user's that a warning names, however many libraries are between it and skae."""

import sys

# What stands between the user and skae: it calls skae, or is called by it and calls back.
LIBRARIES = ("skae", "sklearn", "skorch", "joblib", "pickle", "contextlib")


def caller_level() -> int:
    """Return the ``stacklevel`` with which a warning of the calling function names the user's line.

    A fixed number would be wrong in a pipeline, and wherever a decorator adds calls.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and is_library(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    return level


def is_library(module: str) -> bool:
    """Tell whether a module is of skae, or of what stands between the user and it."""
    return module.partition(".")[0] in LIBRARIES
