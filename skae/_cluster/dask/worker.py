"""What runs on the workers: they store their blocks, and fit together."""

import os
import pickle
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from skae._cluster.place import Place, Stored
from skae._cluster.processes import Processes, ProcessLostError, join_store, open_store
from skae._training.resume import Kept

# Another process of a worker has another one: a worker that came back has lost its rows.
PROCESS = uuid.uuid4().hex
# Seconds between two looks at the store, and at whether the scheduler still wants this fit.
PAUSE = 0.02
LOOK = 0.5
# Seconds to connect to the store, which is there before the tasks are.
CONNECT = 30.0


@dataclass(frozen=True)
class Part:
    """A block of X, and the worker whose process has stored it.

    Attributes
    ----------
    stored : Stored
    worker, name : str
        Address and name of the worker.
    process : str
        Names its process.
    process_id : int
    memory : float
        Bytes that the worker may have.
    """

    stored: Stored
    worker: str
    name: str
    process: str
    process_id: int
    memory: float


@dataclass(frozen=True)
class Task:
    """What a worker is told of a fit.

    Attributes
    ----------
    fit : str
        Names the fit.
    attempt, rank, size : int
    process : str
        Names the process of the worker that has the rows.
    estimator : bytes
    parts : list of Stored
        Of this worker, in the order of X.
    dtype : str
        Of all rows of the fit.
    in_memory : bool
    weights, groups : array-like or None
        Of the rows; None where the worker has them, or nobody.
    timeout, wait : float
        Seconds for an operation of all workers, and until all have begun.
    """

    fit: str
    attempt: int
    rank: int
    size: int
    process: str
    estimator: bytes
    parts: list[Stored]
    dtype: str
    in_memory: bool
    weights: Any
    groups: Any
    timeout: float
    wait: float


@dataclass(frozen=True)
class Outcome:
    """What comes of a rank's task.

    Attributes
    ----------
    estimator : bytes
        The fitted estimator; empty from all ranks but the first.
    caught : list of (category, message)
        The warnings of the fit.
    interrupt : str or None
        What a KeyboardInterrupt in the fit said: as an exception it would end the worker.
    """

    estimator: bytes = b""
    caught: list[tuple[type[Warning], str]] = field(default_factory=list)
    interrupt: str | None = None


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
        self.worker, self.place, self.kept = worker, Place(worker.local_directory), Kept()
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
        self.store, self.world, self.kept = None, None, Kept()
        self.place.remove()

    def check(self) -> None:
        """Raise an error where the fit has been stopped."""
        if self.is_stopped:
            raise StoppedError("the client has ended the fit")

    def watch(self) -> None:
        """End when the scheduler has dropped all tasks, stop when it has dropped the running one."""
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


def store_block(block: Any, weights: Any, groups: Any, fit: str) -> Part:
    """Store a block of X on the worker that runs this."""
    worker, key = this_worker()
    stored = fit_here(fit, worker, key).place.store(block, weights, groups)
    name, memory = str(worker.name), memory_of(worker)
    return Part(stored, worker.address, name, PROCESS, os.getpid(), memory)


# -- called by client.run, beside the tasks ------------------------------------------------


def begin(fit: str, dask_worker: Any = None) -> tuple[str, int]:
    """Open the store through which workers find each other on this one; return host and port."""
    host = host_of(dask_worker)
    here = fit_here(fit, dask_worker)
    here.store, port = open_store(host)
    return host, port


def stop(fit: str, dask_worker: Any = None) -> None:
    """Stop the training."""
    here = HERE.get((fit, dask_worker.address))
    if here is not None:
        here.stop()


def end(fit: str, dask_worker: Any = None) -> bool:
    """End a fit and remove its rows; return whether its task still runs."""
    with LOCK:
        here = HERE.get((fit, dask_worker.address))
    if here is None:
        return False
    here.end()
    return here.n_running > 0


# -- the task of a rank --------------------------------------------------------------------


def fit_rank(task: Task, place: tuple[str, int]) -> Outcome:
    """Fit together with the other workers, on the rows that this one has stored.

    ``place`` is the host and the port of the store through which they find each other.
    """
    from distributed import secede

    if task.process != PROCESS:
        raise ProcessLostError(
            "a worker was lost, and another process has taken its place", [task.rank]
        )
    worker, key = this_worker()
    here = fit_here(task.fit, worker, key)
    # Tasks that wait for each other must not take the threads that the others wait for: two fits
    # on the same workers would never end.
    secede()
    here.is_stopped, here.running = False, key
    here.n_running += 1
    try:
        return fit_with_others(task, place, here)
    except (KeyboardInterrupt, SystemExit) as interrupt:
        return Outcome(interrupt=str(interrupt))
    finally:
        here.n_running -= 1


def fit_with_others(task: Task, place: tuple[str, int], here: FitHere) -> Outcome:
    """Fit the estimator of a task, and return what comes of it."""
    store = dist.PrefixStore(f"{task.fit}/{task.attempt}", join_store(*place, CONNECT))
    wait_for_all(store, task, here)
    world = Processes(store, task.rank, task.size, task.timeout, address=host_of(here.worker))
    here.world = world
    estimator = pickle.loads(task.estimator)
    with world.together(), threads(here.worker.state.nthreads), collected_warnings() as caught:
        here.check()
        rows = here.place.rows(
            task.parts, np.dtype(task.dtype), in_memory=task.in_memory, check=here.check
        )
        own = here.place.beside(task.parts)
        weights = own[0] if task.weights is None else task.weights
        groups = own[1] if task.groups is None else task.groups
        estimator._fit_together(rows, weights, groups, world, here.kept)
    here.world = None
    if task.rank:
        return Outcome()
    from cloudpickle import dumps

    return Outcome(dumps(estimator), caught)


def wait_for_all(store: Any, task: Task, here: FitHere) -> None:
    """Wait until the tasks of all workers have begun: one may have to wait for a thread."""
    store.set(f"begun/{task.rank}", "")
    deadline = time.monotonic() + task.wait
    missing = list(range(task.size))
    while missing := [rank for rank in missing if not store.check([f"begun/{rank}"])]:
        here.check()
        if time.monotonic() > deadline:
            raise ProcessLostError(
                f"{len(missing)} of {task.size} workers did not begin within wait={task.wait:g} "
                "seconds",
                missing,
            )
        time.sleep(PAUSE)


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


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch compute with so many threads: all of a worker, where Dask gives each task one."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def collected_warnings() -> Iterator[list[tuple[type[Warning], str]]]:
    """Collect the warnings of this thread; those of others go on as before."""
    caught: list[tuple[type[Warning], str]] = []
    thread = threading.get_ident()
    with warnings.catch_warnings():
        show: Callable[..., None] = warnings.showwarning

        def collect(message: Any, category: Any, *place: Any, **more: Any) -> None:
            if threading.get_ident() == thread:
                caught.append((category, str(message)))
            else:
                show(message, category, *place, **more)

        warnings.simplefilter("always")
        warnings.showwarning = collect
        yield caught
