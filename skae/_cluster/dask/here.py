"""What a worker keeps of the fits that it takes part in."""

import threading
import time
from typing import Any

from skae._cluster.place import Place
from skae._cluster.processes import Processes
from skae._training.resume.kept import KeptInMemory

# Seconds between two looks at whether the scheduler still wants a fit.
LOOK = 0.5


class StoppedError(RuntimeError):
    """The client has ended the fit."""


class FitHere:
    """What a worker keeps of a fit: its rows, where the training stands, its tasks.

    All of it goes when the scheduler wants none of the tasks any more, even where
    the client is gone without a word.

    Parameters
    ----------
    worker : distributed.Worker
    """

    def __init__(self, worker: Any) -> None:
        self.worker, self.place, self.kept = worker, Place(worker.local_directory), KeptInMemory()
        self.world: Processes | None = None
        self.store: Any = None
        self.keys: set[Any] = set()
        self.running: Any = None  # the key of the task that trains
        self.is_stopped = self.is_ended = False
        self.n_running = 0

    def stop(self) -> None:
        """End the training: what it does next together with others raises an error."""
        self.is_stopped = True
        if self.world is not None:
            self.world.close()

    def end(self) -> None:
        """End the training and remove all that is kept."""
        self.is_ended = True
        self.stop()
        self.store, self.world, self.kept = None, None, KeptInMemory()
        self.place.remove()

    def check(self) -> None:
        """Raise an error where the fit has been stopped."""
        if self.is_stopped:
            raise StoppedError("the client has ended the fit")

    def watch(self) -> None:
        """End when the scheduler has dropped all tasks; stop when it has dropped the training."""
        while not self.is_ended:
            time.sleep(LOOK)
            tasks = self.worker.state.tasks
            running = tasks.get(self.running)
            if running is not None and running.state == "cancelled":
                self.stop()
            if not any(key in tasks for key in list(self.keys)):
                self.end()


HERE: dict[tuple[str, str], FitHere] = {}
LOCK = threading.Lock()


def fit_here(fit: str, worker: Any, key: Any = None) -> FitHere:
    """Return what this worker keeps of a fit, for one of its tasks."""
    with LOCK:
        here = HERE.get((fit, worker.address))
        if here is None or here.is_ended:
            for name in [name for name, other in HERE.items() if other.is_ended]:
                del HERE[name]
            here = HERE[fit, worker.address] = FitHere(worker)
            here.keys.add(key)
            threading.Thread(target=here.watch, name=f"skae-{fit}", daemon=True).start()
        here.keys.add(key)
        return here


def this_worker() -> tuple[Any, Any]:
    """Return the worker that runs the task of this thread, and the task's key."""
    from distributed import get_worker
    from distributed.worker import thread_state

    return get_worker(), thread_state.key


def host_of(worker: Any) -> str:
    """Return the address of a worker's machine, under which the others reach it."""
    from distributed.comm import get_address_host

    if worker.address.startswith("inproc"):
        return "127.0.0.1"
    host: str = get_address_host(worker.address)
    return host


def memory_of(worker: Any) -> float:
    """Return how many bytes of memory a worker may have."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    share = min(1.0, worker.state.nthreads / CPU_COUNT)  # as Dask divides a machine
    return float(worker.memory_manager.memory_limit or MEMORY_LIMIT * share)
