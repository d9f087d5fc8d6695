"""The client of a fit, the workers that it knows, and the parameters that are about workers."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from skae._cluster.connect import check_seconds
from skae._cluster.processes import ProcessLostError
from skae._files.words import shown

T = TypeVar("T")

# Seconds between two questions to the scheduler.
LOOK = 0.5
# Seconds that workers have to answer beside their tasks.
ANSWER = 5.0


@dataclass(frozen=True)
class Options:
    """How a fit treats workers: see :func:`skae.dask.fit`."""

    timeout: float = 600.0
    wait: float = 300.0
    retries: int = 0

    def __post_init__(self) -> None:
        for name in ("timeout", "wait"):
            check_seconds(name, getattr(self, name))
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or self.retries < 0:
            raise ValueError(f"retries={shown(self.retries)} is not an int >= 0.")


@contextmanager
def find_client(client: Any) -> Iterator[Any]:
    """Give the client that is passed, or else the current one; None where there is none.

    In a task that is the client of its worker, and the task leaves its thread to the fit meanwhile.
    """
    if client is None and "distributed" not in sys.modules:
        yield None
        return
    import distributed

    if client is None and is_task():
        with distributed.worker_client() as own:
            yield own
        return
    if client is None:
        try:
            client = distributed.default_client()
        except ValueError:
            yield None
            return
    if not isinstance(client, distributed.Client) or client.asynchronous:
        raise TypeError(
            f"client={shown(client)} is not a distributed.Client whose methods block; pass "
            "distributed.Client(address)."
        )
    yield client


def is_task() -> bool:
    """Tell whether this thread runs a task of a worker."""
    import distributed

    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


class Workers:
    """The workers that a scheduler knows, asked for at most twice a second.

    Parameters
    ----------
    client : distributed.Client
    wait : float
        Seconds to wait where there is none.
    """

    def __init__(self, client: Any, wait: float) -> None:
        self.client, self.wait = client, wait
        self._alive: set[str] = set()
        self._looked = self._seen = time.monotonic()

    def alive(self, *, now: bool = False) -> set[str]:
        """Return the addresses of the workers; raise where there have been none for long."""
        moment = time.monotonic()
        if now or not self._alive or moment - self._looked > LOOK:
            self._alive, self._looked = set(self.client.nthreads()), moment
        if self._alive:
            self._seen = moment
        elif moment - self._seen > self.wait:
            raise ProcessLostError(
                f"There has been no worker for wait={self.wait:g} seconds; start workers, or "
                "raise wait.",
                [],
            )
        return self._alive

    def run(self, function: Callable[..., T], *args: Any, on: Iterable[str]) -> dict[str, T]:
        """Call a function on workers, beside their tasks; lost and silent ones give no result."""
        present = sorted(self.alive(now=True).intersection(on))
        if not present:
            return {}
        try:  # a worker that is stopped never answers
            results = self.client.sync(
                self.client._run,
                function,
                *args,
                workers=present,
                on_error="return",
                callback_timeout=ANSWER,
            )
        except TimeoutError:
            return {}
        return {
            worker: result
            for worker, result in results.items()
            if not isinstance(result, BaseException)
        }
