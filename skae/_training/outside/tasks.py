"""scikit-learn's callbacks: each fit is a task of theirs, and each epoch a subtask of it.

Their interface is experimental, so nothing else in skae knows it.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from skorch.callbacks import Callback

from skae._files.caller import caller_level
from skae._training.outside.callbacks import add_before_users

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # a later scikit-learn, in which they may have another place

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method as it is."""
        return method


# Makes the fitted attributes of an estimator whose fit has ended after the last epoch.
Stopped = Callable[[], dict[str, Any]]
# The attributes of an estimator in which scikit-learn keeps its callbacks and tasks.
CALLBACKS = "_skl_callbacks"
OWN_ATTRIBUTES = (
    CALLBACKS,
    "_skl_callbacks_to_teardown",
    "_callback_fit_ctx",
    "_parent_callback_ctx",
)
# Those of them that are there only while a fit runs.
OF_A_RUN = OWN_ATTRIBUTES[1:]


class FitTask(Callback):
    """Tells scikit-learn's callbacks of a fit and of its epochs.

    Parameters
    ----------
    estimator : estimator
        The one whose ``fit`` the user has called.
    X, y, sample_weight
        What the user has called it with. Without y the targets are X, which an autoencoder
        reconstructs.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self.estimator = estimator
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.told = {"X": X, "y": X if y is None else y, "metadata": metadata}
        self.stopped: Stopped | None = None

    @property
    def has_listeners(self) -> bool:
        """Whether there are callbacks, or an estimator around this one that may have some."""
        return any(hasattr(self.estimator, name) for name in OWN_ATTRIBUTES)

    def begin(self, n_epochs: int) -> None:
        """Tell that the fit begins, with so many epochs at most."""
        self.fit = self.estimator._init_callback_context(max_subtasks=n_epochs)
        self.fit.call_on_fit_task_begin(estimator=self.estimator, **self.told)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Tell that an epoch begins."""
        self.epoch = self.fit.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.told)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Tell that it ends, and end the training with it where a callback returns True."""
        net.is_over_ |= self._end(self.epoch)

    def end(self, fitted: Any) -> None:
        """Tell that the fit ends, and what it has left in a copy of the estimator."""
        self.stopped = lambda: vars(fitted)
        self._end(self.fit)

    def _end(self, task: Any) -> bool:
        stop = task.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=self._left, **self.told
        )
        return bool(stop)

    def _left(self) -> dict[str, Any]:
        """Return the attributes of a fitted model that is handed over, which has no callbacks.

        So a callback can pickle it, and refit it without hearing of that.
        """
        assert self.stopped is not None
        return without_run(self.stopped()) | {CALLBACKS: []}


def without_run(state: dict[str, Any]) -> dict[str, Any]:
    """Return an estimator's attributes without those that are there only while a fit runs."""
    return {name: value for name, value in state.items() if name not in OF_A_RUN}


@contextmanager
def telling(task: FitTask | None, net: Any, n_epochs: int, stopped: Stopped) -> Iterator[None]:
    """Tell callbacks of the training of a net inside this context, if there are any."""
    if task is None:
        yield
        return
    task.stopped = stopped
    task.begin(n_epochs)
    add_before_users(net, "_fit_task", task)
    try:
        yield
    finally:
        net.callbacks_.remove(("_fit_task", task))


def warn_of_silence(estimator: Any) -> None:
    """Warn that callbacks hear nothing of a fit by many processes, or to a collection of Dask."""
    if getattr(estimator, CALLBACKS, None):
        warnings.warn(
            f"The callbacks of {type(estimator).__name__} hear nothing of this fit: those of "
            "set_callbacks are told of fits to rows of this process. Drop them by "
            "set_callbacks(), and pass verbose=1, or callbacks of skorch's as callbacks=[...].",
            stacklevel=caller_level(),
        )
