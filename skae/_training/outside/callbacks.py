"""Users' callbacks: how they are copied, and how they end a training."""

import copy
import dis
from collections.abc import Callable, Iterable
from typing import Any

from skorch.callbacks import Callback, LRScheduler

from skae._files.words import shown


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


# What skorch's loop calls; a callback of any class may have some of these.
HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class Borrowed(Callback):
    """A callback of a class that is not skorch's: hooks that it lacks do nothing.

    Parameters
    ----------
    callback : object
        It has some of the ``HOOKS``.
    """

    def __init__(self, callback: Any) -> None:
        self.callback = callback


def _forward(hook: str) -> Callable[..., None]:
    def call(self: Borrowed, net: Any, **kwargs: Any) -> None:
        if hasattr(self.callback, hook):
            getattr(self.callback, hook)(net, **kwargs)

    return call


for _hook in HOOKS:
    setattr(Borrowed, _hook, _forward(_hook))


def is_callback(item: Any) -> bool:
    """Tell whether ``item`` is a callback, alone or as (name, callback)."""
    if isinstance(item, tuple):
        return len(item) == 2 and isinstance(item[0], str) and is_callback(item[1])
    if isinstance(item, type):  # skorch builds it
        return issubclass(item, Callback)
    hooks = [getattr(item, hook) for hook in HOOKS if hasattr(item, hook)]
    return bool(hooks) and all(map(callable, hooks))


def listens(callback: Callback, hook: str) -> bool:
    """Tell whether a callback has something to do in a hook."""
    if isinstance(callback, Borrowed):
        return hasattr(callback.callback, hook)
    return getattr(type(callback), hook) is not getattr(Callback, hook)


def own_callbacks(callbacks: list[Any] | None, reserved: Iterable[str]) -> list[Any]:
    """Return copies of users' callbacks that skorch can call; ValueError for a name that is taken.

    skorch writes into callbacks, and so do they themselves.
    """
    taken = set(reserved)
    for name in (item[0] for item in callbacks or [] if isinstance(item, tuple)):
        if name in taken:
            raise ValueError(
                f"callbacks has the name {shown(name)}, which another callback has; give each its "
                "own."
            )
        taken.add(name)
    return [
        (item[0], own_copy(item[1])) if isinstance(item, tuple) else own_copy(item)
        for item in callbacks or []
    ]


def add_before_users(net: Any, name: str, callback: Callback) -> None:
    """Let a callback hear of each epoch's end once its loss is known, before a user's may stop."""
    names = [own for own, _ in net.callbacks_]
    net.callbacks_.insert(names.index("_keep_best") + 1, (name, callback))


def can_be_copied(value: Any, copied: dict[int, Any]) -> bool:
    """Tell whether deepcopy copies a value, given the copies that there are, by ``id``."""
    try:
        copy.deepcopy(value, dict(copied))
    except Exception:
        return False
    return True


def own_copy(callback: Any) -> Any:
    """Copy a callback, so that the user's stays as it is."""
    try:
        copied = copy.deepcopy(callback)
    except Exception:  # it holds a lock, or a file that is open
        copied = copy.copy(callback)
        own = {id(callback): copied}
        attributes = getattr(copied, "__dict__", {})
        to_copy = {name: v for name, v in attributes.items() if can_be_copied(v, own)}
        kept = {id(v): v for name, v in attributes.items() if name not in to_copy}
        # Together, so that attributes that have a list in common go on having it.
        attributes.update(copy.deepcopy(to_copy, own | kept))
    return copied if isinstance(copied, Callback | type) else Borrowed(copied)
