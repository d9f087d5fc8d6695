"""What ends a training before its last epoch: a budget of seconds, and Ctrl-C."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from skae._data.world import ALONE, World


@dataclass
class Limits:
    """Tells when a training is to end; the epoch that it is in then ends after its current step.

    Attributes
    ----------
    max_time : float or None
        Seconds that a fit may take until its training ends.
    started : float
        When the fit began, on the clock of ``time.monotonic``.
    keep_interrupted : bool
        Whether Ctrl-C ends the training only. A second one is a ``KeyboardInterrupt``.
    interrupted : bool
        Whether Ctrl-C has been pressed.
    world : World
        The processes that train together.
    ended : bool
        Whether the budget or Ctrl-C has ended the training.
    """

    max_time: float | None = None
    started: float = field(default_factory=time.monotonic)
    keep_interrupted: bool = False
    interrupted: bool = False
    world: World = ALONE
    ended: bool = False
    _before: float = 0.0
    _spent: float = 0.0

    def spent(self) -> float:
        """Return the share of the budget that is spent; 0 where there is no budget.

        Processes that train together must take the same steps, so they look at the clock of the
        first one, at the end of each epoch.
        """
        return self._look() if self.world.size == 1 else self._spent

    def spent_in_training(self) -> float:
        """Return the share that is spent, up to 1, of what was left when the training began."""
        if self.max_time is None:
            return 0.0
        left = 1 - self._before
        return min((self.spent() - self._before) / left, 1.0) if left > 0 else 1.0

    def are_reached(self) -> bool:
        """Tell whether the training is to end."""
        return self.interrupted or (self.max_time is not None and self.spent() >= 1)

    def end_epoch(self) -> bool:
        """Tell at the end of an epoch, in all processes, whether the training is to end."""
        if self.max_time is not None:
            self._spent = self.world.agree(self._look())
        self.ended = self.are_reached()
        return self.ended

    def left(self) -> float | None:
        """Return the seconds that are left, or None where there is no budget."""
        return None if self.max_time is None else max(0.0, self.max_time * (1 - self.spent()))

    def _look(self) -> float:
        if self.max_time is None:
            return 0.0
        return (time.monotonic() - self.started) / self.max_time

    @contextmanager
    def listening(self, world: World) -> Iterator[None]:
        """Take note of the first Ctrl-C inside this context, where it is to end the training only.

        Python calls handlers of signals in the main thread, and whoever has set one of their own
        keeps it.
        """
        self.world = world
        if self.max_time is not None:
            self._before = self._spent = world.agree(self._look())
        is_ours = (
            self.keep_interrupted
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if is_ours:
            signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            if is_ours:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _interrupt(self, signum: int, frame: Any) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
