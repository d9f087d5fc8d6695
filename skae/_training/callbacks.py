"""Users' callbacks: how they are copied, and how they end a training."""

import copy
import dis
from typing import Any

from skorch.callbacks import LRScheduler


class StopTraining(Exception):
    """Raised by a callback to end the training; the best weights so far are kept."""


def asks_to_stop(interrupt: KeyboardInterrupt) -> bool:
    """Tell whether a ``KeyboardInterrupt`` is skorch's way to stop, as in ``EarlyStopping``.

    Then a ``raise`` statement of skorch's raised it. Ctrl-C, and what users' callbacks raise, is a
    real interrupt.
    """
    traceback = interrupt.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return False
    frame = traceback.tb_frame
    module = frame.f_globals.get("__name__", "")
    raises = frame.f_code.co_code[traceback.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return module.partition(".")[0] == "skorch" and raises


def is_scheduler(callback: Any) -> bool:
    """Tell whether a callback, or its class, sets the learning rate."""
    kind = callback if isinstance(callback, type) else type(callback)
    return issubclass(kind, LRScheduler)


def copy_callback(callback: Any) -> Any:
    """Copy a skorch callback, given alone or as (name, callback)."""
    if isinstance(callback, tuple):
        return callback[0], copy.copy(callback[1])
    return copy.copy(callback)
