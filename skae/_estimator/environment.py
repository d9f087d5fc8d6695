"""What surrounds a computation: torch's global settings, other threads, the device."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import numpy as np
import torch

from skae._data.batch import counting
from skae._data.world import ALONE, World
from skae._files.words import shown, shown_error
from skae._training.outside.tasks import OWN_ATTRIBUTES

T = TypeVar("T")


@contextmanager
def as_if_alone(*, inference: bool = False) -> Iterator[None]:
    """Undo, inside this context, what a caller has set in torch for the thread.

    That is ``torch.no_grad()``, ``torch.autocast`` and a default device. A default dtype holds for
    the whole process and cannot be undone for a thread: every tensor of skae names its own.
    """
    with torch.inference_mode(inference), torch.set_grad_enabled(not inference), ExitStack() as off:
        off.enter_context(counting(None))  # what an exception has left of another fit
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                off.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            off.enter_context(torch.device("cpu"))
        yield


def snapshot(estimator: T) -> T:
    """Return an estimator with the same attributes, which setting others leaves as they are."""
    copy = object.__new__(type(estimator))
    copy.__dict__ = dict(vars(estimator))
    return copy


def replace_attributes(estimator: Any, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Give an estimator, at once, what a fit of its snapshot has changed.

    At once, so that other threads see the former fit or this one. What others have set on the
    estimator meanwhile stays, and so do scikit-learn's callbacks.
    """
    changed = {name: v for name, v in after.items() if before.get(name, before) is not v}
    gone = before.keys() - after.keys() - set(OWN_ATTRIBUTES)
    kept = {name: v for name, v in vars(estimator).items() if name not in gone}
    estimator.__dict__ = {**kept, **changed}


@contextmanager
def undone_if_it_fails(source: Any) -> Iterator[None]:
    """Put a RandomState back to where it was if this context raises; leave other sources."""
    state = source.get_state() if isinstance(source, np.random.RandomState) else None
    try:
        yield
    except BaseException:
        if state is not None:
            source.set_state(state)
        raise


@contextmanager
def all_at_once(estimator: T) -> Iterator[T]:
    """Give an estimator at the end of this context, at once, what a fit does to the copy yielded.

    A fit that fails changes nothing, what its ``random_state`` would draw next included.
    """
    with as_if_alone(), undone_if_it_fails(getattr(estimator, "random_state", None)):
        before, fitted = dict(vars(estimator)), snapshot(estimator)
        yield fitted
        replace_attributes(estimator, before, dict(vars(fitted)))


def resolve_device(device: str, world: World = ALONE) -> str:
    """Return the device to compute on; "auto" means CUDA where there is one.

    Processes of one machine take its GPUs in turn.
    """
    has_gpu = torch.cuda.is_available()
    if has_gpu and world.size > 1 and device in ("auto", "cuda"):
        return f"cuda:{world.local_rank % torch.cuda.device_count()}"
    if device == "auto":
        return "cuda" if has_gpu else "cpu"
    try:
        torch.zeros(1, device=device, dtype=torch.float32).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = shown_error(error).splitlines()[0]
        raise ValueError(
            f"device={shown(device)} cannot be used here ({reason}); pass 'auto' or 'cpu'."
        ) from error
    return device


def device_to_load_on(device: str) -> str:
    """Return the device of a model that is loaded: the CPU where this machine lacks its own."""
    try:
        return resolve_device(device)
    except ValueError:
        return "cpu"
